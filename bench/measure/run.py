"""A benchmark: every artifact in fresh child processes, round by round, candidates and baseline interleaved."""

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
from ...recitation.levels import PHONEMES
from ...version import __version__
from ..accuracy.judge import transcripts_failure
from ..accuracy.predictions import write_predictions
from ..accuracy.score import Tokens, compare_accuracy, compare_logits, garbage, measure_accuracy
from ..accuracy.tajweed import measure_tajweed
from ..errors import BenchError
from ..results import Accuracy, Data, Figure, Key, Report
from .candidate import Candidate, read_candidates
from .child import WORKER, ChildError
from .clips import clips
from .environment import Idleness, environment
from .memory import evict
from .messages import Logits, Measured, Plan, Step, Transcribe, Transcripts
from .noise import noisy_recordings
from .options import Options
from .process import ProcessResult, run_process

Progress = Callable[[str, int], None]
"""Called before every child process with a description and the number of processes of the whole benchmark."""

# A process is repeated if other programs left less of the machine than this; the quietest attempt counts.
QUIET = 0.85
_REPEATS = 2
# Recordings whose logits are compared with the baseline's.
_COMPARED = 8
# Error rate of the baseline from which its transcripts mean nothing, as with random weights.
_GARBAGE_RATE = 0.5

_Files = dict[float | None, list[Path]]


