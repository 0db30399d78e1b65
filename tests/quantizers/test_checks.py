"""What is refused before any work, by name, with what to do instead."""

from __future__ import annotations

import dataclasses

import pytest

from qasr.quantizers import Quantization, QuantizationError, WeightScheme
from qasr.quantizers.apply import check


def with_floats(options, model):
    return options if options.exclude else dataclasses.replace(options, exclude=model.float_layers)


@pytest.fixture
def short(real_calibration):
    return dataclasses.replace(real_calibration, seconds=10.0)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        (
            "mse",
            Quantization(weight=WeightScheme(4, False, 128)),
            r"groups of 128 do not divide the 192 inputs of layers.0.ffn1.intermediate; --group-size 64 does",
        ),
        # bitsandbytes' groups are as they are.
        (
            "nf4",
            Quantization(exclude=("heads",)),
            r"groups of 64 do not divide the 160 inputs of projection; leave it out with --exclude 'projection'",
        ),
        (
            "gptq",
            Quantization(weight=WeightScheme(4, False, 64)),
            r"bundled has 500 frames, too few for the Hessian of layers.0.ffn1.output, .* give at least 15 s of audio",
        ),
        ("hqq", Quantization(weight=WeightScheme(4, True, 64)), r"symmetric schemes do not have; use --method mse"),
        ("dynamic", Quantization(exclude=("layer.3",)), r"no layer matches the excluded layer.3"),
    ],
)
def test_refused(make_model, short, method, options, message):
    model = make_model()
    with pytest.raises(QuantizationError, match=message):
        check(method, model, with_floats(options, model), short)


def test_what_fits_passes(make_model, real_calibration):
    long = dataclasses.replace(real_calibration, seconds=100.0)
    model = make_model()
    for method in ("rtn", "hqq", "gptq", "nf4", "dynamic"):
        check(method, model, with_floats(Quantization(weight=WeightScheme(4, False, 64)), model), long)
