"""Losses of single layers against the plain way of finding them, and what is kept of them."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from qasr.models.stages import linear_stages
from qasr.quantizers import Quantization, WeightScheme
from qasr.quantizers.calibration import Work
from qasr.quantizers.layers.rewrite import quantizable, swapped
from qasr.quantizers.search.formats import in_format
from qasr.quantizers.search.ledger import Ledger
from qasr.quantizers.search.table import FloatPass, measure, windows
from qasr.quantizers.search.units import units
from qasr.quantizers.storage import model_hash

EXCLUDE = ("projection", "heads")


def stages_of(model):
    return {name: linear.stage for name, linear in linear_stages(model).items()}


@pytest.fixture(scope="module")
def calibration(real_clips, calibration_of):
    return calibration_of(real_clips[:6], seconds=60.0, name="few")


@pytest.fixture
def variant(make_model, calibration):
    quantization = Quantization(weight=WeightScheme(8, False, 64))
    return in_format(make_model(), "int8", quantization, Work(calibration=calibration), EXCLUDE)


@pytest.fixture
def float_pass(make_model, calibration):
    model = make_model()
    return FloatPass(model, stages_of(model), windows(model, calibration), 0)


def test_loss_of_one_layer(make_model, calibration, float_pass, variant):
    """Batches, and a pass that resumes in the middle, change nothing."""
    model = make_model()
    clips = [clip for batch in windows(model, calibration) for clip in zip(batch.inputs, batch.lengths, strict=True)]
    names = ["layers.0.ffn1.intermediate", "layers.2.attention.qkv", "layers.3.ffn2.output"]
    for unit in units(names, stages_of(model)):
        loss = float_pass.loss(unit, variant)
        divergence = count = 0.0
        with torch.inference_mode():
            for inputs, length in clips:
                frames = int(model.output_lengths(length))
                clip = inputs[None, :frames]
                expected = model(clip, length[None])
                with swapped(model, {name: variant.get_submodule(name) for name in unit.layers}):
                    logits = model(clip, length[None])
                for one, other in zip(expected, logits, strict=True):
                    one, other = one.double().log_softmax(-1), other.double().log_softmax(-1)
                    divergence += float((one.exp() * (one - other)).sum())
                count += frames
        assert loss.divergence == pytest.approx(divergence / count, rel=0.02)
        assert 0 <= loss.disagreement < 0.02


def test_measurements_are_kept(float_pass, variant, tmp_path):
    """A measurement from before an interruption is not repeated; one whose line was cut off is."""
    chosen = units(["layers.0.ffn1.intermediate", "layers.3.ffn2.output"], {})
    variants = {"int8": variant}
    first = measure(float_pass, variants, chosen, {"int8": Ledger(tmp_path, ["a"])}, lambda items, *_: items)
    (file,) = tmp_path.iterdir()
    file.write_text(file.read_text()[:-5])
    measured = []
    float_pass.loss = lambda unit, variant: measured.append(unit.name) or first[unit.name, "int8"]
    again = measure(float_pass, variants, chosen, {"int8": Ledger(tmp_path, ["a"])}, lambda items, *_: items)
    assert again == first
    assert measured == ["layers.3.ffn2.output"]
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
    assert lengths == sorted(min(400, int(length)) for _, length in calibration.inputs())
    many = dataclasses.replace(calibration, clips=5)
    assert sum(len(batch.lengths) for batch in windows(model, many)) == 5


def test_units(make_model):
    names = [name for name, _ in quantizable(make_model(), EXCLUDE)]
    stages = stages_of(make_model())
    assert [unit.layers for unit in units(names, stages)] == [(name,) for name in names]
    deep = [name.replace("layers.", f"layers.{depth}", 1) for depth in range(1, 5) for name in names]
    stages = {name: int(name.split(".")[1]) for name in deep}
    actual = units(deep, stages)
    assert len(actual) == 4 * 4 * 4
    assert actual[0].name == "layers.10.ffn1"
    assert actual[0].layers == ("layers.10.ffn1.intermediate", "layers.10.ffn1.output")
    assert sorted(layer for unit in actual for layer in unit.layers) == sorted(deep)
    # A module whose Linears run in two stages makes two units.
    actual = units(deep, stages | {"layers.10.ffn1.output": 99})
    assert [unit.name for unit in actual if unit.name.startswith("layers.10.ffn1")] == [
        "layers.10.ffn1.intermediate",
        "layers.10.ffn1.output",
    ]
