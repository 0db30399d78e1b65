"""What was finished before a kill is not computed again, and serves nothing else."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from qasr.quantizers import GPTQOptions, Quantization, QuantizationError, WeightScheme
from qasr.quantizers.techniques import gptq


class KilledError(Exception):
    pass


@pytest.fixture
def calibration(real_calibration):
    return dataclasses.replace(real_calibration, seconds=60.0)


@pytest.fixture
def made(monkeypatch):
    """Names of the layers that were computed; set ``until`` to be killed at one."""
    names = type("Names", (list,), {"until": None})()
    honest = gptq._quantized

    def watched(name, *rest):
        if name == names.until:
            raise KilledError
        names.append(name)
        return honest(name, *rest)

    monkeypatch.setattr(gptq, "_quantized", watched)
    return names


@pytest.fixture
def run(make_model, calibration, tmp_path, quantized):
    def run(calibration=calibration, journal=tmp_path / "journal", **changes):
        options = Quantization(**({"weight": WeightScheme(4, False, 64)} | changes))
        return quantized("gptq", make_model(), options, calibration, journal).state_dict()

    return run


def test_goes_on_after_a_kill(run, made, tmp_path):
    expected = run(journal=None)
    assert len(made) == 32
    made.clear()
    made.until = "layers.2.attention.out"
    with pytest.raises(KilledError):
        run()
    assert len(made) == 2 * 8 + 3
    kept = sorted(path.name[:9] for path in (tmp_path / "journal").iterdir())
    assert kept == ["stage-001", "stage-002"]
    made.clear()
    made.until = None
    actual = run()
    assert len(made) == 2 * 8
    assert made[0] == "layers.2.ffn1.intermediate"
    assert list(actual) == list(expected)
    assert all(torch.equal(actual[name], expected[name]) for name in expected)
    made.clear()
    run()
    assert made == []


def test_serves_nothing_else(run, made, calibration):
    run()
    for changes in (
        {"weight": WeightScheme(4, False, 32)},
        {"gptq": GPTQOptions(damping=0.1)},
        {"gptq": GPTQOptions(activation_order=False)},
        {"exclude": ("projection", "heads", "*.qkv")},
        {"bits_by_layer": {"layers.0.ffn1.output": 2}},
        {"calibration": dataclasses.replace(calibration, sha256="1" * 64)},
        {"calibration": dataclasses.replace(calibration, prepared="of 60 mel bands")},
    ):
        made.clear()
        run(**changes)
        assert len(made) == (28 if "exclude" in changes else 32), changes


def test_serves_no_model_with_other_norms(quantized, run, made, make_model, calibration, tmp_path):
    """Weights are the same, and what they are multiplied by is not."""
    run()
    made.clear()
    model = make_model()
    model.layers[0].ffn1_norm.bias.data += 0.01
    quantized("gptq", model, Quantization(weight=WeightScheme(4, False, 64)), calibration, tmp_path / "journal")
    assert len(made) == 32


def test_serves_no_other_version_of_the_algorithm(run, made, monkeypatch):
    """A corrected GPTQ must not get the codes of the old one back."""
    run()
    made.clear()
    monkeypatch.setattr(gptq, "ALGORITHM_VERSION", gptq.ALGORITHM_VERSION + 1)
    run()
    assert len(made) == 32


def test_a_place_where_nothing_can_be_kept(run, made, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(QuantizationError, match=r"file/journal: cannot be written \(.*\); choose another --journal"):
        run(journal=tmp_path / "file" / "journal")
    assert made == []
