"""Losses of single layers against the plain way of finding them, and what is kept of them."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from qasr.quantizers import Options, WeightScheme
from qasr.quantizers.search.formats import make
from qasr.quantizers.search.ledger import Ledger
from qasr.quantizers.search.table import Passed, measure, swapped, windows
from qasr.quantizers.search.units import units
from qasr.quantizers.technique import model_hash, quantizable

EXCLUDE = ("projection", "heads")


@pytest.fixture(scope="module")
def calibration(real_clips):
    from qasr.quantizers import CalibrationSet

    return CalibrationSet("few", "1" * 64, 60.0, 6, lambda: iter(real_clips[:6]))


@pytest.fixture
def twin(make_model, calibration):
    return make(make_model(), "int8", Options(scheme=WeightScheme(8, False, 64)), calibration, EXCLUDE)


def test_loss_of_one_layer(make_model, calibration, twin):
    """Batches, and a pass that begins in the middle, change nothing."""
    model = make_model()
    batches = windows(model, calibration)
    passed = Passed(model, batches, 0)
    clips = [clip for batch in batches for clip in zip(batch.features, batch.lengths, strict=True)]
    for unit in units(["layers.0.ffn1.intermediate", "layers.2.attention.qkv", "layers.3.ffn2.output"]):
        found = passed.loss(unit, twin)
        divergence = frames = 0.0
        with torch.inference_mode():
            for features, length in clips:
                clip = features[None, : int(length)]
                expected = model(clip, length[None])
                with swapped(model, dict.fromkeys(unit.layers, twin)):
                    logits = model(clip, length[None])
                for one, other in zip(expected, logits, strict=True):
                    one, other = one.double().log_softmax(-1), other.double().log_softmax(-1)
                    divergence += float((one.exp() * (one - other)).sum())
                frames += float(length)
        assert found.divergence == pytest.approx(divergence / frames, rel=0.02)
        assert 0 <= found.disagreement < 0.02


def test_measurements_are_kept(make_model, calibration, twin, tmp_path):
    """What a kill left is not measured again; a line that it cut is."""
    model = make_model()
    chosen = units(["layers.0.ffn1.intermediate", "layers.3.ffn2.output"])
    passed = Passed(model, windows(model, calibration), 0)
    first = measure(passed, {"int8": twin}, chosen, {"int8": Ledger(tmp_path, ["a"])}, lambda items, *_: items)
    (file,) = tmp_path.iterdir()
    file.write_text(file.read_text()[:-5])
    asked = []
    passed.loss = lambda unit, twin: asked.append(unit.name) or first[unit.name, "int8"]
    again = measure(passed, {"int8": twin}, chosen, {"int8": Ledger(tmp_path, ["a"])}, lambda items, *_: items)
    assert again == first
    assert asked == ["layers.3.ffn2.output"]
    assert Ledger(tmp_path, ["a"]).get("layers.3.ffn2.output") is not None
    assert Ledger(tmp_path, ["b"]).get("layers.3.ffn2.output") is None


def test_hash_of_weights(make_model):
    model, other = make_model(), make_model()
    assert model_hash(model) == model_hash(other)
    other.layers[1].ffn1_norm.weight.data[0] += 1
    assert model_hash(model) != model_hash(other)


def test_windows(make_model, calibration):
    """The middle of each clip, as much as a model of its size can afford."""
    model = make_model()
    batches = windows(model, calibration)
    lengths = sorted(int(length) for batch in batches for length in batch.lengths)
    assert lengths == sorted(min(200, clip.shape[1]) for clip in calibration.features())
    many = dataclasses.replace(calibration, clips=5)
    assert sum(len(batch.lengths) for batch in windows(model, many)) == 5


def test_units(make_model):
    names = [name for name, _ in quantizable(make_model(), EXCLUDE)]
    assert [unit.layers for unit in units(names)] == [(name,) for name in names]
    deep = [name.replace("layers.", f"layers.{depth}", 1) for depth in range(1, 5) for name in names]
    found = units(deep)
    assert len(found) == 4 * 4 * 4
    assert found[0].name == "layers.10.ffn1"
    assert found[0].layers == ("layers.10.ffn1.intermediate", "layers.10.ffn1.output")
    assert sorted(layer for unit in found for layer in unit.layers) == sorted(deep)
