"""The conditions of a benchmark: machine, settings and data."""

from __future__ import annotations

import msgspec


class Gpu(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A CUDA device, as NVML describes it."""

    name: str
    driver: str
    memory_bytes: int


class Environment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The machine and its software."""

    processor: str
    cores: int
    """Cores that the process may use."""
    flags: list[str]
    """CPU features that decide which kernels a library uses."""
    governor: str | None
    """Frequency governor; None where the system does not report one."""
    memory_bytes: int
    system: str
    python: str
    libraries: dict[str, str]
    """Installed libraries: name to version."""
    variables: dict[str, str]
    """Environment variables that change what the libraries do."""
    gpus: list[Gpu]
    load_average: float
    """Average of the last minute, before the benchmark began."""
    idle_share: float
    """Fraction of all cores' time that other processes left free during the benchmark; 1 is a quiet machine."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of the benchmark."""

    scenarios: list[str]
    durations: list[float | None]
    """Clip lengths in seconds; None stands for unchanged recordings."""
    threads: list[int]
    batches: list[int]
    rounds: int
    min_seconds: float
    min_queries: int
    """In every round a scenario runs until it has taken ``min_seconds`` and answered ``min_queries``."""
    timeout_seconds: float
    device: str
    latency_bound_seconds: float
    """Bound on the 99th percentile in the scenario server."""
    seed: int
    noise_db: float | None = None
    """Signal-to-noise ratio at which error rates were measured a second time; None if they were not."""
    features: str = "cpu"
    """Device that computes the features."""


class Data(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The labelled recordings."""

    name: str
    sha256: str
    """Hash over audio and labels."""
    recordings: list[str]
    seconds: list[float]
    """Duration of each recording."""
    levels: list[str]
    """Labelled levels."""
