"""The options of a benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...runtimes import EngineOptions, check
from ..errors import BenchError
from ..results import Key, Settings
from .messages import Measure

SCENARIOS = ("single-stream", "multi-stream", "offline", "server")
"""Names as in MLPerf Inference; implemented in ``scenarios``."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to measure, and for how long. Times are in seconds."""

    scenarios: tuple[str, ...] = ("single-stream", "offline")
    durations: tuple[float | None, ...] = (None,)
    """Clip lengths; None takes unchanged recordings of the evaluation set."""
    threads: tuple[int, ...] = (2,)
    batches: tuple[int, ...] = (8,)
    """Clips in one inference, in every scenario except single-stream."""
    rounds: int = 5
    min_seconds: float = 1.0
    min_queries: int = 24
    timeout_seconds: float = 120.0
    """A child process that sends nothing for this long is killed."""
    device: str = "cpu"
    features: str = "cpu"
    """Device that computes the features."""
    latency_bound_seconds: float = 1.0
    """Bound on the 99th percentile in the scenario server."""
    rate_hz: float | None = None
    """Arrivals per second in the scenario server; None searches for the highest rate within the bound."""
    noise_db: float | None = None
    """Also measure error rates with white noise this many dB below the speech."""
    seed: int = 0

    def check(self) -> None:
        """Raise BenchError or OptionError for options that cannot be measured."""
        unknown = [name for name in self.scenarios if name not in SCENARIOS]
        if unknown:
            raise BenchError(f"no scenario {unknown[0]!r}; choose from {', '.join(SCENARIOS)}")
        for name, values in (
            ("durations", [seconds for seconds in self.durations if seconds is not None]),
            ("batches", self.batches),
            ("rounds", [self.rounds]),
            ("min_queries", [self.min_queries]),
        ):
            if any(value <= 0 for value in values):
                raise BenchError(f"{name} must be above zero, not {min(values):g}")
        if not all((self.scenarios, self.durations, self.threads, self.batches)):
            raise BenchError("nothing to measure: scenarios, durations, threads and batches must not be empty")
        for threads in self.threads:
            check(EngineOptions(device=self.device, threads=threads))

    def keys(self, threads: int) -> list[Key]:
        """All measurements of one child process."""
        return [
            Key(scenario, seconds, threads, batch)
            for seconds in self.durations
            for scenario in self.scenarios
            for batch in ((1,) if scenario == "single-stream" else self.batches)
        ]

    def step(self, key: Key, clips: Sequence[Path]) -> Measure:
        """The step of a plan that measures ``key``."""
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
        """These options as the report stores them."""
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
            noise_db=self.noise_db,
            latency_bound_seconds=self.latency_bound_seconds,
            seed=self.seed,
        )
