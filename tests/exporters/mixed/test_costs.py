"""What layers cost in an engine."""

from __future__ import annotations

import json

from qasr.exporters import QuantizationRequest, Request, resolve
from qasr.exporters.mixed.costs import TargetCosts


def test_requested_groups(tmp_path):
    """Sizes by hand; times are those of the requested groups, measured once and kept."""
    plan = resolve(Request(target="onnx-mixed", quantization=QuantizationRequest(group_size=32)))
    costs = TargetCosts(plan, (), tmp_path)
    assert costs.layer_bytes(64, 96, "int4") == 64 * 96 // 2 + 2 * 3 * 64 + 2 * 64 + 2 * 64
    seconds = costs.seconds(64, 96, "int4")  # 96 inputs are not whole groups of the target's own 64
    assert seconds is not None
    assert 0 < seconds < 1
    (file,) = (tmp_path / "seconds").glob("*.jsonl")
    assert json.loads(file.read_text().strip()) == ["64 96 int4 32 False", seconds]
    assert costs.seconds(64, 96, "int4") == seconds
