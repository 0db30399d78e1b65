"""``manifest.json``: the typed and versioned description of an artifact, requested and achieved.

It contains nothing that differs between two equal exports (no date, no duration, no path of the exporting machine), so
the same input and the same seed give the same digest.
"""

from __future__ import annotations

import hashlib
from math import isclose
from typing import Any

import msgspec

from ..audio.frontends import FrontEnd
from ..audio.integers import Integers
from .errors import ManifestError
from .subsampling import Stride, output_lengths, output_rate

MANIFEST_NAME = "manifest.json"
SCHEMA_VERSION = 3


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
    """For a checkpoint from quantization-aware training: the hash of the checkpoint that it was trained from."""


class LevelVocabulary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The CTC output of one head."""

    tokens: list[str]
    """Token texts; the index is the id."""
    blank: int
    specials: list[int] = []
    """Ids that never appear in a text (padding, unknown, sentence marks), including the blank."""
    word_delimiter: str | None = None
    """The token between words, in vocabularies that separate words."""
    space: str = " "
    """What the word delimiter is in a text."""
    lower_case: bool = False
    """Whether texts are in lower case; the tokens are not."""
    clean_up_spaces: bool = False
    """Whether texts lose the spaces in front of English punctuation and contractions."""


class InputLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Batches that the model accepts, in clips and in input frames of its front end."""

    min_frames: int = 1
    max_frames: int | None = None
    max_batch: int | None = None


class Precision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The requested precision, and what was counted in the artifact."""

    requested: str
    weight_bytes: dict[str, int]
    """Stored bytes of the weights by dtype."""
    operators: dict[str, int]
    """Operators in the model file, by type."""
    kernels: dict[str, int]
    """Nodes that the engine executed on the exporting machine, by kernel."""
    quantized_layers: int = 0
    """Quantized layers of the model."""
    integer_kernels: int = 0
    """The nodes in ``kernels`` that multiply by quantized weights as integers."""


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The audio from which activation ranges were measured."""

    name: str
    sha256: str
    utterances: int
    seconds: float
    observer: str


class Parity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The artifact, loaded in a fresh process, compared with the torch model that it was exported from."""

    audio: str
    clips: int
    frames: int
    relative_error: float
    """Euclidean norm of the difference of all logits, divided by that of the torch model's logits."""
    tolerance: float
    """Relative error above which the export fails."""
    max_abs_error: float
    argmax_agreement: float
    """Share of frames, over all levels, that have the same best token, 0 to 1."""


class Fidelity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The artifact compared with the fp32 model, on the same clips."""

    relative_error: float
    argmax_agreement: float
    disagreement: dict[str, float]
    """By level: edit distance between the two greedy transcripts, divided by the length of that of fp32."""


class FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of the artifact."""

    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The content of ``manifest.json``."""

    schema_version: int = SCHEMA_VERSION
    qasr_version: str
    target: str
    engine: str
    method: str | None
    source: Source
    precision: Precision
    levels: dict[str, LevelVocabulary]
    front_end: FrontEnd
    """What turns samples into the model's input."""
    frame_rate_hz: float
    """Frames of logits per second of audio."""
    strides: list[Stride] = []
    """The model's strided convolutions over time, in order."""
    limits: InputLimits
    calibration: Calibration | None = None
    options: dict[str, Any] = {}
    """The options that shaped the artifact, by name."""
    execution: dict[str, str] = {}
    """Settings of the engine that the requested precision needs."""
    toolchain: dict[str, str]
    """Versions of the libraries that exported it."""
    parity: Parity | None = None
    fidelity: Fidelity | None = None
    files: dict[str, FileEntry] = {}
    digest: str = ""
    """SHA-256 of this manifest with an empty digest. It covers every file, so it identifies the artifact."""

    def encode(self) -> bytes:
        """The manifest as indented JSON, UTF-8."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    def output_lengths(self, lengths: Integers) -> Integers:
        """Valid frames of logits of recordings with ``lengths`` raw frames."""
        return output_lengths(lengths, self.front_end, self.strides)

    def sealed(self) -> Manifest:
        """A copy with its digest."""
        blank = msgspec.structs.replace(self, digest="")
        return msgspec.structs.replace(blank, digest=hashlib.sha256(blank.encode()).hexdigest())


class _Versioned(msgspec.Struct):
    schema_version: int


def decode(data: bytes, name: str) -> Manifest:
    """A manifest from the bytes of ``manifest.json``; ``name`` is the file's name for messages.

    Raises ManifestError for another schema version, and for a damaged manifest or one that contradicts itself.
    """
    try:
        version = msgspec.json.decode(data, type=_Versioned).schema_version
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ManifestError(f"{name}: not a qasr manifest ({error}); export the artifact again") from None
    if version < SCHEMA_VERSION:
        raise ManifestError(f"{name}: was written by an older qasr (schema {version}); export it again")
    if version > SCHEMA_VERSION:
        raise ManifestError(
            f"{name}: was written by a newer qasr (schema {version}, and this one reads {SCHEMA_VERSION}); "
            "install a newer qasr"
        )
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ManifestError(f"{name}: a damaged manifest ({error}); export the artifact again") from None
    if manifest.sealed().digest != manifest.digest:
        raise ManifestError(
            f"{name}: changed since it was written (its digest does not match); export the artifact again"
        )
    problems = contradictions(manifest)
    if problems:
        raise ManifestError(f"{name}: contradicts itself ({'; '.join(problems)}); export the artifact again")
    return manifest


def contradictions(manifest: Manifest) -> list[str]:
    """Everything in ``manifest`` that cannot be true together; empty for a sound manifest."""
    problems = [] if manifest.levels else ["it has no levels"]
    for level, vocabulary in manifest.levels.items():
        size = len(vocabulary.tokens)
        outside = sorted({index for index in (vocabulary.blank, *vocabulary.specials) if not 0 <= index < size})
        if outside:
            problems.append(f"level {level} has {size} tokens, but its blank or specials name {outside}")
        if vocabulary.word_delimiter is not None and vocabulary.word_delimiter not in vocabulary.tokens:
            problems.append(f"level {level} has no token {vocabulary.word_delimiter!r}, its word_delimiter")
    rate = output_rate(manifest.front_end.frames_per_second, manifest.strides)
    if not isclose(manifest.frame_rate_hz, rate, rel_tol=1e-6):
        problems.append(f"frame_rate_hz is {manifest.frame_rate_hz:g}, but front_end and strides give {rate:g}")
    limits = manifest.limits
    if limits.min_frames < 1 or (limits.max_frames is not None and limits.max_frames < limits.min_frames):
        problems.append(f"limits are {limits.min_frames} to {limits.max_frames} frames")
    if limits.max_batch is not None and limits.max_batch < 1:
        problems.append(f"limits.max_batch is {limits.max_batch}")
    return problems
