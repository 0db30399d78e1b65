"""Measures every candidate in its own process, all of them in turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from .candidates import BASELINE, Candidate
from .child import Child
from .engines import Spec
from .errors import CandidateError, PeersError
from .results import FLOOR, Outcome, Sample

# Memory for the floor's process and for the system.
_RESERVED_BYTES = 2 << 30
_FLOOR = Candidate(FLOOR, FLOOR, "", "")


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of a comparison."""

    rounds: int = 5
    loads: int = 3
    """Processes started per candidate to measure the load time."""
    threads: int = 2


class Bench:
    """Measures candidates; the results are ``outcomes`` by name and ``samples``."""

    def __init__(
        self, stock: Path, clips: Mapping[str, Path], scratch: Path, options: Options, console: Console
    ) -> None:
        """``stock`` is the stock checkpoint, ``clips`` maps seconds to files of samples, ``scratch`` is for logs."""
        self.outcomes: dict[str, Outcome] = {}
        self.samples: list[Sample] = []
        self.floor_missing: dict[str, str] = {}
        self._stock, self._clips, self._scratch = stock, clips, scratch
        self._options, self._console = options, console

    def run(self, candidates: Sequence[Candidate]) -> None:
        """Measure all candidates. Raises PeersError if memory does not suffice."""
        for candidate in candidates:
            self._console.print(f"{candidate.name}: memory and load time …")
            try:
                self.outcomes[candidate.name] = self._alone(candidate)
            except CandidateError as error:
                self.outcomes[candidate.name] = Outcome(error=str(error))
        for number, group in enumerate(self._groups(candidates)):
            self._together(group, number)
        self.samples = [
            sample for sample in self.samples if sample.name == FLOOR or self.outcomes[sample.name].error is None
        ]

    def _alone(self, candidate: Candidate) -> Outcome:
        """Peak memory of a process that transcribes the longest clip, and load times."""
        clip = next(iter(self._clips))
        # The first start fills the page cache and, with some engines, a cache of compiled models.
        with self._child(candidate) as child:
            child.transcribe(clip)
        with self._child(candidate) as child:
            answer = child.transcribe(max(self._clips, key=float))
        loads = []
        for _ in range(self._options.loads):
            with self._child(candidate) as child:
                ids = child.transcribe(clip).ids
                loads.append(child.age_seconds())
        return Outcome(execution=answer.execution, peak_bytes=answer.peak_bytes, load_seconds=loads, ids=ids)

    def _groups(self, candidates: Sequence[Candidate]) -> list[list[Candidate]]:
        """Groups that fit into memory; each has the baseline, qasr's artifacts and some of the peers."""
        alive = [candidate for candidate in candidates if self.outcomes[candidate.name].error is None]
        common = [candidate for candidate in alive if candidate.ours or candidate.name == BASELINE]
        available = available_bytes() - _RESERVED_BYTES - self._bytes(common)
        if available < 0:
            raise PeersError(
                f"{', '.join(candidate.name for candidate in common)} together need {-available / 1e9:.1f} GB more "
                "than this machine has free; close other programs, or compare fewer artifacts"
            )
        groups: list[list[Candidate]] = []
        for candidate in (candidate for candidate in alive if candidate not in common):
            if self._bytes([candidate]) > available:
                self.outcomes[candidate.name].error = (
                    f"needs {self._bytes([candidate]) / 1e9:.1f} GB beside {len(common)} other candidates, "
                    f"which leave {available / 1e9:.1f} GB"
                )
                continue
            fitting = (group for group in groups if self._bytes([*group, candidate]) <= available)
            group = next(fitting, None)
            if group is None:
                groups.append([candidate])
            else:
                group.append(candidate)
        return [common + group for group in groups or [[]]]

    def _together(self, group: Sequence[Candidate], number: int) -> None:
        """Rounds in which each candidate transcribes every clip once while the others wait."""
        with ExitStack() as stack:
            children = {candidate.name: stack.enter_context(self._child(candidate)) for candidate in (*group, _FLOOR)}
            # Round 0 is a warm-up, because some engines compile for every new length.
            for turn in range(self._options.rounds + 1):
                label = f"round {turn} of {self._options.rounds}" if turn else "warming up"
                self._console.print(f"Group {number + 1}, {len(group)} candidates: {label} …")
                self._sample(children, FLOOR, "", number, turn)
                for clip in self._clips:
                    for candidate in group:
                        self._sample(children, candidate.name, clip, number, turn)
            for name, child in children.items():
                if name != FLOOR:
                    self.outcomes[name].idle_share = max(self.outcomes[name].idle_share, child.idle_share())

    def _sample(self, children: dict[str, Child], name: str, clip: str, group: int, turn: int) -> None:
        """Take a sample of a living candidate; a candidate that fails is removed from ``children``."""
        if name not in children:
            return
        try:
            answer = children[name].transcribe(clip)
        except CandidateError as error:
            del children[name]
            if name == FLOOR:
                self.floor_missing[FLOOR] = str(error)
            else:
                self.outcomes[name].error = str(error)
            return
        self.floor_missing.update(answer.missing)
        if turn:
            self.samples.append(Sample(name, clip, group, turn, answer.seconds, answer.rates))

    def _child(self, candidate: Candidate) -> Child:
        clips = {name: str(path) for name, path in self._clips.items()}
        spec = Spec(candidate.kind, candidate.path, str(self._stock), self._options.threads, clips, candidate.settings)
        return Child(spec, self._scratch / f"{candidate.name}.log")

    def _bytes(self, candidates: Sequence[Candidate]) -> int:
        return sum(self.outcomes[candidate.name].peak_bytes for candidate in candidates)


def available_bytes() -> int:
    """Memory that new processes can have without swapping."""
    lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    (line,) = (line for line in lines if line.startswith("MemAvailable:"))
    return int(line.split()[1]) * 1024
