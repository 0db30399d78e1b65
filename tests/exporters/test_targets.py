"""The table of targets, and what is said to those who miss it."""

from __future__ import annotations

import pytest

from qasr.errors import MissingExtraError
from qasr.exporters import TARGETS, MethodError, Request, UnknownTargetError, find, resolve
from qasr.exporters import target as one
from qasr.exporters.request import MAP, SENSITIVITY
from qasr.quantizers import TECHNIQUES
from qasr.runtimes import ENGINES


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_table_is_sound(target):
    assert target.name.startswith(f"{target.engine}-")
    assert target.engine in ENGINES, "what can be exported can be run"
    assert set(target.methods) <= {*TECHNIQUES, SENSITIVITY, MAP}
    assert callable(target.writer().write)
    assert target.missing() is None
    assert target.runs_on


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("onnx-int9", r"no target 'onnx-int9'; did you mean onnx-int8"),
        ("onnx_int8", "did you mean onnx-int8"),
        ("zzz", "available are onnx-fp32, onnx-fp16, onnx-int8"),
    ],
)
def test_unknown_target(name, hint):
    with pytest.raises(UnknownTargetError, match=hint):
        find(name)


def test_methods():
    def method(target, name=None):
        return resolve(Request(target=target, method=name)).method

    assert method("onnx-int8") == "static"
    assert method("onnx-int8", "dynamic") == "dynamic"
    assert method("onnx-fp32") is None
    assert method("onnx-int4") == "gptq"
    with pytest.raises(MethodError, match="onnx-int8: the engine cannot express the layers of the method 'gptq'"):
        method("onnx-int8", "gptq")
    with pytest.raises(MethodError, match="onnx-int8 has no method 'magic'; it has static, dynamic"):
        method("onnx-int8", "magic")
    with pytest.raises(MethodError, match="openvino-int8: the engine cannot express the layers of the method"):
        method("openvino-int8", "dynamic")
    with pytest.raises(MethodError, match="onnx-fp32 quantizes nothing, so it takes no method"):
        method("onnx-fp32", "static")


def test_missing_library_names_the_extra(monkeypatch):
    monkeypatch.setattr(one, "installed", lambda name: name != "onnxscript")
    with pytest.raises(MissingExtraError, match=r"onnxscript is not installed; type: pip install 'qasr\[export\]'"):
        find("onnx-fp32").require()