class Benchmark:
    """One benchmark. ``command`` starts a child process; tests pass one of their own."""

    def __init__(
        self,
        artifacts: Sequence[Path],
        data: LabelledSet,
        options: Options,
        *,
        baseline: Path | None = None,
        command: Sequence[str] = WORKER,
        progress: Progress = lambda *_: None,
        predictions: Path | None = None,
    ) -> None:
        """Read and check all input. A damaged artifact becomes a failed row. Raises BenchError or OptionError."""
        options.check()
        self._data = data
        self._options = options
        self._command = command
        self._progress = progress
        self._predictions = predictions
        """Folder for the transcripts of the evaluation set, a file for each artifact."""
        # The baseline is measured first, because the others are compared with its results.
        self._baseline, self._candidates = read_candidates(artifacts, baseline)
        self._processes = len(self._usable()) * (1 + options.rounds * len(options.threads))
        """Child processes of the whole benchmark, if none fails."""
        self._baseline_transcripts: dict[Path, list[str]] = {}
        """The baseline's transcripts of joined clips, which are no recordings of the set."""

    def run(self, arguments: Sequence[str]) -> Report:
        """Measure. ``arguments`` is the command line for the report. Raises BenchError if the baseline fails."""
        started, load_average = datetime.now(UTC), os.getloadavg()[0]
        clock, idleness = time.perf_counter(), Idleness()
        with tempfile.TemporaryDirectory(prefix="qbench-") as folder:
            scratch = Path(folder)
            files = {
                seconds: clips(self._data, seconds, self._options.seed, scratch) for seconds in self._options.durations
            }
            self._measure_accuracy(scratch)
            if self._predictions is not None:
                self._write_predictions(self._predictions)
            for number in range(1, self._options.rounds + 1):
                self._measure_speed(number, files, scratch)
        return Report(
            qasr_version=__version__,
            started=started.isoformat(timespec="seconds"),
            wall_seconds=time.perf_counter() - clock,
            command=list(arguments),
            environment=environment(load_average, idleness.share()),
            settings=self._options.settings(),
            data=self._description(),
            baseline=self._baseline.name,
            rows=[candidate.row() for candidate in self._candidates],
        )

    def _description(self) -> Data:
        return Data(
            name=self._data.name,
            sha256=self._data.sha256,
            recordings=[recording.name for recording in self._data.recordings],
            seconds=[recording.seconds for recording in self._data.recordings],
            levels=list(self._baseline.accuracy.levels) if self._baseline.accuracy else [],
        )

    def _usable(self) -> list[Candidate]:
        return [candidate for candidate in self._candidates if candidate.failure is None]

    def _measure_accuracy(self, scratch: Path) -> None:
        """Round 0: load cold, transcribe the evaluation set, compare with the labels and the baseline."""
        recordings = [str(recording.audio) for recording in self._data.recordings]
        noisy: list[str] = []
        if self._options.noise_db is not None:
            files = noisy_recordings(self._data, self._options.noise_db, self._options.seed, scratch / "noisy")
            noisy = list(map(str, files))
        compared = recordings[:: max(1, len(recordings) // _COMPARED)][:_COMPARED]
        for candidate in self._usable():
            assert candidate.artifact is not None
            logits = scratch / f"{candidate.number}.npz"
            steps: list[Step] = [
                Transcribe(recordings=recordings + noisy),
                Logits(recordings=compared, output=str(logits)),
            ]
            cold = evict(candidate.artifact.path(name) for name in candidate.artifact.manifest.files)
            result = self._run_child(candidate, 0, self._options.threads[0], steps, scratch, cold=cold)
            if result is not None and isinstance(result.answers[0], Transcripts):
                tokens = result.answers[0].tokens
                candidate.transcripts, candidate.noisy_transcripts = (
                    tokens[: len(recordings)],
                    tokens[len(recordings) :],
                )
                self._compare(candidate, logits, scratch / f"{self._baseline.number}.npz")
            if self._baseline.failure is not None:
                raise BenchError(f"the baseline {self._baseline.name} failed: {self._baseline.failure}")

    def _compare(self, candidate: Candidate, logits: Path, expected: Path) -> None:
        """Set the accuracy, and the failure if the transcripts are garbage."""
        base = self._baseline
        accuracy = self._accuracy(candidate, candidate.transcripts, base.accuracy, base.transcripts)
        if candidate is not base:
            agreement, error = compare_logits(_logits(logits), _logits(expected))
            accuracy = msgspec.structs.replace(accuracy, argmax_agreement=agreement, logits_error=error)
        candidate.failure = garbage(accuracy, candidate.transcripts, base.accuracy, accuracy.disagreement)
        candidate.accuracy = accuracy
        candidate.tajweed = self._tajweed(candidate)
        if candidate.noisy_transcripts:
            candidate.noisy = self._accuracy(candidate, candidate.noisy_transcripts, base.noisy, base.noisy_transcripts)

    def _accuracy(
        self,
        candidate: Candidate,
        transcripts: Sequence[Tokens],
        baseline: Accuracy | None,
        baseline_transcripts: Sequence[Tokens],
    ) -> Accuracy:
        """Errors of the transcripts, compared with the baseline's; ``baseline`` is None for the baseline itself."""
        assert candidate.artifact is not None
        levels = candidate.artifact.manifest.levels
        accuracy = measure_accuracy(transcripts, self._data, levels)
        if baseline is None:
            return accuracy
        return compare_accuracy(
            accuracy, transcripts, baseline, baseline_transcripts, self._data, levels, seed=self._options.seed
        )

    def _tajweed(self, candidate: Candidate) -> dict[str, Figure]:
        """Figures of qdat_bench; none for other data, or for artifacts that write no phonemes."""
        expected = [recording.measures for recording in self._data.recordings]
        assert candidate.artifact is not None
        if not all(expected) or PHONEMES not in candidate.artifact.manifest.levels:
            return {}
        own, base = (["".join(tokens[PHONEMES]) for tokens in one.transcripts] for one in (candidate, self._baseline))
        measures = [one for one in expected if one is not None]
        baseline = None if candidate is self._baseline else base
        return measure_tajweed(own, measures, baseline, self._options.seed)

    def _write_predictions(self, folder: Path) -> None:
        """One file for each artifact. Raises BenchError."""
        names = [recording.name for recording in self._data.recordings]
        for candidate in self._usable():
            assert candidate.artifact is not None
            levels = candidate.artifact.manifest.levels
            write_predictions(folder, candidate.name, names, candidate.transcripts, levels)

    def _measure_speed(self, number: int, files: _Files, scratch: Path) -> None:
        """One round: each candidate once per thread count; every other round in reverse, against drift."""
        order = self._candidates if number % 2 else self._candidates[::-1]
        for threads in self._options.threads:
            keys = self._options.keys(threads)
            steps = [self._options.step(key, files[key.clip_seconds]) for key in keys]
            for candidate in order:
                if candidate.failure is not None:
                    continue
                result = self._run_child(candidate, number, threads, steps, scratch)
                for key, measured in zip(keys, result.answers if result else (), strict=False):
                    if isinstance(measured, Measured) and candidate.failure is None:
                        candidate.measured.setdefault(key, {})[number] = measured
                        candidate.failure = self._check_transcripts(candidate, key, files, measured)

    def _check_transcripts(self, candidate: Candidate, key: Key, files: _Files, measured: Measured) -> str | None:
        """Why the transcripts of a timed measurement are wrong, or None."""
        timed = dict(zip(files[key.clip_seconds], measured.transcripts, strict=True))
        if key.clip_seconds is None:
            assert candidate.artifact is not None
            first = next(iter(candidate.artifact.manifest.levels))
            untimed = zip(self._data.recordings, candidate.transcripts, strict=True)
            expected = {recording.audio: tokens[first] for recording, tokens in untimed}
        else:
            expected = self._baseline_transcripts
            if candidate is self._baseline:
                expected |= timed
        accurate = self._baseline.accuracy is not None and self._baseline.accuracy.first.rate < _GARBAGE_RATE
        return transcripts_failure(key.scenario, timed, expected, accurate=accurate)

    def _run_child(
        self,
        candidate: Candidate,
        number: int,
        threads: int,
        steps: Sequence[Step],
        scratch: Path,
        *,
        cold: bool = False,
    ) -> ProcessResult | None:
        """Run one child process, again if the machine was busy. Sets the candidate's failure if the child fails."""
        self._progress(f"{candidate.name}, {f'round {number}' if number else 'accuracy'}", self._processes)
        plan = Plan(
            artifact=str(candidate.folder),
            device=self._options.device,
            features=self._options.features,
            threads=threads,
            cache=str(scratch / f"{candidate.number}.cache"),
            round=number,
            first=str(self._data.recordings[0].audio),
            steps=list(steps),
        )
        log = scratch / f"{candidate.number}.log"
        try:
            result = self._timed(plan, log, cold=cold)
            for _ in range(_REPEATS if number else 0):
                if result.run.idle_share >= QUIET:
                    break
                again = self._timed(plan, log, cold=False)
                result = max(result, again, key=lambda result: result.run.idle_share)
        except ChildError as error:
            candidate.failure = str(error)
            return None
        candidate.processes.append(result.run)
        return result

    def _timed(self, plan: Plan, log: Path, *, cold: bool) -> ProcessResult:
        """Run one child process and measure how much of the machine others used. Raises ChildError."""
        idleness = Idleness()
        result = run_process(
            plan, cold=cold, timeout_seconds=self._options.timeout_seconds, log=log, command=self._command
        )
        return ProcessResult(msgspec.structs.replace(result.run, idle_share=idleness.share()), result.answers)


def _logits(path: Path) -> list[dict[str, np.ndarray]]:
    """Logits (T, V) by level, for each recording."""
    recordings: list[dict[str, np.ndarray]] = []
    with np.load(path) as stored:
        for name in stored.files:
            index, _, level = name.partition(" ")
            recordings.extend({} for _ in range(int(index) + 1 - len(recordings)))
            recordings[int(index)][level] = stored[name]
    return recordings
