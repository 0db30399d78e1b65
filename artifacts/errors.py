"""What can be wrong with an artifact; each message names the file and what to do."""

from __future__ import annotations

from ..errors import QasrError


class ArtifactError(QasrError):
    """An artifact that cannot be written or read."""


class ArtifactNotFoundError(ArtifactError, FileNotFoundError):
    """No artifact, or a file of it, at the place named."""


class ArtifactExistsError(ArtifactError, FileExistsError):
    """The output exists already and may not be replaced."""


class ArtifactChangedError(ArtifactError):
    """A file differs from what its manifest says."""


class ManifestError(ArtifactError, ValueError):
    """A manifest that is no manifest of a version known here."""
