"""How to measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ...runtimes import EngineOptions, check
from ..errors import BenchError
from ..results import Settings
from .messages import Measure

SCENARIOS = ("single-stream", "multi-stream", "offline", "server")
"""MLPerf's; what they do: ``scenarios``."""


class Key(NamedTuple):
    """What makes two measurements comparable."""

    scenario: str
    clip_seconds: float | None
    threads: int
    batch: int


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to measure, and how long. Seconds where nothing else is said."""

    scenarios: tuple[str, ...] = ("single-stream", "offline")
    durations: tuple[float | None, ...] = (None,)
    """Clip lengths; None takes recordings of the evaluation set as they are."""
    threads: tuple[int, ...] = (2,)
    batches: tuple[int, ...] = (8,)
    """Clips that go through the engine together, in every scenario but single-stream."""
    rounds: int = 5
    min_seconds: float = 1.0
    min_queries: int = 24
    timeout_seconds: float = 120.0
    """How long a child may give no sign of life."""
    device: str = "cpu"
    features: str = "cpu"
    """Where audio becomes features."""
    latency_bound_seconds: float = 1.0
    """On the 99th percentile, in the scenario server."""
    rate_hz: float | None = None
    """Arrivals a second in the scenario server; None searches for the highest that holds the bound."""
    seed: int = 0

    def check(self) -> None:
        """Raise BenchError or OptionError for what cannot be measured."""
        unknown = [name for name in self.scenarios if name not in SCENARIOS]
        if unknown:
            raise BenchError(f"no scenario {unknown[0]!r}; there are {', '.join(SCENARIOS)}")
        for name, values in (
            ("durations", [seconds for seconds in self.durations if seconds is not None]),
            ("batches", self.batches),
            ("rounds", [self.rounds]),
            ("min_queries", [self.min_queries]),
        ):
            if any(value <= 0 for value in values):
                raise BenchError(f"{name} must be above zero, not {min(values):g}")
        if not all((self.scenarios, self.durations, self.threads, self.batches)):
            raise BenchError("nothing to measure: scenarios, durations, threads and batches need a value each")
        for threads in self.threads:
            check(EngineOptions(device=self.device, threads=threads))

    def keys(self, threads: int) -> list[Key]:
        """Everything to measure in one visit."""
        return [
            Key(scenario, seconds, threads, batch)
            for seconds in self.durations
            for scenario in self.scenarios
            for batch in ((1,) if scenario == "single-stream" else self.batches)
        ]

    def step(self, key: Key, clips: Sequence[Path]) -> Measure:
        """The step that measures it."""
        return Measure(
            scenario=key.scenario,
            clips=[str(clip) for clip in clips],
            batch=key.batch,
            min_seconds=self.min_seconds,
            min_queries=self.min_queries,
            latency_bound_seconds=self.latency_bound_seconds,
            rate_hz=self.rate_hz,
            seed=self.seed,
        )

    def settings(self) -> Settings:
        """For the report."""
        return Settings(
            scenarios=list(self.scenarios),
            durations=list(self.durations),
            threads=list(self.threads),
            batches=list(self.batches),
            rounds=self.rounds,
            min_seconds=self.min_seconds,
            min_queries=self.min_queries,
            timeout_seconds=self.timeout_seconds,
            device=self.device,
            features=self.features,
            latency_bound_seconds=self.latency_bound_seconds,
            seed=self.seed,
        )
