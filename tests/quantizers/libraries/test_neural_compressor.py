"""Neural Compressor's integers and scales, read into our layers."""

from __future__ import annotations

import pytest
import torch

from qasr.quantizers import Quantization, QuantizationError, Ranges
from qasr.quantizers.apply import check
from qasr.quantizers.layers.quantized import StaticLinear
from qasr.quantizers.libraries.neural_compressor import _compress
from qasr.quiet import quiet


@pytest.fixture(scope="module")
def calibration(calibration_of):
    torch.manual_seed(0)
    return calibration_of([torch.randn(1, frames, 160) for frames in (40, 75)], seconds=2.3, name="noise")


def test_our_layers_compute_what_its_graph_does(quantized, make_model, calibration):
    """Nothing is lost between Neural Compressor's graph and the quantized model: float rounding apart, the same."""
    model = make_model()
    linears = {name for name, layer in model.named_modules() if isinstance(layer, torch.nn.Linear)}
    chosen = linears - {"projection", "heads"}
    with quiet("neural_compressor", "torchao", stdout=True):
        graph = _compress(model, chosen, calibration)
    ours = quantized("inc", make_model(), None, calibration)
    layers = [name for name, layer in ours.named_modules() if isinstance(layer, StaticLinear)]
    assert len(layers) == len(chosen) == 32
    features, lengths = torch.randn(3, 90, 160), torch.tensor([180, 122, 34])
    with torch.inference_mode():
        original = make_model()(features, lengths)[0]
        theirs, actual = graph(features, lengths)[0], ours(features, lengths)[0]
    error = (theirs - original).norm()
    assert error > 1e-3 * original.norm(), "it is quantized"
    # A last bit can round an activation to its neighbour; that is a small part of the quantization error itself.
    assert (actual - theirs).norm() < 0.5 * error
    assert quantized.notes["observer"] == "Neural Compressor's moving average of minmax"


def test_it_works_in_silence(quantized, make_model, calibration, capfd):
    quantized("inc", make_model(), None, calibration)
    output = capfd.readouterr()
    assert output.out == ""
    assert "[INFO]" not in output.err
    assert "[WARNING]" not in output.err


def test_excluded_layers_stay_float(quantized, make_model, calibration):
    exclude = ("projection", "heads", "layers.0.*")
    model = quantized("inc", make_model(), Quantization(exclude=exclude), calibration)
    assert isinstance(model.layers[0].ffn1.intermediate, torch.nn.Linear)
    assert isinstance(model.layers[1].ffn1.intermediate, StaticLinear)


@pytest.mark.parametrize("options", [Quantization(ranges=Ranges(observer="mse")), Quantization(outputs=True)])
def test_options_that_are_not_its_own(quantized, make_model, calibration, options):
    with pytest.raises(QuantizationError, match="observes inputs in its own way; leave --observer out"):
        quantized("inc", make_model(), options, calibration)
    with pytest.raises(QuantizationError, match="observes inputs in its own way; leave --observer out"):
        check("inc", make_model(), options, calibration)


def test_no_audio(quantized, make_model):
    with pytest.raises(QuantizationError, match="needs calibration audio"):
        quantized("inc", make_model())
