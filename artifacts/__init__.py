"""The artifact on disk: a self-contained folder that one half of qasr writes and the other half runs."""

from __future__ import annotations

from .errors import (
    ArtifactChangedError,
    ArtifactError,
    ArtifactExistsError,
    ArtifactNotFoundError,
    ManifestError,
)
from .folder import Artifact, Staging, create, put_in_place, read
from .hashing import sha256_of_file
from .labels import token_ids, tokenize
from .manifest import (
    MANIFEST_NAME,
    SCHEMA_VERSION,
    Calibration,
    Fidelity,
    FileEntry,
    InputLimits,
    LevelVocabulary,
    Manifest,
    Parity,
    Precision,
    Source,
)
from .subsampling import Stride, output_index, output_lengths, output_rate

__all__ = [
    "MANIFEST_NAME",
    "SCHEMA_VERSION",
    "Artifact",
    "ArtifactChangedError",
    "ArtifactError",
    "ArtifactExistsError",
    "ArtifactNotFoundError",
    "Calibration",
    "Fidelity",
    "FileEntry",
    "InputLimits",
    "LevelVocabulary",
    "Manifest",
    "ManifestError",
    "Parity",
    "Precision",
    "Source",
    "Staging",
    "Stride",
    "create",
    "output_index",
    "output_lengths",
    "output_rate",
    "put_in_place",
    "read",
    "sha256_of_file",
    "token_ids",
    "tokenize",
]
