"""ONNX Runtime's execution providers: CPU, CUDA, and NVIDIA's plug-in TensorRT-RTX."""

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

from ...errors import first_line
from ..errors import DeviceError, RuntimeLoadError

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_WARNING, _FATAL = 2, 4
_PLUGIN = "rtx"
_PLUGIN_MODULE = "onnxruntime_ep_nv_tensorrt_rtx"
_LINKED = "libtensorrt_rtx.so"


def session(path: Path, settings: Any, device: str, cache: Path | None) -> onnxruntime.InferenceSession:
    """A session on ``device``: cpu, cuda, rtx, or cuda:1 and rtx:1.

    TensorRT-RTX compiles kernels at load and keeps them in ``cache``. Raises DeviceError if the device or its provider
    is missing, RuntimeLoadError if ONNX Runtime cannot load the model.
    """
    name, colon, index = device.partition(":")
    if name not in (*_PROVIDERS, _PLUGIN) or (colon and (name == "cpu" or not index.isdecimal())):
        names = ", ".join((*_PROVIDERS, _PLUGIN))
        raise DeviceError(f"ONNX Runtime has no device {device!r}; available are {names}, cuda:N and {_PLUGIN}:N")
    if name == _PLUGIN:
        provider, providers = _plug_in(settings, device, int(index or 0), cache), None
    else:
        provider = _built_in(device, _PROVIDERS[name])
        if name == "cuda":
            # Loads CUDA and cuDNN from their wheels if these are installed, and prints what it does not find.
            with contextlib.redirect_stdout(io.StringIO()):
                onnxruntime.preload_dlls()
        providers = [(provider, {"device_id": index} if index else {})]
    try:
        with _silent():
            opened = onnxruntime.InferenceSession(str(path), settings, providers=providers)
    except Exception as error:  # onnxruntime's exceptions have no common base
        raise RuntimeLoadError(f"{path}: ONNX Runtime cannot load it ({first_line(error)})") from None
    # If libraries of a provider are missing, ONNX Runtime warns and uses the CPU instead.
    if provider not in opened.get_providers():
        raise DeviceError(
            f"device {device!r}: {provider} does not start here; check the driver, CUDA and cuDNN, or use --device cpu"
        )
    return opened


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """ONNX Runtime does not print why a provider does not start; our error says it."""
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
    """Add TensorRT-RTX on its GPU ``index`` to ``settings``, and return the provider's name."""
    if importlib.util.find_spec(_PLUGIN_MODULE) is None:
        raise DeviceError(f"device {device!r} needs {_PLUGIN_MODULE}; pip install 'qasr[tensorrt-rtx]'")
    logging.getLogger(_PLUGIN_MODULE).setLevel(logging.ERROR)  # it warns of links that it cannot create
    plugin = importlib.import_module(_PLUGIN_MODULE)
    provider: str = plugin.get_ep_name()
    library = Path(plugin.get_library_path())
    if library.suffix == ".so" and not library.with_name(_LINKED).exists():
        raise DeviceError(
            f"device {device!r}: {library.parent} lacks the link {_LINKED}, which its package creates when it is first "
            f"imported; as the user who installed it, run python -c 'import {_PLUGIN_MODULE}' once"
        )
    if not _devices(provider):
        try:
            with _silent():
                onnxruntime.register_execution_provider_library(provider, str(library))
        except Exception as error:  # onnxruntime's exceptions have no common base
            reason = first_line(error).rpartition("with error: ")[2]
            raise DeviceError(
                f"device {device!r}: {provider} does not start here ({reason}); it needs an NVIDIA GPU with its driver"
            ) from None
    devices = _devices(provider)
    if index >= len(devices):
        raise DeviceError(f"device {device!r}: {provider} sees {len(devices)} GPUs here; use --device cpu")
    options = {}
    if cache is not None:
        kernels = cache.resolve() / "tensorrt-rtx"
        kernels.mkdir(parents=True, exist_ok=True)
        options["nv_runtime_cache_path"] = str(kernels)
    settings.add_provider_for_devices([devices[index]], options)
    return provider


def _devices(provider: str) -> list[Any]:
    return [device for device in onnxruntime.get_ep_devices() if device.ep_name == provider]
