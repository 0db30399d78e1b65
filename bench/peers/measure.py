"""Every contestant in its own process, all of them in turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from .candidates import BASELINE, Contestant
from .child import Child
from .engines import Spec
from .errors import ContestantError, PeersError
from .results import FLOOR, Outcome, Sample

# What the floor's process takes, and what the machine keeps for itself.
_RESERVED_BYTES = 2 << 30
_FLOOR = Contestant(FLOOR, FLOOR, "", "")


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to measure."""

    rounds: int = 5
    loads: int = 3
    """Starts of every process for its load time."""
    threads: int = 2


class Bench:
    """Measures, and keeps what it finds: ``outcomes`` and ``samples``."""

    def __init__(
        self, stock: Path, clips: Mapping[str, Path], scratch: Path, options: Options, console: Console
    ) -> None:
        """``stock``: the stock checkpoint; ``clips``: seconds to the file with the samples; ``scratch``: for logs."""
        self.outcomes: dict[str, Outcome] = {}
        self.samples: list[Sample] = []
        self.floor_missing: dict[str, str] = {}
        self._stock, self._clips, self._scratch = stock, clips, scratch
        self._options, self._console = options, console

    def run(self, contestants: Sequence[Contestant]) -> None:
        """Measure them all. Raises PeersError where memory does not suffice."""
        for contestant in contestants:
            self._console.print(f"{contestant.name}: memory and load time …")
            try:
                self.outcomes[contestant.name] = self._alone(contestant)
            except ContestantError as error:
                self.outcomes[contestant.name] = Outcome(error=str(error))
        for number, group in enumerate(self._groups(contestants)):
            self._together(group, number)
        self.samples = [
            sample for sample in self.samples if sample.name == FLOOR or self.outcomes[sample.name].error is None
        ]

    def _alone(self, contestant: Contestant) -> Outcome:
        """Peak memory of a process that hears the longest clip, and load times."""
        clip = next(iter(self._clips))
        # The first start fills the disk cache, and with some engines a cache of compiled models.
        with self._child(contestant) as child:
            child.ask(clip)
        with self._child(contestant) as child:
            answer = child.ask(max(self._clips, key=float))
        loads = []
        for _ in range(self._options.loads):
            with self._child(contestant) as child:
                ids = child.ask(clip).ids
                loads.append(child.age_seconds())
        return Outcome(execution=answer.execution, peak_bytes=answer.peak_bytes, load_seconds=loads, ids=ids)

    def _groups(self, contestants: Sequence[Contestant]) -> list[list[Contestant]]:
        """Who fits into memory together: the baseline and qasr's artifacts always, beside some of the peers."""
        alive = [contestant for contestant in contestants if self.outcomes[contestant.name].error is None]
        common = [contestant for contestant in alive if contestant.ours or contestant.name == BASELINE]
        available = available_bytes() - _RESERVED_BYTES - self._bytes(common)
        if available < 0:
            raise PeersError(
                f"{', '.join(contestant.name for contestant in common)} together need {-available / 1e9:.1f} GB more "
                "than this machine has free; close other programs, or compare fewer artifacts"
            )
        groups: list[list[Contestant]] = []
        for contestant in (contestant for contestant in alive if contestant not in common):
            if self._bytes([contestant]) > available:
                self.outcomes[contestant.name].error = (
                    f"needs {self._bytes([contestant]) / 1e9:.1f} GB beside {len(common)} other contestants, "
                    f"which leave {available / 1e9:.1f} GB"
                )
                continue
            fitting = (group for group in groups if self._bytes([*group, contestant]) <= available)
            group = next(fitting, None)
            if group is None:
                groups.append([contestant])
            else:
                group.append(contestant)
        return [common + group for group in groups or [[]]]

    def _together(self, group: Sequence[Contestant], number: int) -> None:
        """Rounds in which everyone hears every clip once while the others wait."""
        with ExitStack() as stack:
            children = {
                contestant.name: stack.enter_context(self._child(contestant)) for contestant in (*group, _FLOOR)
            }
            # Round 0 is for warming up, also of engines that compile for every new length.
            for turn in range(self._options.rounds + 1):
                label = f"round {turn} of {self._options.rounds}" if turn else "warming up"
                self._console.print(f"Group {number + 1}, {len(group)} contestants: {label} …")
                self._ask(children, FLOOR, "", number, turn)
                for clip in self._clips:
                    for contestant in group:
                        self._ask(children, contestant.name, clip, number, turn)
            for name, child in children.items():
                if name != FLOOR:
                    self.outcomes[name].idle_share = max(self.outcomes[name].idle_share, child.idle_share())

    def _ask(self, children: dict[str, Child], name: str, clip: str, group: int, turn: int) -> None:
        """Take a sample, unless it has died before; a contestant that dies now leaves."""
        if name not in children:
            return
        try:
            answer = children[name].ask(clip)
        except ContestantError as error:
            del children[name]
            if name == FLOOR:
                self.floor_missing[FLOOR] = str(error)
            else:
                self.outcomes[name].error = str(error)
            return
        self.floor_missing.update(answer.missing)
        if turn:
            self.samples.append(Sample(name, clip, group, turn, answer.seconds, answer.rates))

    def _child(self, contestant: Contestant) -> Child:
        clips = {name: str(path) for name, path in self._clips.items()}
        spec = Spec(
            contestant.kind, contestant.path, str(self._stock), self._options.threads, clips, contestant.settings
        )
        return Child(spec, self._scratch / f"{contestant.name}.log")

    def _bytes(self, contestants: Sequence[Contestant]) -> int:
        return sum(self.outcomes[contestant.name].peak_bytes for contestant in contestants)


def available_bytes() -> int:
    """Memory that new processes can have without swapping."""
    lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    (line,) = (line for line in lines if line.startswith("MemAvailable:"))
    return int(line.split()[1]) * 1024
