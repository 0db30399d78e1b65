"""The artifact: a self-contained folder that the build half writes and the run half reads."""

from __future__ import annotations

from .errors import (
    ArtifactChangedError,
    ArtifactError,
    ArtifactExistsError,
    ArtifactNotFoundError,
    ManifestError,
    OutputBusyError,
)
from .folder import Artifact, read
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
    decode,
)
from .staging import Staging, create, put_in_place, staging_folder
from .subsampling import Stride, output_index, output_lengths, output_rate
from .text import text_of, token_text

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
    "OutputBusyError",
    "Parity",
    "Precision",
    "Source",
    "Staging",
    "Stride",
    "create",
    "decode",
    "output_index",
    "output_lengths",
    "output_rate",
    "put_in_place",
    "read",
    "sha256_of_file",
    "staging_folder",
    "text_of",
    "token_ids",
    "token_text",
    "tokenize",
]
