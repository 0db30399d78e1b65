"""Devices of ONNX Runtime, and the error of one line for one that is not available."""

from __future__ import annotations

import dataclasses
import sys
from types import SimpleNamespace

import msgspec
import pytest

from qasr import load
from qasr.runtimes import DeviceError, EngineOptions, load_engine
from qasr.runtimes.onnx import providers as onnx_providers
from qasr.runtimes.onnx.providers import onnxruntime

NAME = "NvTensorRTRTXExecutionProvider"


def one_line(error):
    text = str(error.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("device", ["tpu", "", "cpu:1", "cuda:x"])
def test_an_unknown_device(toy, device):
    with pytest.raises(DeviceError) as error:
        load(toy.folder, device=device)
    assert f"has no device {device!r}; available are cpu, cuda" in one_line(error)


def test_a_missing_device(toy, monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(DeviceError) as error:
        load(toy.folder, device="cuda")
    assert "device 'cuda' needs CUDAExecutionProvider, which this onnxruntime lacks" in one_line(error)


def test_a_device_that_does_not_start_is_an_error(toy, monkeypatch):
    real = onnxruntime.InferenceSession
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    # As ONNX Runtime does if cuDNN is missing.
    monkeypatch.setattr(
        onnxruntime,
        "InferenceSession",
        lambda path, options, providers: real(path, options, providers=["CPUExecutionProvider"]),
    )
    newer = msgspec.structs.replace(toy.manifest, toolchain={"onnxruntime": "99.0"})
    with pytest.raises(DeviceError) as error:
        load_engine(dataclasses.replace(toy, manifest=newer), EngineOptions(device="cuda:0"))
    # The error does not advise a newer release, which would not help.
    assert one_line(error).endswith("or use --device cpu")
    assert "device 'cuda:0': CUDAExecutionProvider does not start here" in one_line(error)


@pytest.fixture
def plugin(monkeypatch, tmp_path):
    """Replaces the plug-in's module by one that finds ``gpus`` GPUs."""
    library = tmp_path / "plugin" / "plugin.so"
    library.parent.mkdir()

    def install(gpus=1, failure=None, *, linked=True):
        devices = []
        if linked:
            library.with_name("libtensorrt_rtx.so").touch()

        def register(name, path):
            assert (name, path) == (NAME, str(library))
            if failure:
                raise RuntimeError(failure)
            devices.extend(SimpleNamespace(ep_name=name, number=number) for number in range(gpus))

        module = SimpleNamespace(get_ep_name=lambda: NAME, get_library_path=lambda: str(library))
        monkeypatch.setitem(sys.modules, "onnxruntime_ep_nv_tensorrt_rtx", module)
        monkeypatch.setattr(onnx_providers.importlib.util, "find_spec", lambda name: name)
        monkeypatch.setattr(onnxruntime, "register_execution_provider_library", register)
        monkeypatch.setattr(onnxruntime, "get_ep_devices", lambda: devices)

    return install


def test_tensorrt_rtx(plugin, monkeypatch, tmp_path):
    """It is registered once, runs on the requested GPU, and keeps the kernels that it compiles in a folder."""
    plugin(gpus=2)
    added = []
    settings = SimpleNamespace(add_provider_for_devices=lambda devices, options: added.append((devices[0], options)))
    opened = SimpleNamespace(get_providers=lambda: [NAME, "CPUExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda path, options, providers: opened)
    for device in ("rtx", "rtx:1"):
        assert onnx_providers.session(tmp_path / "model.onnx", settings, device, tmp_path / "cache") is opened
    assert [device.number for device, _ in added] == [0, 1]
    assert added[0][1] == {"nv_runtime_cache_path": str(tmp_path.resolve() / "cache/tensorrt-rtx")}
    assert (tmp_path / "cache/tensorrt-rtx").is_dir()
    with pytest.raises(DeviceError, match=f"device 'rtx:2': {NAME} sees 2 GPUs here"):
        onnx_providers.session(tmp_path / "model.onnx", settings, "rtx:2", None)


def test_tensorrt_rtx_without_a_driver(toy, plugin):
    plugin(
        failure="[ONNXRuntimeError] : 1 : FAIL : Failed to load library /x.so with error: libcuda.so.1: no such file"
    )
    with pytest.raises(DeviceError) as error:
        load(toy.folder, device="rtx")
    assert one_line(error) == (
        f"device 'rtx': {NAME} does not start here (libcuda.so.1: no such file); it needs an NVIDIA GPU with its driver"
    )


def test_tensorrt_rtx_without_its_links(toy, plugin, tmp_path):
    """Its package creates them when it is first imported by a user who may write to its folder."""
    plugin(linked=False)
    with pytest.raises(DeviceError) as error:
        load(toy.folder, device="rtx")
    assert one_line(error) == (
        f"device 'rtx': {tmp_path / 'plugin'} lacks the link libtensorrt_rtx.so, which its package creates when it is "
        "first imported; as the user who installed it, run python -c 'import onnxruntime_ep_nv_tensorrt_rtx' once"
    )


def test_tensorrt_rtx_that_is_not_installed(toy, monkeypatch):
    monkeypatch.setattr(onnx_providers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DeviceError, match=r"needs onnxruntime_ep_nv_tensorrt_rtx; pip install 'qasr\[tensorrt-rtx\]'"):
        onnx_providers.session(toy.path("model.onnx"), None, "rtx", None)
