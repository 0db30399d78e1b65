"""The version of qasr, which ``setup.cfg`` reads from here, and what is installed of libraries."""

from __future__ import annotations

import importlib.metadata
import importlib.util

__version__ = "0.1.0"


def version_of(library: str) -> str:
    """Release of ``library`` installed here. Raises importlib.metadata.PackageNotFoundError."""
    return importlib.metadata.version(distribution(library))


def installed(module: str) -> bool:
    """Whether a module, or a part of one, can be imported here."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package that it is a part of
        return False


def distribution(library: str) -> str:
    """The name under which ``library`` is installed: its build for GPUs may have one of its own."""
    try:
        importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return f"{library}-gpu"
    return library
