"""The version of qasr, which ``setup.cfg`` reads from here, and versions of installed libraries."""

from __future__ import annotations

import importlib.metadata
import importlib.util

__version__ = "0.1.0"


def version_of(library: str) -> str:
    """Version of ``library`` as installed. Raises importlib.metadata.PackageNotFoundError."""
    return importlib.metadata.version(distribution(library))


def installed(module: str) -> bool:
    """Whether a module or submodule can be imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the parent package
        return False


def distribution(library: str) -> str:
    """Name of the distribution that provides ``library``: its GPU build may have a name of its own."""
    try:
        importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return f"{library}-gpu"
    return library
