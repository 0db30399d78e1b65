"""What layers cost in an engine."""

from __future__ import annotations

import json

from qasr.exporters import find
from qasr.exporters.costs import EngineCosts
from qasr.models import open_checkpoint


def test_groups_as_asked_for(tmp_path):
    """Sizes by hand; times are those of the groups asked for, measured once and kept."""
    with open_checkpoint("reference") as checkpoint:
        costs = EngineCosts(find("onnx-mixed"), checkpoint, 32, False, tmp_path, compiled=False)
    assert costs.layer_bytes(64, 96, "int4") == 64 * 96 // 2 + 2 * 3 * 64 + 2 * 64 + 2 * 64
    seconds = costs.seconds(64, 96, "int4")  # 96 inputs are no whole groups of the target's own 64
    assert seconds is not None
    assert 0 < seconds < 1
    (file,) = (tmp_path / "seconds").glob("*.jsonl")
    assert json.loads(file.read_text().strip()) == ["64 96 int4 32 False", seconds]
    assert costs.seconds(64, 96, "int4") == seconds
