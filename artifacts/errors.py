"""Errors of artifacts; each message names the file and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import QasrError


class ArtifactError(QasrError):
    """An artifact that cannot be written or read."""


class ArtifactNotFoundError(ArtifactError, FileNotFoundError):
    """An artifact, or one of its files, that does not exist."""


class ArtifactExistsError(ArtifactError, FileExistsError):
    """An output that exists already and may not be replaced."""


class OutputBusyError(ArtifactError):
    """An output to which another process is writing."""

    def __init__(self, output: Path) -> None:
        super().__init__(
            f"{output}: another process is writing to it; wait until it has finished, or choose another output folder"
        )
        self.output = output

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.output,)


class ArtifactChangedError(ArtifactError):
    """A file that differs from its description in the manifest."""


class ManifestError(ArtifactError, ValueError):
    """A manifest that is damaged, contradicts itself, or has another schema version."""
