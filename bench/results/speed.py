"""Raw samples of time and memory."""

from __future__ import annotations

from typing import NamedTuple

import msgspec


class ProcessRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One child process, from its start to its exit: loads the artifact, then measures."""

    round: int
    """Round 0 loads cold and transcribes the evaluation set; no speed is measured in it."""
    threads: int
    cold: bool
    """True if no compiled model was cached and the artifact's files were not in the page cache."""
    interpreter_seconds: float
    """From the start of the process to the first line of qasr's code."""
    import_seconds: float
    read_seconds: float
    """Reading the manifest and verifying the hashes of all files."""
    compile_seconds: float
    """Creating the engine's session from the files."""
    first_inference_seconds: float
    """The first recording, from samples to transcript."""
    peak_rss_bytes: int
    """Largest resident set of the process."""
    peak_device_bytes: int | None
    """Largest use of GPU memory reported by NVML; None without a GPU."""
    idle_share: float = 1.0
    """Fraction of all cores' time that other processes left free meanwhile."""

    @property
    def load_seconds(self) -> float:
        """From the start of the process to the first transcript."""
        return (
            self.interpreter_seconds
            + self.import_seconds
            + self.read_seconds
            + self.compile_seconds
            + self.first_inference_seconds
        )


class Query(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One query of a scenario: one or several clips, from samples in memory to transcripts."""

    round: int
    clips: int
    audio_seconds: float
    latency_seconds: float
    """From the time of issue (scenario server: of arrival) to the last transcript of the query."""
    features_seconds: float
    inference_seconds: float
    decoding_seconds: float
    """These three are compute time within the latency; waiting in a queue belongs to none of them."""

    @property
    def compute_seconds(self) -> float:
        """Features, inference and decoding."""
        return self.features_seconds + self.inference_seconds + self.decoding_seconds


class Trial(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One arrival rate of the scenario server."""

    round: int
    rate_hz: float
    """Poisson arrivals per second."""
    queries: int
    latency_seconds: float
    """99th percentile."""
    within_bound: bool
    """True if that percentile is within the latency bound."""


class Speed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A scenario at one clip length, thread count and batch size."""

    scenario: str
    clip_seconds: float | None
    threads: int
    batch: int
    """Clips in one inference."""
    queries: list[Query]
    wall_seconds: dict[int, float]
    """Round to the duration of its measurement."""
    trials: list[Trial] = []
    peak_rss_bytes: int
    """Peak of the process up to the end of this scenario; the largest of the rounds."""


class Key(NamedTuple):
    """Two measurements with equal keys are comparable."""

    scenario: str
    clip_seconds: float | None
    threads: int
    batch: int
