"""ONNX Runtime's execution providers: the CPU's, CUDA's, and NVIDIA's plug-in TensorRT-RTX."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnxruntime

from ..errors import DeviceError, RuntimeLoadError

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_WARNING, _FATAL = 2, 4
_PLUGIN = "rtx"
_PLUGIN_MODULE = "onnxruntime_ep_nv_tensorrt_rtx"
_LINKED = "libtensorrt_rtx.so"


def session(path: Path, settings: Any, device: str, cache: Path | None) -> onnxruntime.InferenceSession:
    """A session on ``device``: cpu, cuda, rtx, or cuda:1 and rtx:1.

    TensorRT-RTX compiles kernels at load; they are kept in ``cache``. Raises DeviceError where the device or its
    provider is not there, RuntimeLoadError where ONNX Runtime cannot load the model.
    """
    name, colon, index = device.partition(":")
    if name not in (*_PROVIDERS, _PLUGIN) or (colon and (name == "cpu" or not index.isdecimal())):
        there = ", ".join((*_PROVIDERS, _PLUGIN))
        raise DeviceError(f"ONNX Runtime has no device {device!r}; there are {there}, cuda:N and {_PLUGIN}:N")
    if name == _PLUGIN:
        wanted, providers = _plug_in(settings, device, int(index or 0), cache), None
    else:
        wanted = _built_in(device, _PROVIDERS[name])
        if name == "cuda":
            with contextlib.redirect_stdout(
                io.StringIO()
            ):  # CUDA and cuDNN from their wheels, where they are installed
                onnxruntime.preload_dlls()
        providers = [(wanted, {"device_id": index} if index else {})]
    try:
        with _silent():
            made = onnxruntime.InferenceSession(str(path), settings, providers=providers)
    except Exception as error:  # onnxruntime's exceptions share no base of their own
        raise RuntimeLoadError(f"{path}: ONNX Runtime cannot load it ({first_line(error)})") from None
    # Where a provider's own libraries are missing, ONNX Runtime warns and takes the CPU instead.
    if wanted not in made.get_providers():
        raise DeviceError(
            f"device {device!r}: {wanted} does not start here; check the driver, CUDA and cuDNN, or use --device cpu"
        )
    return made


def first_line(error: Exception) -> str:
    """What ONNX Runtime says before the traces of its own code."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Within, ONNX Runtime does not print why a provider does not start, which is said once, by us."""
    onnxruntime.set_default_logger_severity(_FATAL)
    try:
        yield
    finally:
        onnxruntime.set_default_logger_severity(_WARNING)


def _built_in(device: str, provider: str) -> str:
    available = onnxruntime.get_available_providers()
    if provider not in available:
        raise DeviceError(
            f"device {device!r} needs {provider}, which this onnxruntime lacks (it has {', '.join(available)}); "
            "install onnxruntime-gpu on a machine with a GPU, or use --device cpu"
        )
    return provider


def _plug_in(settings: Any, device: str, index: int, cache: Path | None) -> str:
    """Tell ``settings`` of TensorRT-RTX on its GPU ``index``; the provider's name."""
    if importlib.util.find_spec(_PLUGIN_MODULE) is None:
        raise DeviceError(f"device {device!r} needs {_PLUGIN_MODULE}; pip install 'qasr[tensorrt-rtx]'")
    logging.getLogger(_PLUGIN_MODULE).setLevel(logging.ERROR)  # of links that it may not make, see below
    plugin = importlib.import_module(_PLUGIN_MODULE)
    provider: str = plugin.get_ep_name()
    library = Path(plugin.get_library_path())
    if library.suffix == ".so" and not library.with_name(_LINKED).exists():
        raise DeviceError(
            f"device {device!r}: {library.parent} lacks the link {_LINKED}, which its package makes when it is first "
            f"imported; as the user who installed it, run python -c 'import {_PLUGIN_MODULE}' once"
        )
    if not _devices(provider):
        try:
            with _silent():
                onnxruntime.register_execution_provider_library(provider, str(library))
        except Exception as error:  # as above
            reason = first_line(error).rpartition("with error: ")[2]
            raise DeviceError(
                f"device {device!r}: {provider} does not start here ({reason}); it needs an NVIDIA GPU with its driver"
            ) from None
    devices = _devices(provider)
    if index >= len(devices):
        raise DeviceError(f"device {device!r}: {provider} sees {len(devices)} GPUs here; use --device cpu")
    options = {}
    if cache is not None:
        kept = cache.resolve() / "tensorrt-rtx"
        kept.mkdir(parents=True, exist_ok=True)
        options["nv_runtime_cache_path"] = str(kept)
    settings.add_provider_for_devices([devices[index]], options)
    return provider


def _devices(provider: str) -> list[Any]:
    return [device for device in onnxruntime.get_ep_devices() if device.ep_name == provider]
