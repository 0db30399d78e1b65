"""The table of targets, and what is said to those who miss it."""

from __future__ import annotations

import pytest

from qasr.errors import MissingExtraError
from qasr.exporters import TARGETS, UnknownTargetError, find
from qasr.exporters import target as one
from qasr.quantizers import TECHNIQUES
from qasr.runtimes import ENGINES


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_table_is_sound(target):
    assert target.name.startswith(f"{target.engine}-")
    assert target.engine in ENGINES, "what can be exported can be run"
    assert set(target.methods) <= set(TECHNIQUES)
    assert callable(target.exporter().write)
    assert target.missing() is None
    assert target.runs_on


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("onnx-int9", r"no target 'onnx-int9'; did you mean onnx-int8"),
        ("onnx_int8", "did you mean onnx-int8"),
        ("zzz", "there are onnx-fp32, onnx-fp16, onnx-int8"),
    ],
)
def test_unknown_target(name, hint):
    with pytest.raises(UnknownTargetError, match=hint):
        find(name)


def test_methods():
    assert find("onnx-int8").method(None) == "static"
    assert find("onnx-int8").method("dynamic") == "dynamic"
    assert find("onnx-fp32").method(None) is None
    assert find("onnx-int4").method(None) == "gptq"
    with pytest.raises(UnknownTargetError, match="onnx-int8: the engine cannot express what the method 'gptq' makes"):
        find("onnx-int8").method("gptq")
    with pytest.raises(UnknownTargetError, match="onnx-int8 has no method 'magic'; it has static, dynamic"):
        find("onnx-int8").method("magic")
    with pytest.raises(UnknownTargetError, match="openvino-int8: the engine cannot express what the method"):
        find("openvino-int8").method("dynamic")
    with pytest.raises(UnknownTargetError, match="onnx-fp32 quantizes nothing, so it takes no method"):
        find("onnx-fp32").method("static")


def test_missing_library_names_the_extra(monkeypatch):
    monkeypatch.setattr(one, "installed", lambda name: name != "onnxscript")
    with pytest.raises(MissingExtraError, match=r"onnxscript is not installed; type: pip install 'qasr\[export\]'"):
        find("onnx-fp32").exporter()
