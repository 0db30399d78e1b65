"""``Model``: a loaded artifact with its front end, batching, windows and decoding, the same for all engines."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from types import TracebackType

from ..artifacts import Artifact
from ..audio import OVERLAP_SECONDS, WINDOW_SECONDS, AudioError, Floats, Transform, Window, batch
from ..errors import QasrError
from .ctc.decoding import Frames, reduce_logits
from .ctc.transcript import Transcript
from .engine import Engine
from .errors import OptionError, RecordingTypeError
from .options import check_seconds
from .recordings import Recording, Source, is_recording, needs_rate
from .steps import Steps, Transcription

_Result = tuple[int, Transcript | QasrError]
"""Index of a recording among those given, and its transcript or error."""

_Job = Callable[[], Iterable[_Result]]


@dataclass(frozen=True)
class _Clip:
    """A recording that fits one window."""

    index: int
    work: Transcription
    window: Window


class Model:
    """A loaded artifact. Use it as a context manager, or call ``close``."""

    def __init__(
        self,
        artifact: Artifact,
        engine: Engine,
        window_seconds: float = WINDOW_SECONDS,
        overlap_seconds: float = OVERLAP_SECONDS,
        streams: int = 1,
        transform: Transform | None = None,
    ) -> None:
        """``engine`` has loaded ``artifact`` with ``streams`` streams; ``transform`` computes features elsewhere.

        Windows never exceed the artifact's limits, and their overlap is at most half of them. Raises OptionError.
        """
        self.artifact = artifact
        self.manifest = artifact.manifest
        self.levels = list(self.manifest.levels)
        self.steps = Steps(artifact.manifest, window_seconds, overlap_seconds, transform)
        self.stopwatch = self.steps.stopwatch
        self._engine = engine
        self._streams = streams

    def transcribe(self, source: Source, *, sample_rate: float | None = None) -> Transcript:
        """Transcribe one recording of any length; see ``Source``. Bare samples need their ``sample_rate`` in Hz.

        Raises AudioError, RecordingTypeError, OptionError (a rate that is missing or no rate) or InferenceError.
        """
        with closing(Recording(source, 0, sample_rate)) as recording:
            return self._transcribe(self.steps.start(recording))

    def transcribe_batch(
        self, sources: Sequence[Source], batch_seconds: float = 60.0, *, sample_rate: float | None = None
    ) -> list[Transcript]:
        """Transcribe several recordings. Transcripts have the order of ``sources``; the first error is raised."""
        transcripts: dict[int, Transcript] = {}
        for index, result in self.transcribe_many(sources, batch_seconds, sample_rate=sample_rate):
            if isinstance(result, QasrError):
                raise result
            transcripts[index] = result
        return [transcripts[index] for index in range(len(sources))]

    def transcribe_many(
        self, sources: Sequence[Source], batch_seconds: float = 60.0, *, sample_rate: float | None = None
    ) -> Iterator[_Result]:
        """Transcribe recordings in any order: yields the index in ``sources``, and a transcript or an error.

        Recordings of similar length go through the engine together, padded and masked; such a batch has at most
        ``batch_seconds`` of audio, including padding. Those longer than a window go alone. ``sample_rate`` is that of
        all bare samples among them. Raises OptionError, and RecordingTypeError for a single recording in place of a
        sequence.
        """
        check_seconds("batch_seconds", batch_seconds)
        if is_recording(sources) or not isinstance(sources, Iterable):
            raise RecordingTypeError(f"{type(sources).__name__} as several recordings", "a list of recordings")
        return self._transcribe_many(list(sources), batch_seconds, sample_rate)

    def infer(self, clips: list[Floats]) -> list[Frames]:
        """The decoded frames of windows, given as normalized raw frames (n, …). Raises InferenceError."""
        with self.stopwatch.running("features"):
            padded, lengths = batch(clips, self.manifest.front_end)
        with self.stopwatch.running("inference"):
            logits = self._engine.infer(padded, lengths)
        with self.stopwatch.running("decoding"):
            return [
                reduce_logits(logits, clip, self.manifest.output_lengths(int(length)), self.manifest.levels)
                for clip, length in enumerate(lengths)
            ]

    def close(self) -> None:
        """Release the engine."""
        self._engine.close()

    def __enter__(self) -> Model:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _transcribe_many(
        self, sources: Sequence[Source], batch_seconds: float, sample_rate: float | None
    ) -> Iterator[_Result]:
        short: list[tuple[float, int, Recording]] = []
        for index, source in enumerate(sources):
            try:
                is_file = not needs_rate(source)
                recording = Recording(source, index, None if is_file else sample_rate)
            except (RecordingTypeError, OptionError) as error:
                yield index, error
                continue
            try:
                stated = recording.stated_seconds()
            except AudioError as error:
                recording.close()
                yield index, error
                continue
            if stated > self.steps.window_seconds:
                yield from self._alone(index, recording)
            else:
                short.append((stated, index, recording))
        short.sort(key=lambda one: one[:2])
        for results in self._parallel(self._jobs(short, batch_seconds)):
            yield from results

    def _jobs(self, short: Sequence[tuple[float, int, Recording]], batch_seconds: float) -> Iterator[_Job]:
        """Batches of recordings of one window each, given as (seconds, index, recording) in order of their lengths."""
        max_clips = self.manifest.limits.max_batch or len(short)
        waiting: list[_Clip] = []
        for stated, index, recording in short:
            work = self.steps.start(recording)
            try:
                with closing(work.windows()) as parts:
                    window = next(parts)
            except AudioError as error:
                recording.close()
                yield partial(list, [(index, error)])
                continue
            if not window.last:
                # The header of an mp3, or of a recording written to a pipe, may state too little.
                yield partial(self._alone, index, recording)
                continue
            if waiting and (stated * (len(waiting) + 1) > batch_seconds or len(waiting) == max_clips):
                yield partial(self._run, waiting)
                waiting = []
            waiting.append(_Clip(index, work, window))
        if waiting:
            yield partial(self._run, waiting)

    def _parallel(self, jobs: Iterator[_Job]) -> Iterator[Iterable[_Result]]:
        """Results of the jobs, in order. As many jobs run at a time as the engine has streams."""
        if self._streams == 1:
            yield from (job() for job in jobs)
            return
        with ThreadPoolExecutor(self._streams) as pool:
            pending: deque[Future[list[_Result]]] = deque()
            for job in jobs:
                pending.append(pool.submit(_finish, job))
                if len(pending) > self._streams:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()

    def _alone(self, index: int, recording: Recording) -> Iterator[_Result]:
        with closing(recording):
            try:
                result: Transcript | QasrError = self._transcribe(self.steps.start(recording))
            except QasrError as error:
                result = error
        yield index, result

    def _run(self, clips: list[_Clip]) -> Iterator[_Result]:
        try:
            frames = self.infer([clip.window.raw for clip in clips])
        except QasrError as error:
            if len(clips) == 1:
                clips[0].work.recording.close()
                yield clips[0].index, error
                return
            # The clips that did not cause the error get their transcripts.
            for clip in clips:
                yield from self._run([clip])
            return
        for clip, part in zip(clips, frames, strict=True):
            clip.work.recording.close()
            clip.work.add(clip.window, part)
            yield clip.index, clip.work.result()

    def _transcribe(self, work: Transcription) -> Transcript:
        for window in work.windows():
            work.add(window, self.infer([window.raw])[0])
        return work.result()


def _finish(job: _Job) -> list[_Result]:
    return list(job())
