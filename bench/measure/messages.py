"""What a benchmark and its child processes say to each other: a plan on stdin, an answer a line on stdout."""

from __future__ import annotations

import msgspec

from ..results import Query, Trial


class Transcribe(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Transcribe recordings, untimed; answered by ``Transcripts``."""

    recordings: list[str]


class Logits(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Write the logits of recordings (of their first window) to ``output``, an npz; answered by ``Written``."""

    recordings: list[str]
    output: str


class Measure(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Run a scenario over clips, again and again until the minima are met; answered by ``Measured``."""

    scenario: str
    clips: list[str]
    batch: int
    min_seconds: float
    min_queries: int
    latency_bound_seconds: float
    rate_hz: float | None
    """Arrival rate of the scenario server; None searches for the highest that holds the bound."""
    seed: int


Step = Transcribe | Logits | Measure


class Plan(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The whole life of a child process."""

    artifact: str
    device: str
    features: str
    threads: int
    cache: str
    """Folder for compiled models."""
    round: int
    first: str
    """The recording with which loading ends."""
    steps: list[Step]


class Loaded(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The first answer."""

    interpreter_seconds: float
    import_seconds: float
    read_seconds: float
    compile_seconds: float
    first_seconds: float


class Alive(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A query was answered; the step goes on."""


class Transcripts(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Per recording, level to tokens."""

    tokens: list[dict[str, list[str]]]


class Written(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The logits are there."""


class Measured(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Raw samples of a scenario."""

    queries: list[Query]
    wall_seconds: float
    trials: list[Trial]
    transcripts: list[list[str]]
    """Tokens of the first level, per clip, from the last time that it was heard while the clock ran."""
    peak_rss_bytes: int


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The last answer."""

    peak_rss_bytes: int


class Broken(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The last answer of a child that could not go on."""

    reason: str


Answer = Loaded | Alive | Transcripts | Written | Measured | Ended | Broken
