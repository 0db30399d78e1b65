"""What was finished before a kill is not computed again, and serves nothing else."""

from __future__ import annotations

import dataclasses
import importlib

import pytest
import torch

from qasr.quantizers import Options, QuantizationError, WeightScheme, quantize

SEGMENTS = [f"layers.{place}" for place in range(4)]


class KilledError(Exception):
    pass


@pytest.fixture
def calibration(real_calibration):
    return dataclasses.replace(real_calibration, seconds=60.0)


@pytest.fixture
def made(monkeypatch):
    """Names of the layers that were computed; set ``until`` to be killed at one."""
    names = type("Names", (list,), {"until": None})()
    gptq = importlib.import_module("qasr.quantizers.techniques.gptq")  # the package has a function of that name
    honest = gptq._quantized

    def watched(name, *rest):
        if name == names.until:
            raise KilledError
        names.append(name)
        return honest(name, *rest)

    monkeypatch.setattr(gptq, "_quantized", watched)
    return names


@pytest.fixture
def run(make_model, calibration, tmp_path):
    def run(calibration=calibration, **changes):
        options = {"scheme": WeightScheme(4, False, 64), "journal": tmp_path / "journal"} | changes
        return quantize("gptq", make_model(), Options(**options), calibration).state_dict()

    return run


def test_goes_on_after_a_kill(run, made, tmp_path):
    expected = run(journal=None)
    assert len(made) == 32
    made.clear()
    made.until = "layers.2.attention.out"
    with pytest.raises(KilledError):
        run()
    assert len(made) == 2 * 8 + 3
    kept = sorted(path.name.split("-")[0] for path in (tmp_path / "journal").iterdir())
    assert kept == SEGMENTS[:2]
    made.clear()
    made.until = None
    found = run()
    assert len(made) == 2 * 8
    assert made[0] == "layers.2.ffn1.intermediate"
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    made.clear()
    run()
    assert made == []


def test_serves_nothing_else(run, made, calibration):
    run()
    for changes in (
        {"scheme": WeightScheme(4, False, 32)},
        {"damping": 0.1},
        {"activation_order": False},
        {"exclude": ("projection", "heads", "*.qkv")},
        {"bits_by_layer": {"layers.0.ffn1.output": 2}},
        {"calibration": dataclasses.replace(calibration, sha256="1" * 64)},
        {"calibration": dataclasses.replace(calibration, prepared="of 60 mel bands")},
    ):
        made.clear()
        run(**changes)
        assert len(made) == (28 if "exclude" in changes else 32), changes


def test_serves_no_model_with_other_norms(run, made, make_model, calibration, tmp_path):
    """Weights are the same, and what they are multiplied by is not."""
    run()
    made.clear()
    model = make_model()
    model.layers[0].ffn1_norm.bias.data += 0.01
    quantize("gptq", model, Options(scheme=WeightScheme(4, False, 64), journal=tmp_path / "journal"), calibration)
    assert len(made) == 32


def test_a_place_where_nothing_can_be_kept(run, made, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(QuantizationError, match=r"file/journal: cannot be written \(.*\); choose another --journal"):
        run(journal=tmp_path / "file" / "journal")
    assert made == []
