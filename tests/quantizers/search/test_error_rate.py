"""The loss of a choice of formats on all calibration audio."""

from __future__ import annotations

import math

import pytest

from qasr.quantizers import Quantization, QuantizationError, WeightScheme
from qasr.quantizers.layers.rewrite import shallow_copy
from qasr.quantizers.search.error_rate import ErrorRates
from qasr.quantizers.search.ledger import Ledger
from qasr.quantizers.search.mixture import Mixture

LAYER = "layers.0.ffn1.intermediate"


@pytest.fixture
def rates(make_model, real_calibration, quantized, tmp_path):
    model = make_model()
    variant = quantized("rtn", shallow_copy(model), Quantization(weight=WeightScheme(2, False, 64)))
    clips = list(real_calibration.inputs())[:3]

    def make(labels=None):
        mixture = Mixture(formats=("fp16", "int2"), labels=labels, costs=None, cache=tmp_path)
        ledger = Ledger(tmp_path, [repr(labels)])
        return ErrorRates(model, {"int2": variant}, clips, mixture, ledger, lambda items, *_: items)

    return make


def test_too_little_audio(rates):
    unlabelled = rates()
    symbols = sum(map(len, unlabelled._float_transcripts()))
    assert 20 < symbols < 200
    with pytest.raises(
        QuantizationError,
        match=rf"the float model's transcripts of the calibration audio have {symbols} symbols, too few",
    ):
        unlabelled.check(0.1)
    unlabelled.check(100 / symbols + 0.01)
    with pytest.raises(QuantizationError, match="the labels of the calibration audio have 9 symbols, too few"):
        rates(((1, 2, 3),) * 3).check(10.0)


def test_few_clips_prove_little(rates):
    """Without labels as with them, a symbol that differs in none of N may still be one in the next N."""
    unlabelled = rates()
    symbols = sum(map(len, unlabelled._float_transcripts()))
    exact = unlabelled.measure({LAYER: "fp16"})
    assert (exact.points, exact.disagreement, exact.error) == (0.0, 0.0, 0.0)
    actual = unlabelled.measure({LAYER: "int2"})
    differing = actual.points / 100 * symbols
    assert actual.points == actual.disagreement
    assert actual.error == pytest.approx(100 * math.sqrt(differing + 1) / symbols)
    assert actual.bound == actual.points + actual.error
