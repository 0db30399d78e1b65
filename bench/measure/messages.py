"""The protocol between a benchmark and its child processes: a plan on stdin, one answer per line on stdout."""

from __future__ import annotations

import msgspec

from ..results import Query, Trial


class Transcribe(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Transcribe recordings, untimed; answered by ``Transcripts``."""

    recordings: list[str]


class Logits(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Write the logits of the recordings' first windows to the npz file ``output``; answered by ``Written``."""

    recordings: list[str]
    output: str


class Measure(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Repeat a scenario over the clips until both minima are reached; answered by ``Measured``."""

    scenario: str
    clips: list[str]
    batch: int
    min_seconds: float
    min_queries: int
    latency_bound_seconds: float
    rate_hz: float | None
    """Arrival rate of the scenario server; None searches for the highest within the bound."""
    seed: int


Step = Transcribe | Logits | Measure


class Plan(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Everything that a child process has to do."""

    artifact: str
    device: str
    features: str
    threads: int
    cache: str
    """Folder for compiled models."""
    round: int
    first: str
    """The recording whose transcript ends the load time."""
    steps: list[Step]


class Loaded(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The first answer: the parts of the load time."""

    interpreter_seconds: float
    import_seconds: float
    read_seconds: float
    compile_seconds: float
    first_inference_seconds: float


class Alive(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A query was answered, and the step continues."""


class Transcripts(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Tokens by level, for each recording."""

    tokens: list[dict[str, list[str]]]


class Written(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The logits are written."""


class Measured(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Raw samples of a scenario."""

    queries: list[Query]
    wall_seconds: float
    trials: list[Trial]
    transcripts: list[list[str]]
    """Tokens of the first level for each clip, from its last timed transcription."""
    peak_rss_bytes: int


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The last answer."""

    peak_rss_bytes: int


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The last answer of a child process that failed."""

    reason: str


Answer = Loaded | Alive | Transcripts | Written | Measured | Ended | Failed
