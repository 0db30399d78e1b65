"""Measurements of an older version of an algorithm are not returned for a newer one."""

from __future__ import annotations

import pytest

from qasr.models import open_checkpoint
from qasr.quantizers import Quantization, WeightScheme
from qasr.quantizers.calibration import Work
from qasr.quantizers.search import error_rate, formats, table
from qasr.quantizers.search.mixed import find_mixture
from qasr.quantizers.search.mixture import Mixture
from qasr.quantizers.techniques import gptq

FLOAT_BUT_ONE = ("projection", "heads", "layers.[1-3].*", "layers.0.attention.*", "layers.0.convolution.*", "*.ffn2.*")


class Costs:
    def layer_bytes(self, outputs, inputs, format_name):
        return outputs * inputs * {"fp16": 2, "int8": 1}[format_name]

    def fixed_bytes(self, model):
        return 0

    def seconds(self, outputs, inputs, format_name):
        return None


@pytest.fixture
def ledgers(real_clips, calibration_of, tmp_path):
    """Names of the ledgers after a search of two layers."""
    with open_checkpoint("reference") as checkpoint:
        model = checkpoint.deployable()
    work = Work(calibration=calibration_of(real_clips[:2], seconds=60.0))
    quantization = Quantization(weight=WeightScheme(8, False, 64), exclude=FLOAT_BUT_ONE)
    mixture = Mixture(formats=("fp16", "int8"), budget_bytes=10_000_000, costs=Costs(), cache=tmp_path)

    def search():
        result = find_mixture(model, quantization, mixture, work)
        assert len(result.units) == 2
        return {path.name for path in tmp_path.glob("*.jsonl")}

    return search


@pytest.mark.parametrize(("module", "files"), [(table, 1), (error_rate, 1), (formats, 2), (gptq, 2)])
def test_a_new_version_measures_again(ledgers, monkeypatch, module, files):
    before = ledgers()
    assert len(before) == 2
    assert ledgers() == before
    monkeypatch.setattr(module, "ALGORITHM_VERSION", module.ALGORITHM_VERSION + 1)
    assert len(ledgers() - before) == files
