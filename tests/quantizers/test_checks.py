"""What is refused before any work, by name, with what to do instead."""

from __future__ import annotations

import dataclasses

import pytest

from qasr.quantizers import Options, QuantizationError, WeightScheme, check


@pytest.fixture
def short(real_calibration):
    return dataclasses.replace(real_calibration, seconds=10.0)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        (
            "mse",
            Options(scheme=WeightScheme(4, False, 128)),
            r"groups of 128 do not divide the 192 inputs of layers.0.ffn1.intermediate; --group-size 64 does",
        ),
        # bitsandbytes' groups are as they are.
        (
            "nf4",
            Options(exclude=("heads",)),
            r"groups of 64 do not divide the 160 inputs of projection; leave it out with --exclude 'projection'",
        ),
        (
            "gptq",
            Options(scheme=WeightScheme(4, False, 64)),
            r"bundled has 500 frames, too few for the Hessian of layers.0.ffn1.output, .* give at least 15 s of audio",
        ),
        ("hqq", Options(scheme=WeightScheme(4, True, 64)), r"symmetric schemes do not have; use --method mse"),
        ("dynamic", Options(exclude=("layer.3",)), r"no layer matches the excluded layer.3"),
    ],
)
def test_refused(make_model, short, method, options, message):
    with pytest.raises(QuantizationError, match=message):
        check(method, make_model(), options, short)


def test_what_fits_passes(make_model, real_calibration):
    long = dataclasses.replace(real_calibration, seconds=100.0)
    for method in ("rtn", "hqq", "gptq", "nf4", "dynamic"):
        check(method, make_model(), Options(scheme=WeightScheme(4, False, 64)), long)
