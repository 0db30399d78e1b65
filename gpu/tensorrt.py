"""NVIDIA's TensorRT in its two flavours, which have the same Python interface.

``tensorrt``: builds engines for the GPU of the building machine. ``rtx``: TensorRT-RTX, which builds engines for RTX
GPUs on any machine. Its bindings come in one wheel, its libraries in that of an ONNX Runtime execution provider.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
from pathlib import Path
from typing import Any, Literal

from .errors import GpuError

Flavour = Literal["tensorrt", "rtx"]

_MODULES: dict[Flavour, str] = {"tensorrt": "tensorrt", "rtx": "tensorrt_rtx_bindings"}
_RTX_LIBRARIES = "onnxruntime_ep_nv_tensorrt_rtx"
# Each needs those before it.
_SHARED_OBJECTS = ("libcudart.so.*", "libtensorrt_rtx.so.*", "libtensorrt_onnxparser_rtx.so.*")
RTX_CAPABILITIES = ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1")
"""Compute capabilities that TensorRT-RTX supports (its ``ComputeCapability``)."""
INSTALL: dict[Flavour, str] = {
    "tensorrt": "pip install tensorrt (from NVIDIA's index), on a machine with an NVIDIA GPU",
    "rtx": "pip install 'qasr[tensorrt-rtx]'",
}


def missing(flavour: Flavour) -> str | None:
    """Name of a module of ``flavour`` that is not installed; None if all are."""
    needed = [_MODULES[flavour], *([_RTX_LIBRARIES] if flavour == "rtx" else [])]
    return next((name for name in needed if importlib.util.find_spec(name) is None), None)


def installed() -> list[Flavour]:
    """Installed flavours, ``tensorrt`` first."""
    flavours: tuple[Flavour, ...] = ("tensorrt", "rtx")
    return [flavour for flavour in flavours if missing(flavour) is None]


def load(flavour: Flavour) -> Any:
    """Import the module of ``flavour``. Raises GpuError if it is not installed or its libraries do not load."""
    name = missing(flavour)
    if name is not None:
        raise GpuError(f"{name} is not installed; {INSTALL[flavour]}")
    try:
        if flavour == "rtx":
            _load_rtx_libraries()
        return importlib.import_module(_MODULES[flavour])
    except (OSError, ImportError) as error:
        raise GpuError(f"{_MODULES[flavour]} does not load here ({error})") from None


def _load_rtx_libraries() -> None:
    """Load the libraries first: the bindings find them by name once they are loaded."""
    spec = importlib.util.find_spec(_RTX_LIBRARIES)
    assert spec is not None and spec.origin is not None
    folder = Path(spec.origin).parent
    for pattern in _SHARED_OBJECTS:
        libraries = sorted(folder.glob(pattern))
        if not libraries:
            raise OSError(f"{folder} has no {pattern}")
        ctypes.CDLL(str(libraries[0]), mode=ctypes.RTLD_GLOBAL)


class Log:
    """Messages of TensorRT; ``make(trt)`` returns the logger that collects them."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def make(self, trt: Any) -> Any:
        """A new ``ILogger`` of the module ``trt``."""
        lines = self.lines

        class Logger(trt.ILogger):  # type: ignore[misc]
            def __init__(self) -> None:
                trt.ILogger.__init__(self)

            def log(self, severity: Any, message: str) -> None:
                lines.append((str(severity).rpartition(".")[2], message))

        return Logger()

    def reason(self) -> str:
        """The last error, as one line."""
        errors = [message for severity, message in self.lines if "ERROR" in severity]
        return " ".join(errors[-1].split()) if errors else "it gave no reason"
