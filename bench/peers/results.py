"""The results of a comparison, and the ratios computed from them."""

from __future__ import annotations

from statistics import median

import msgspec

from .candidates import BASELINE, Candidate
from .floor import ALL_LAYERS, FRAMES_PER_SECOND

FLOOR = "floor"


class Outcome(msgspec.Struct):
    """Figures of a candidate that ran alone. If ``error`` is set, the other fields are meaningless."""

    error: str | None = None
    execution: str = ""
    """The precision that the engine reports."""
    peak_bytes: int = 0
    """Largest resident set of a process that loads and transcribes the longest clip once."""
    load_seconds: list[float] = []
    """From the start of a process to its first result, on the first clip."""
    ids: list[int] = []
    """Transcript of the first clip."""
    idle_share: float = 0.0
    """Fraction of one core used while others were measured."""


class Sample(msgspec.Struct, frozen=True):
    """One transcription. Samples of the same group and turn were taken right after each other."""

    name: str
    clip: str
    """Seconds of the clip; empty for the floor."""
    group: int
    turn: int
    seconds: float
    rates: dict[str, float]
    """The floor's integer operations per second, by product."""


class Entry(msgspec.Struct, frozen=True):
    """A candidate and its outcome."""

    candidate: Candidate
    outcome: Outcome
    bytes: int
    """Size of its files."""


class Ratio(msgspec.Struct, frozen=True):
    """How many times faster, slower or larger ``name`` is than ``against``; ``what`` is the unit in words."""

    what: str
    name: str
    against: str
    value: float


class Results(msgspec.Struct, frozen=True):
    """All results of a comparison."""

    command: str
    environment: dict[str, str]
    model: str
    parameters: int
    durations: list[int]
    rounds: int
    threads: int
    entries: list[Entry]
    samples: list[Sample]
    floor_missing: dict[str, str]

    @property
    def clips(self) -> list[str]:
        """Names of the clips, which are their seconds."""
        return [str(seconds) for seconds in self.durations]

    def alive(self) -> list[Entry]:
        """Candidates without a failure."""
        return [entry for entry in self.entries if entry.outcome.error is None]

    def seconds(self, name: str, clip: str) -> float:
        """Median seconds of a candidate for a clip."""
        return median(sample.seconds for sample in self.samples if (sample.name, sample.clip) == (name, clip))

    def speedup(self, name: str, against: str, clip: str) -> float | None:
        """How many times faster ``name`` is: median of the ratios within rounds; None without common rounds."""
        times = {
            (sample.name, sample.group, sample.turn): sample.seconds for sample in self.samples if sample.clip == clip
        }
        ratios = [
            times[against, group, turn] / seconds
            for (who, group, turn), seconds in times.items()
            if who == name and (against, group, turn) in times
        ]
        return median(ratios) if ratios else None

    def fastest(self, clip: str, *, ours: bool) -> Entry | None:
        """The fastest INT8 artifact of qasr, or the fastest INT8 peer."""
        entries = [entry for entry in self.alive() if entry.candidate.int8 and bool(entry.candidate.ours) is bool(ours)]
        return min(entries, key=lambda entry: self.seconds(entry.candidate.name, clip), default=None)

    def floor_rates(self) -> dict[str, float]:
        """Best rate of every product over all rounds, in integer operations per second, best first."""
        best: dict[str, float] = {}
        for sample in self.samples:
            for product, rate in sample.rates.items():
                best[product] = max(rate, best.get(product, 0.0))
        return dict(sorted(best.items(), key=lambda item: -item[1]))

    def floor_seconds(self, clip: str) -> float | None:
        """Seconds to multiply all parameters with every frame of a clip at the best product rate."""
        return self._at(max(self.floor_rates().values(), default=None), clip)

    def layers_seconds(self) -> float | None:
        """``floor_seconds`` of the first clip at the rate of a model's own sequence; None if that was not measured."""
        return self._at(self.floor_rates().get(ALL_LAYERS), self.clips[0])

    def _at(self, rate: float | None, clip: str) -> float | None:
        return None if rate is None else 2.0 * self.parameters * FRAMES_PER_SECOND * float(clip) / rate

    def ratios(self) -> list[Ratio]:
        """The fastest INT8 artifact for each clip against the baseline, the best INT8 peers and the floor."""
        ratios: list[Ratio] = []
        for clip in self.clips:
            ours, peer, floor = self.fastest(clip, ours=True), self.fastest(clip, ours=False), self.floor_seconds(clip)
            if ours is None:
                continue
            name = ours.candidate.name
            for against in [BASELINE, *([peer.candidate.name] if peer else [])]:
                speedup = self.speedup(name, against, clip)
                if speedup is not None:
                    ratios.append(Ratio(f"times as fast, {clip} s clip", name, against, speedup))
            if floor is not None:
                slower = self.seconds(name, clip) / floor
                ratios.append(Ratio(f"times the time, {clip} s clip", name, "the int8 floor", slower))
            layers = self.layers_seconds()
            if layers is not None and clip == self.clips[0]:
                slower = self.seconds(name, clip) / layers
                ratios.append(
                    Ratio(f"times the time, {clip} s clip", name, "the model's matrix products alone", slower)
                )
        return ratios + self._memory_ratios()

    def _memory_ratios(self) -> list[Ratio]:
        longest = max(self.clips, key=float)
        ours, fastest = self.fastest(longest, ours=True), self.fastest(longest, ours=False)
        if ours is None or fastest is None:
            return []
        peers = [entry for entry in self.alive() if entry.candidate.int8 and not entry.candidate.ours]
        leanest = min(peers, key=lambda entry: entry.outcome.peak_bytes)
        return [
            Ratio(
                f"times the peak memory, {longest} s clip",
                ours.candidate.name,
                f"{peer.candidate.name} ({which} INT8 peer)",
                ours.outcome.peak_bytes / peer.outcome.peak_bytes,
            )
            for which, peer in (("fastest", fastest), ("leanest", leanest))
        ]
