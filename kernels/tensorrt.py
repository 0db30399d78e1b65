"""NVIDIA's TensorRT, in whichever flavour is installed; both have the same Python interface.

``tensorrt``: engines for the data-centre GPU that builds them. ``rtx``: TensorRT-RTX, whose engines are built ahead of
time for RTX GPUs on any machine; its bindings come in one wheel and its libraries in that of an execution provider.
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
# In the order in which they need each other.
_SHARED_OBJECTS = ("libcudart.so.*", "libtensorrt_rtx.so.*", "libtensorrt_onnxparser_rtx.so.*")
RTX_CAPABILITIES = ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1")
"""Compute capabilities of the GPUs that TensorRT-RTX builds for and runs on (its ``ComputeCapability``)."""
INSTALL: dict[Flavour, str] = {
    "tensorrt": "pip install tensorrt (from NVIDIA's index), on a machine with an NVIDIA GPU",
    "rtx": "pip install 'qasr[tensorrt-rtx]'",
}


def missing(flavour: Flavour) -> str | None:
    """The module of ``flavour`` that is not installed, or None."""
    needed = [_MODULES[flavour], *([_RTX_LIBRARIES] if flavour == "rtx" else [])]
    return next((name for name in needed if importlib.util.find_spec(name) is None), None)


def installed() -> list[Flavour]:
    """Flavours that can be loaded here, TensorRT itself first."""
    flavours: tuple[Flavour, ...] = ("tensorrt", "rtx")
    return [flavour for flavour in flavours if missing(flavour) is None]


def load(flavour: Flavour) -> Any:
    """The Python module of ``flavour``. GpuError where it is not installed or its libraries do not load."""
    absent = missing(flavour)
    if absent is not None:
        raise GpuError(f"{absent} is not installed; {INSTALL[flavour]}")
    try:
        if flavour == "rtx":
            _load_rtx_libraries()
        return importlib.import_module(_MODULES[flavour])
    except (OSError, ImportError) as error:
        raise GpuError(f"{_MODULES[flavour]} does not load here ({error})") from None


def _load_rtx_libraries() -> None:
    """The bindings look for their libraries by name, which the loader knows once they are loaded."""
    spec = importlib.util.find_spec(_RTX_LIBRARIES)
    assert spec is not None and spec.origin is not None
    folder = Path(spec.origin).parent
    for pattern in _SHARED_OBJECTS:
        found = sorted(folder.glob(pattern))
        if not found:
            raise OSError(f"{folder} has no {pattern}")
        ctypes.CDLL(str(found[0]), mode=ctypes.RTLD_GLOBAL)


class Log:
    """What TensorRT says, kept; ``make(trt)`` gives the logger to hand over."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def make(self, trt: Any) -> Any:
        """An ``ILogger`` of that module."""
        lines = self.lines

        class Logger(trt.ILogger):  # type: ignore[misc]
            def __init__(self) -> None:
                trt.ILogger.__init__(self)

            def log(self, severity: Any, message: str) -> None:
                lines.append((str(severity).rpartition(".")[2], message))

        return Logger()

    def reason(self) -> str:
        """The last error, without the place in the library's source, as one line."""
        errors = [message for severity, message in self.lines if "ERROR" in severity]
        return " ".join(errors[-1].split()) if errors else "it gave no reason"
