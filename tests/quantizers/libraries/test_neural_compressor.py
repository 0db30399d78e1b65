"""Neural Compressor's integers and scales, read into our layers."""

from __future__ import annotations

import pytest
import torch

from qasr.models import open_checkpoint
from qasr.quantizers import CalibrationSet, Options, QuantizationError, StaticLinear
from qasr.quantizers.libraries import neural_compressor as inc
from qasr.quantizers.libraries.neural_compressor import _compress, _quiet


@pytest.fixture(scope="module")
def calibration():
    torch.manual_seed(0)
    clips = [torch.randn(1, frames, 160) for frames in (40, 75)]
    return CalibrationSet("noise", "0" * 64, 2.3, len(clips), lambda: iter(clips))


def deployable():
    with open_checkpoint("reference") as checkpoint:
        return checkpoint.deployable()


def test_our_layers_compute_what_its_graph_does(calibration):
    """Nothing is lost between Neural Compressor's graph and the quantized model: float rounding apart, the same."""
    model = deployable()
    linears = {name for name, layer in model.named_modules() if isinstance(layer, torch.nn.Linear)}
    chosen = linears - {"projection", "heads"}
    with _quiet():
        graph = _compress(model, chosen, calibration)
    ours = inc(deployable(), Options(), calibration)
    layers = [name for name, layer in ours.named_modules() if isinstance(layer, StaticLinear)]
    assert len(layers) == len(chosen) == 32
    features, lengths = torch.randn(3, 90, 160), torch.tensor([90, 61, 17])
    with torch.inference_mode():
        original = deployable()(features, lengths)[0]
        theirs, found = graph(features, lengths)[0], ours(features, lengths)[0]
    error = (theirs - original).norm()
    assert error > 1e-3 * original.norm(), "it is quantized"
    # A last bit can round an activation to its neighbour; that is a small part of the quantization error itself.
    assert (found - theirs).norm() < 0.5 * error
    assert ours.notes["observer"] == "Neural Compressor's moving average of minmax"


def test_excluded_layers_stay_float(calibration):
    model = inc(deployable(), Options(exclude=("projection", "heads", "layers.0.*")), calibration)
    assert isinstance(model.layers[0].ffn1.intermediate, torch.nn.Linear)
    assert isinstance(model.layers[1].ffn1.intermediate, StaticLinear)


@pytest.mark.parametrize("options", [Options(observer="mse"), Options(outputs=True)])
def test_options_that_are_not_its_own(calibration, options):
    with pytest.raises(QuantizationError, match="observes inputs in its own way; leave --observer out"):
        inc(deployable(), options, calibration)


def test_no_audio():
    with pytest.raises(QuantizationError, match="needs calibration audio"):
        inc(deployable(), Options(), None)
