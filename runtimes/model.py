"""``Model``: a loaded artifact with its front end, batching, windows and decoding, the same for all engines."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from types import TracebackType

from ..artifacts import Artifact, output_index
from ..audio import OVERLAP_SECONDS, WINDOW_SECONDS, AudioError, Floats, Transform, Window, batch, windows
from ..errors import QasrError
from .ctc.decoding import Frames, reduce_logits, without
from .ctc.stitching import Stitcher
from .ctc.transcript import Transcript, transcribe_frames
from .engine import Engine
from .errors import OptionError, RecordingTypeError
from .options import check_seconds
from .recordings import Recording, Source, is_recording, needs_rate
from .stopwatch import Stopwatch

NO_SPEECH = "holds no speech: nothing in it rises above its background"
"""The note of a transcript that is empty for this reason."""

_Result = tuple[int, Transcript | QasrError]
"""Index of a recording among those given, and its transcript or error."""

_Job = Callable[[], Iterable[_Result]]


@dataclass(frozen=True)
class _Clip:
    """A recording that fits one window."""

    index: int
    recording: Recording
    raw: Floats
    """Raw frames (n, …), normalized."""


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
        check_seconds("window_seconds", window_seconds)
        check_seconds("overlap_seconds", overlap_seconds)
        self.artifact = artifact
        self.manifest = artifact.manifest
        self.levels = list(self.manifest.levels)
        self.stopwatch = Stopwatch()
        self._engine = engine
        self._streams = streams
        self._transform = transform
        self._front_end = self.manifest.front_end
        longest = self.manifest.limits.max_frames
        if longest is not None:
            window_seconds = min(window_seconds, longest / self._front_end.frames_per_second)
        self._window_seconds = window_seconds
        self._overlap_seconds = min(overlap_seconds, window_seconds / 2)

    def transcribe(self, source: Source, *, sample_rate: float | None = None) -> Transcript:
        """Transcribe one recording of any length; see ``Source``. Bare samples need their ``sample_rate`` in Hz.

        Raises AudioError, RecordingTypeError, OptionError (a rate that is missing or no rate) or InferenceError.
        """
        with closing(Recording(source, 0, sample_rate)) as recording:
            return self._transcribe(recording)

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
            if stated > self._window_seconds:
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
            try:
                with closing(self._windows(recording)) as parts:
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
            waiting.append(_Clip(index, recording, window.raw))
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
                result: Transcript | QasrError = self._transcribe(recording)
            except QasrError as error:
                result = error
        yield index, result

    def _run(self, clips: list[_Clip]) -> Iterator[_Result]:
        try:
            frames = self._infer([clip.raw for clip in clips])
        except QasrError as error:
            if len(clips) == 1:
                clips[0].recording.close()
                yield clips[0].index, error
                return
            # The clips that did not cause the error get their transcripts.
            for clip in clips:
                yield from self._run([clip])
            return
        for clip, part in zip(clips, frames, strict=True):
            clip.recording.close()
            with self.stopwatch.running("decoding"):
                transcript = self._transcript(part, clip.recording)
            yield clip.index, transcript

    def _transcribe(self, recording: Recording) -> Transcript:
        stitcher = Stitcher()
        for window in self._windows(recording):
            start = output_index(window.start, self.manifest.strides)
            stitcher.add(self._infer([window.raw])[0], start)
        with self.stopwatch.running("decoding"):
            return self._transcript(stitcher.join(), recording)

    def _windows(self, recording: Recording) -> Generator[Window]:
        try:
            parts = windows(
                recording.blocks, self._front_end, self._window_seconds, self._overlap_seconds, self._transform
            )
            while True:
                with self.stopwatch.running("features"):
                    window = next(parts, None)
                if window is None:
                    return
                yield window
        except AudioError as error:
            raise error.named(recording.name) from None

    def _infer(self, clips: list[Floats]) -> list[Frames]:
        with self.stopwatch.running("features"):
            padded, lengths = batch(clips, self._front_end)
        with self.stopwatch.running("inference"):
            logits = self._engine.infer(padded, lengths)
        with self.stopwatch.running("decoding"):
            return [
                reduce_logits(logits, clip, self.manifest.output_lengths(int(length)), self.manifest.levels)
                for clip, length in enumerate(lengths)
            ]

    def _transcript(self, frames: Frames, recording: Recording) -> Transcript:
        speech = recording.speech(len(frames), self.manifest.frame_rate_hz)
        notes = recording.notes if speech.any() else [*recording.notes, NO_SPEECH]
        return transcribe_frames(
            without(frames, speech, self.manifest.levels),
            self.manifest.levels,
            audio=recording.name,
            seconds=recording.seconds,
            frame_rate_hz=self.manifest.frame_rate_hz,
            channel=recording.channel,
            notes=notes,
        )


def _finish(job: _Job) -> list[_Result]:
    return list(job())
