"""qasr: put a speech CTC model on every machine that should run it.

``load(folder)`` opens an artifact made by ``qexport``; the result transcribes any audio file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:
    from .runtimes import load

__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    # Loaded on first use, so that the build half never imports the run half through its parent package.
    if name == "load":
        from .runtimes import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
