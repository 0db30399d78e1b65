"""``manifest.json``: what an artifact is, asked for and achieved, as a typed and versioned schema.

It holds nothing that differs between two equal exports (no date, no path of the building machine, no time
taken), so the same input and the same seed give the same digest.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from .errors import ManifestError

MANIFEST_NAME = "manifest.json"
SCHEMA_VERSION = 2


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The checkpoint that the artifact was made from."""

    name: str
    """Hub id, folder name, or the name of a built-in model."""
    revision: str | None
    """Commit on the Hub; None for a folder."""
    sha256: str
    """Hash over the checkpoint's configuration, vocabulary and weight files."""
    architecture: str
    parameters: int
    trained_from: str | None = None
    """Of checkpoints trained while quantized: the hash of the one that they began as."""


class LevelVocabulary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The CTC output of one head."""

    tokens: list[str]
    """Token texts; the index is the id."""
    blank: int
    specials: list[int] = []
    """Ids that never appear in a text (padding, unknown, sentence marks), the blank among them."""
    word_delimiter: str | None = None
    """The token that stands for a space, in vocabularies that write words."""


class InputLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Shapes that the model accepts: features are (batch, frames, feature_size) float32."""

    feature_size: int
    min_frames: int = 1
    max_frames: int | None = None
    max_batch: int | None = None


class Precision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was asked for, and what was counted in the artifact as built."""

    asked: str
    weight_bytes: dict[str, int]
    """Stored bytes of the weights by dtype."""
    operators: dict[str, int]
    """Operator counts of the file as written."""
    kernels: dict[str, int]
    """What the engine executed on the machine that exported: kernel to number of nodes."""
    quantized_layers: int = 0
    """Layers of the model that are quantized."""
    integer_kernels: int = 0
    """Those of ``kernels`` that take quantized weights as integers."""


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The audio that fixed the activation ranges."""

    name: str
    sha256: str
    utterances: int
    seconds: float
    observer: str


class Parity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The artifact, loaded in a fresh process, against the torch model that it was made from."""

    audio: str
    clips: int
    frames: int
    relative_error: float
    """Root of the summed squared differences of all logits over that of the torch model's logits."""
    tolerance: float
    """The relative error from which the export would have failed."""
    max_abs_error: float
    argmax_agreement: float
    """Share of frames and levels whose best token is the same, 0 to 1."""


class Fidelity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The artifact against the unquantized fp32 model, on the same clips."""

    relative_error: float
    argmax_agreement: float
    disagreement: dict[str, float]
    """Per level: edit distance between the two greedy transcripts over the length of fp32's, 0 to 1."""


class FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of the artifact."""

    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole of ``manifest.json``."""

    schema_version: int = SCHEMA_VERSION
    qasr_version: str
    target: str
    engine: str
    method: str | None
    source: Source
    precision: Precision
    levels: dict[str, LevelVocabulary]
    features: dict[str, Any]
    """The checkpoint's ``preprocessor_config.json``."""
    frame_rate_hz: float
    """Logit frames per second of audio."""
    subsampling: list[tuple[int, int, int]] = []
    """Strided convolutions after the encoder, as (kernel, stride, padding); none for most checkpoints."""
    limits: InputLimits
    calibration: Calibration | None = None
    options: dict[str, Any] = {}
    """The options that shaped the artifact, by name."""
    execution: dict[str, str] = {}
    """How the engine has to be set up to compute what was asked for."""
    toolchain: dict[str, str]
    """Versions of the libraries that built it."""
    parity: Parity | None = None
    fidelity: Fidelity | None = None
    files: dict[str, FileEntry] = {}
    digest: str = ""
    """SHA-256 of this manifest with an empty digest: since it covers every file's hash, the artifact's identity."""

    def encode(self) -> bytes:
        """The manifest as indented JSON, UTF-8."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    def sealed(self) -> Manifest:
        """A copy that carries its own digest."""
        blank = msgspec.structs.replace(self, digest="")
        return msgspec.structs.replace(blank, digest=hashlib.sha256(blank.encode()).hexdigest())


class _Versioned(msgspec.Struct):
    schema_version: int


def decode(data: bytes, name: str) -> Manifest:
    """A manifest from the bytes of ``manifest.json``; ``name`` is the file's name for messages.

    Raises ManifestError for anything that is not a sound manifest of this schema version.
    """
    try:
        version = msgspec.json.decode(data, type=_Versioned).schema_version
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ManifestError(f"{name}: not a qasr manifest ({error}); export the artifact again") from None
    if version != SCHEMA_VERSION:
        raise ManifestError(
            f"{name}: schema version {version} is not known to this qasr, which reads version {SCHEMA_VERSION}; "
            + ("install a newer qasr" if version > SCHEMA_VERSION else "export the artifact again")
        )
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ManifestError(f"{name}: not a sound manifest ({error}); export the artifact again") from None
    if manifest.sealed().digest != manifest.digest:
        raise ManifestError(
            f"{name}: changed since it was written (its digest does not match); export the artifact again"
        )
    return manifest
