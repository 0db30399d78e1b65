"""A whole benchmark: every artifact in fresh child processes, round by round, candidates and baseline interleaved."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np

from ...data import LabelledSet
from ...version import __version__
from ..accuracy.judge import faithful
from ..accuracy.score import compare_accuracy, compare_logits, garbage, measure_accuracy
from ..errors import BenchError
from ..results import Data, Report
from .candidate import Contender, line_up
from .child import WORKER, ChildError
from .clips import clips
from .environment import Idleness, environment
from .memory import evict
from .messages import Logits, Measured, Plan, Step, Transcribe, Transcripts
from .options import Key, Options
from .visit import Life, visit

Progress = Callable[[str, int], None]
"""Called before every visit with what is done now, and how many visits there are in all."""

# A visit in which others took more of the machine is repeated, so often at most; the quietest counts.
QUIET = 0.85
_REPEATS = 2
# Recordings whose logits are compared with the baseline's.
_COMPARED = 8

_Files = dict[float | None, list[Path]]


class Benchmark:
    """One run. ``command`` starts a child; tests give their own."""

    def __init__(
        self,
        artifacts: Sequence[Path],
        data: LabelledSet,
        options: Options,
        *,
        baseline: Path | None = None,
        command: Sequence[str] = WORKER,
        progress: Progress = lambda *_: None,
    ) -> None:
        """Read and check everything that a run needs. Raises BenchError or OptionError."""
        options.check()
        self._data = data
        self._options = options
        self._command = command
        self._progress = progress
        # The baseline goes first, so that everything else can be held against it.
        self._contenders = line_up(artifacts, baseline)
        self._baseline = self._contenders[0]
        self._heard: dict[Path, list[str]] = {}
        """What the baseline heard in clips that are no recordings of the set."""

    def run(self, arguments: Sequence[str]) -> Report:
        """Measure; ``arguments`` is the command line for the report. Raises BenchError where the baseline fails."""
        started, load_average = datetime.now(UTC), os.getloadavg()[0]
        clock, idleness = time.perf_counter(), Idleness()
        with tempfile.TemporaryDirectory(prefix="qbench-") as folder:
            scratch = Path(folder)
            files = {
                seconds: clips(self._data, seconds, self._options.seed, scratch) for seconds in self._options.durations
            }
            self._first_round(scratch)
            for number in range(1, self._options.rounds + 1):
                self._round(number, files, scratch)
        return Report(
            qasr_version=__version__,
            started=started.isoformat(timespec="seconds"),
            wall_seconds=time.perf_counter() - clock,
            command=list(arguments),
            environment=environment(load_average, idleness.share()),
            settings=self._options.settings(),
            data=self._description(),
            baseline=self._baseline.name,
            rows=[contender.row() for contender in self._contenders],
        )

    def _description(self) -> Data:
        return Data(
            name=self._data.name,
            sha256=self._data.sha256,
            recordings=[recording.name for recording in self._data.recordings],
            seconds=[recording.seconds for recording in self._data.recordings],
            levels=list(self._baseline.accuracy.levels) if self._baseline.accuracy else [],
        )

    def _first_round(self, scratch: Path) -> None:
        """Load everything cold, transcribe the evaluation set, and compare with labels and baseline."""
        recordings = [str(recording.audio) for recording in self._data.recordings]
        for contender in self._contenders:
            logits = scratch / f"{contender.number}.npz"
            compared = recordings[:: max(1, len(recordings) // _COMPARED)][:_COMPARED]
            steps: list[Step] = [Transcribe(recordings=recordings), Logits(recordings=compared, output=str(logits))]
            artifact = contender.artifact
            cold = evict(artifact.path(name) for name in artifact.manifest.files)
            life = self._visit(contender, 0, self._options.threads[0], steps, scratch, cold=cold)
            if life is not None and isinstance(life.answers[0], Transcripts):
                contender.transcripts = life.answers[0].tokens
                self._compare(contender, logits, scratch / f"{self._baseline.number}.npz")
            if self._baseline.failure is not None:
                raise BenchError(f"the baseline {self._baseline.name} failed: {self._baseline.failure}")

    def _compare(self, contender: Contender, logits: Path, expected: Path) -> None:
        """Fill in the accuracy, or the failure where transcripts are garbage."""
        base, levels = self._baseline, contender.artifact.manifest.levels
        accuracy = measure_accuracy(contender.transcripts, self._data, levels)
        if contender is not base and base.accuracy is not None:
            accuracy = compare_accuracy(
                accuracy,
                contender.transcripts,
                base.accuracy,
                base.transcripts,
                self._data,
                levels,
                seed=self._options.seed,
            )
            agreement, error = compare_logits(_logits(logits), _logits(expected))
            accuracy = msgspec.structs.replace(accuracy, argmax_agreement=agreement, logits_error=error)
        contender.accuracy = accuracy
        contender.failure = garbage(accuracy, contender.transcripts, base.accuracy, accuracy.disagreement)

    def _round(self, number: int, files: _Files, scratch: Path) -> None:
        """Visit everyone once for each thread count; every other round backwards, against a drift of the machine."""
        order = self._contenders if number % 2 else self._contenders[::-1]
        for threads in self._options.threads:
            keys = self._options.keys(threads)
            steps = [self._options.step(key, files[key.clip_seconds]) for key in keys]
            for contender in order:
                life = self._visit(contender, number, threads, steps, scratch) if contender.failure is None else None
                for key, measured in zip(keys, life.answers if life else (), strict=False):
                    if isinstance(measured, Measured) and contender.failure is None:
                        contender.measured.setdefault(key, {})[number] = measured
                        contender.failure = self._faithful(contender, key, files, measured)

    def _faithful(self, contender: Contender, key: Key, files: _Files, measured: Measured) -> str | None:
        """Why what was heard while the clock ran is not what the artifact should hear, or None."""
        heard = dict(zip(files[key.clip_seconds], measured.transcripts, strict=True))
        if key.clip_seconds is None:
            first = next(iter(contender.artifact.manifest.levels))
            own = zip(self._data.recordings, contender.transcripts, strict=True)
            expected = {recording.audio: tokens[first] for recording, tokens in own}
        else:
            expected = self._heard
            if contender is self._baseline:
                expected |= heard
        accurate = self._baseline.accuracy is not None and self._baseline.accuracy.first.rate < 0.5
        return faithful(key.scenario, heard, expected, accurate=accurate)

    def _visit(
        self,
        contender: Contender,
        number: int,
        threads: int,
        steps: Sequence[Step],
        scratch: Path,
        *,
        cold: bool = False,
    ) -> Life | None:
        """One visit, again where others took too much of the machine; what goes wrong is noted in the contender."""
        visits = len(self._contenders) * (1 + self._options.rounds * len(self._options.threads))
        self._progress(f"{contender.name}, {f'round {number}' if number else 'accuracy'}", visits)
        plan = Plan(
            artifact=str(contender.artifact.folder),
            device=self._options.device,
            features=self._options.features,
            threads=threads,
            cache=str(scratch / f"{contender.number}.cache"),
            round=number,
            first=str(self._data.recordings[0].audio),
            steps=list(steps),
        )
        log = scratch / f"{contender.number}.log"
        try:
            life = self._timed(plan, log, cold=cold)
            for _ in range(_REPEATS if number else 0):
                if life.visit.idle_share >= QUIET:
                    break
                again = self._timed(plan, log, cold=False)
                life = max(life, again, key=lambda life: life.visit.idle_share)
        except ChildError as error:
            contender.failure = str(error)
            return None
        contender.visits.append(life.visit)
        return life

    def _timed(self, plan: Plan, log: Path, *, cold: bool) -> Life:
        """A visit, with the share of the machine that others left to it. Raises ChildError."""
        idleness = Idleness()
        life = visit(plan, cold=cold, timeout_seconds=self._options.timeout_seconds, log=log, command=self._command)
        return Life(msgspec.structs.replace(life.visit, idle_share=idleness.share()), life.answers)


def _logits(path: Path) -> list[dict[str, np.ndarray]]:
    """Per recording, level to logits (T, V)."""
    found: list[dict[str, np.ndarray]] = []
    with np.load(path) as stored:
        for name in stored.files:
            index, _, level = name.partition(" ")
            found.extend({} for _ in range(int(index) + 1 - len(found)))
            found[int(index)][level] = stored[name]
    return found
