"""Which flavour builds, for which GPUs, and what is said where none can."""

from __future__ import annotations

import re

import pytest

from qasr.exporters import Request, RequestError, find, resolve
from qasr.exporters.plan import check_buildable
from qasr.exporters.tensorrt import compiler as tensorrt_engine
from qasr.exporters.tensorrt.options import TensorRTOptions
from qasr.gpu import tensorrt
from qasr.gpu.errors import GpuError


@pytest.mark.parametrize(
    ("target", "flavour", "capabilities", "message"),
    [
        (
            "tensorrt-fp8",
            "rtx",
            ("8.6",),
            "compute capability 8.6 do not multiply FP8; take 8.9 or later, or tensorrt-int8",
        ),
        ("tensorrt-fp8", "rtx", ("8.6", "8.9"), "compute capability 8.6 do not multiply FP8"),
        ("tensorrt-int8", "rtx", ("9.0",), "does not build for compute capability 9.0; it supports 7.5, 8.0"),
        ("tensorrt-int8", "tensorrt", ("8.9",), "builds for the GPU that is here .*, not for 8.9; use --flavour rtx"),
    ],
)
def test_gpus_that_cannot_be_built_for(monkeypatch, target, flavour, capabilities, message):
    monkeypatch.setattr(tensorrt_engine.cuda, "capability", lambda: None)
    with pytest.raises(RequestError, match=message):
        tensorrt_engine.capabilities_for(find(target), flavour, TensorRTOptions(compute_capabilities=capabilities))


def test_gpus_that_are_built_for(monkeypatch):
    choose = tensorrt_engine.capabilities_for
    monkeypatch.setattr(tensorrt_engine.cuda, "capability", lambda: None)
    assert choose(find("tensorrt-int8"), "rtx", TensorRTOptions()) == ["8.6", "8.9", "12.0"]
    assert choose(find("tensorrt-fp8"), "rtx", TensorRTOptions()) == ["8.9", "12.0"]
    monkeypatch.setattr(tensorrt_engine.cuda, "capability", lambda: "8.9")
    assert choose(find("tensorrt-int8"), "rtx", TensorRTOptions()) == ["8.9"]
    monkeypatch.setattr(tensorrt_engine.cuda, "capability", lambda: "9.0")
    assert choose(find("tensorrt-int8"), "tensorrt", TensorRTOptions()) == ["9.0"]
    assert choose(find("tensorrt-int8"), "rtx", TensorRTOptions()) == ["8.6", "8.9", "12.0"]


@pytest.mark.parametrize(
    ("available", "gpu", "options", "message"),
    [
        ((), None, {}, r"no TensorRT that can build here is installed; pip install 'qasr\[tensorrt-rtx\]'"),
        (("tensorrt",), None, {}, "no TensorRT that can build here is installed"),
        (
            ("tensorrt",),
            None,
            {"flavour": "tensorrt"},
            "builds engines on the GPU that runs them, and this machine has none",
        ),
        (("tensorrt",), "9.0", {"flavour": "rtx"}, "rtx is not installed; pip install .*, or give --onnx-only"),
        (("tensorrt",), "9.0", {}, None),
        (("rtx",), None, {}, None),
    ],
)
def test_what_is_missing_to_build(monkeypatch, available, gpu, options, message):
    monkeypatch.setattr(tensorrt_engine.tensorrt, "missing", lambda name: None if name in available else name)
    monkeypatch.setattr(tensorrt_engine.cuda, "capability", lambda: gpu)
    reason = tensorrt_engine.unsupported_reason(TensorRTOptions(**options))
    if message is None:
        assert reason is None
    else:
        assert re.search(message, reason)
    check_buildable(resolve(Request(target="tensorrt-int8", engine=TensorRTOptions(onnx_only=True))))


def test_missing_libraries_are_named(monkeypatch):
    monkeypatch.setattr(tensorrt.importlib.util, "find_spec", lambda name: None)
    assert tensorrt.installed() == []
    with pytest.raises(GpuError, match=r"tensorrt_rtx_bindings is not installed; pip install 'qasr\[tensorrt-rtx\]'"):
        tensorrt.load("rtx")
    with pytest.raises(GpuError, match="tensorrt is not installed; pip install tensorrt"):
        tensorrt.load("tensorrt")
