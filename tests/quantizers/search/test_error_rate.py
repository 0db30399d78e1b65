"""What a whole choice of formats loses on all calibration audio."""

from __future__ import annotations

import dataclasses
import math

import pytest

from qasr.quantizers import Options, QuantizationError
from qasr.quantizers.scheme import WeightScheme
from qasr.quantizers.search import Mixture
from qasr.quantizers.search.ledger import Ledger
from qasr.quantizers.search.sensitivity import float_twin
from qasr.quantizers.search.whole import Whole
from qasr.quantizers.techniques import rtn

LAYER = "layers.0.ffn1.intermediate"


@pytest.fixture
def whole(make_model, real_calibration, real_clips, tmp_path):
    model = make_model()
    twin = rtn(float_twin(model), Options(scheme=WeightScheme(2, False, 64)), None)
    calibration = dataclasses.replace(real_calibration, clips=3, features=lambda: iter(real_clips[:3]))

    def make(labels=None):
        mixture = Mixture(formats=("fp16", "int2"), labels=labels, costs=None, cache=tmp_path)
        ledger = Ledger(tmp_path, [repr(labels)])
        return Whole(model, {"int2": twin}, calibration, mixture, ledger, lambda items, *_: items)

    return make


def test_too_little_audio(whole):
    unlabelled = whole()
    symbols = sum(map(len, unlabelled._float_transcripts()))
    assert 20 < symbols < 200
    with pytest.raises(
        QuantizationError,
        match=rf"the float model's transcripts of the calibration audio have {symbols} symbols, too few",
    ):
        unlabelled.check(0.1)
    unlabelled.check(100 / symbols + 0.01)
    with pytest.raises(QuantizationError, match="the labels of the calibration audio have 9 symbols, too few"):
        whole(((1, 2, 3),) * 3).check(10.0)


def test_few_clips_prove_little(whole):
    """Without labels as with them, a symbol that differs in none of N may still be one in the next N."""
    unlabelled = whole()
    symbols = sum(map(len, unlabelled._float_transcripts()))
    exact = unlabelled.measure({LAYER: "fp16"})
    assert (exact.points, exact.disagreement, exact.error) == (0.0, 0.0, 0.0)
    found = unlabelled.measure({LAYER: "int2"})
    differing = found.points / 100 * symbols
    assert found.points == found.disagreement
    assert found.error == pytest.approx(100 * math.sqrt(differing + 1) / symbols)
    assert found.bound == found.points + found.error
