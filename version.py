"""The version of qasr, which ``setup.cfg`` reads from here, and those of libraries."""

from __future__ import annotations

import importlib.metadata

__version__ = "0.1.0"


def version_of(library: str) -> str:
    """Release of ``library`` installed here, whose build for GPUs may go by a name of its own.

    Raises importlib.metadata.PackageNotFoundError.
    """
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return importlib.metadata.version(f"{library}-gpu")
