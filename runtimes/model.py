"""``load`` and what it returns: features, batching, windows and decoding, once for all engines."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from ..artifacts import Artifact, output_index, output_lengths, read
from ..audio import (
    OVERLAP_SECONDS,
    SAMPLE_RATE,
    WINDOW_SECONDS,
    AudioError,
    Transform,
    Window,
    batch,
    duration,
    stream,
    windows,
)
from ..errors import MissingExtraError, QasrError
from .ctc.decoding import Frames, reduce_logits
from .ctc.stitching import Stitcher
from .ctc.transcript import Transcript, transcribe_frames
from .engine import CACHE, Engine, EngineOptions, Floats, check, load_engine
from .stopwatch import Stopwatch

Source = Path | str | Floats
"""An audio file, or mono float32 samples at 16 kHz."""

_Result = tuple[int, Transcript | QasrError]
"""Place of a recording among those given, and what came of it."""

_Job = Callable[[], Iterable[_Result]]


@dataclass(frozen=True)
class _Clip:
    """A recording that fits one window, ready for the engine."""

    place: int
    recording: _Recording
    features: Floats


class Model:
    """A loaded artifact. Use as a context manager, or call ``close``."""

    def __init__(
        self,
        artifact: Artifact,
        engine: Engine,
        window_seconds: float = WINDOW_SECONDS,
        overlap_seconds: float = OVERLAP_SECONDS,
        streams: int = 1,
        transform: Transform | None = None,
    ) -> None:
        self.artifact = artifact
        self.manifest = artifact.manifest
        self.levels = list(self.manifest.levels)
        self.stopwatch = Stopwatch()
        self._engine = engine
        self._streams = streams
        self._transform = transform
        self._settings = self.manifest.front_end
        longest = self.manifest.limits.max_frames
        if longest is not None:
            window_seconds = min(window_seconds, longest / self._settings.frames_per_second)
        self._window_seconds = window_seconds
        self._overlap_seconds = min(overlap_seconds, window_seconds / 2)

    def transcribe(self, source: Source) -> Transcript:
        """Transcribe one recording of any length. Raises AudioError or InferenceError."""
        return self._transcribe(_Recording(source, 0))

    def transcribe_batch(self, sources: Sequence[Source], batch_seconds: float = 60.0) -> list[Transcript]:
        """Transcribe several recordings, in the order given; the first error ends it."""
        found: dict[int, Transcript] = {}
        for place, result in self.transcribe_many(sources, batch_seconds):
            if isinstance(result, QasrError):
                raise result
            found[place] = result
        return [found[place] for place in range(len(sources))]

    def transcribe_many(
        self, sources: Sequence[Source], batch_seconds: float = 60.0
    ) -> Iterator[tuple[int, Transcript | QasrError]]:
        """Transcribe recordings as they come ready: (place in ``sources``, transcript or what was wrong with it).

        Recordings of like length go through the engine together, padded and masked, ``batch_seconds`` of audio with
        padding at most; those longer than a window go alone.
        """
        recordings = [_Recording(source, place) for place, source in enumerate(sources)]
        short: list[tuple[float, int]] = []
        for place, recording in enumerate(recordings):
            try:
                stated = recording.stated_seconds()
            except AudioError as error:
                yield place, error
                continue
            if stated > self._window_seconds:
                yield place, self._attempt(recording)
            else:
                short.append((stated, place))
        for work in self._side_by_side(self._batches(recordings, sorted(short), batch_seconds)):
            yield from work

    def close(self) -> None:
        """Release the engine."""
        self._engine.close()

    def __enter__(self) -> Model:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _attempt(self, recording: _Recording) -> Transcript | QasrError:
        try:
            return self._transcribe(recording)
        except QasrError as error:
            return error

    def _batches(
        self, recordings: Sequence[_Recording], short: Sequence[tuple[float, int]], batch_seconds: float
    ) -> Iterator[_Job]:
        """Work on recordings of one window each, given as (seconds, place) in the order of their lengths."""
        most = self.manifest.limits.max_batch or len(short)
        waiting: list[_Clip] = []
        for stated, place in short:
            try:
                with closing(self._windows(recordings[place])) as parts:
                    window = next(parts)
            except AudioError as error:
                yield partial(list, [(place, error)])
                continue
            if not window.last:
                # The header of an mp3 or of a recording made into a pipe can state too little.
                yield partial(self._alone, place, recordings[place])
                continue
            if waiting and (stated * (len(waiting) + 1) > batch_seconds or len(waiting) == most):
                yield partial(self._run, waiting)
                waiting = []
            waiting.append(_Clip(place, recordings[place], window.inputs))
        if waiting:
            yield partial(self._run, waiting)

    def _side_by_side(self, jobs: Iterator[_Job]) -> Iterator[Iterable[_Result]]:
        """Results of the jobs, in order; as many at a time as the engine has streams."""
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

    def _alone(self, place: int, recording: _Recording) -> Iterator[_Result]:
        yield place, self._attempt(recording)

    def _run(self, clips: list[_Clip]) -> Iterator[_Result]:
        try:
            frames = self._infer([clip.features for clip in clips])
        except QasrError as error:
            if len(clips) == 1:
                yield clips[0].place, error
                return
            # One bad clip must not take its neighbours with it.
            for clip in clips:
                yield from self._run([clip])
            return
        for clip, part in zip(clips, frames, strict=True):
            with self.stopwatch.running("decoding"):
                transcript = self._transcript(part, clip.recording)
            yield clip.place, transcript

    def _transcribe(self, recording: _Recording) -> Transcript:
        stitcher = Stitcher()
        for window in self._windows(recording):
            stitcher.add(self._infer([window.inputs])[0], self._output_place(window.start))
        with self.stopwatch.running("decoding"):
            return self._transcript(stitcher.join(), recording)

    def _windows(self, recording: _Recording) -> Generator[Window]:
        try:
            parts = windows(
                recording.blocks, self._settings, self._window_seconds, self._overlap_seconds, self._transform
            )
            while True:
                with self.stopwatch.running("features"):
                    window = next(parts, None)
                if window is None:
                    return
                yield window
        except AudioError as error:
            raise error if error.source is not None else error.named(recording.name) from None

    def _infer(self, features: list[Floats]) -> list[Frames]:
        with self.stopwatch.running("features"):
            padded, lengths = batch(features, self._settings)
        with self.stopwatch.running("inference"):
            logits = self._engine.infer(padded, lengths)
        with self.stopwatch.running("decoding"):
            return [
                reduce_logits(logits, clip, self._output_length(int(length)), self.manifest.levels)
                for clip, length in enumerate(lengths)
            ]

    def _output_length(self, frames: int) -> int:
        return output_lengths(frames, self.manifest.strides)

    def _output_place(self, frame: int) -> int:
        """The logit frame that stands for an input frame."""
        return output_index(frame, self.manifest.strides)

    def _transcript(self, frames: Frames, recording: _Recording) -> Transcript:
        return transcribe_frames(
            frames,
            self.manifest.levels,
            audio=recording.name,
            seconds=recording.seconds,
            frame_rate_hz=self.manifest.frame_rate_hz,
        )


def _finish(job: _Job) -> list[_Result]:
    return list(job())


def load(
    folder: Path | str,
    *,
    device: str = "cpu",
    features: str = "cpu",
    threads: int | None = None,
    streams: int | None = None,
    precision: str | None = None,
    cache: Path | str | None = CACHE,
    verify: bool = True,
    window_seconds: float = WINDOW_SECONDS,
) -> Model:
    """Open an artifact made by ``qexport``; ``verify`` checks the hash of every file first.

    ``threads``, ``streams`` and ``precision`` are explained in ``EngineOptions``; compiled models go to ``cache``, None
    keeps none. ``features`` says where audio becomes features: cpu, or cuda (cuda:1), which takes torch. Raises
    ArtifactError, RuntimeLoadError (OptionError, DeviceError among them) or MissingExtraError.
    """
    options = EngineOptions(
        device=device,
        threads=threads,
        streams=streams,
        precision=precision,
        cache=None if cache is None else Path(cache),
    )
    check(options)
    transform = front_end(features)
    artifact = read(folder, verify=verify)
    return Model(artifact, load_engine(artifact, options), window_seconds, streams=streams or 1, transform=transform)


def front_end(device: str) -> Transform | None:
    """What computes log-mel energies on ``device``. Raises DeviceError, or MissingExtraError without torch."""
    if device == "cpu":
        return None
    if find_spec("torch") is None:
        raise MissingExtraError("torch", "torch")
    from .torch_fbank import TorchFbank

    return TorchFbank(device)


class _Recording:
    """A source that can be read as often as needed; ``seconds`` is what was heard when it was last read through."""

    def __init__(self, source: Source, place: int) -> None:
        self._source = source
        self.name = f"samples {place}" if isinstance(source, np.ndarray) else str(Path(source))
        self.seconds = 0.0

    def stated_seconds(self) -> float:
        """Duration by the file's header, which may be wrong. Raises AudioError."""
        if isinstance(self._source, np.ndarray):
            return self._source.size / SAMPLE_RATE
        return duration(self._source)

    def blocks(self) -> Iterator[Floats]:
        """The samples. Raises AudioError."""
        samples = 0
        given = [_checked(self._source)] if isinstance(self._source, np.ndarray) else stream(self._source)
        for block in given:
            samples += block.size
            yield block
        self.seconds = samples / SAMPLE_RATE


def _checked(samples: NDArray[np.float32]) -> Floats:
    if samples.ndim != 1 or samples.dtype != np.float32:
        raise AudioError(
            f"samples must be one-dimensional float32 at {SAMPLE_RATE} Hz, "
            f"not {samples.ndim}-dimensional {samples.dtype}"
        )
    if not np.isfinite(samples).all():
        raise AudioError("samples that are no numbers (NaN or infinity)")
    return samples
