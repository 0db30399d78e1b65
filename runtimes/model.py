"""``load`` and what it returns: features, batching, windows and decoding, once for all engines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from ..artifacts import Artifact, read
from ..audio import (
    OVERLAP_SECONDS,
    SAMPLE_RATE,
    WINDOW_SECONDS,
    AudioError,
    FeatureSettings,
    Window,
    batch,
    duration,
    stream,
    windows,
)
from ..errors import QasrError
from .decoding import Frames, reduce_logits
from .engine import Engine, EngineOptions, Floats, load_engine
from .stitching import Stitcher
from .transcript import Transcript, transcribe_frames

Source = Path | str | Floats
"""An audio file, or mono float32 samples at 16 kHz."""


@dataclass(frozen=True)
class _Clip:
    place: int
    name: str
    features: Floats
    seconds: float


class Model:
    """A loaded artifact. Use as a context manager, or call ``close``."""

    def __init__(
        self,
        artifact: Artifact,
        engine: Engine,
        window_seconds: float = WINDOW_SECONDS,
        overlap_seconds: float = OVERLAP_SECONDS,
    ) -> None:
        self.artifact = artifact
        self.manifest = artifact.manifest
        self.levels = list(self.manifest.levels)
        self._engine = engine
        self._settings = FeatureSettings.from_json(self.manifest.features)
        self._window_seconds = window_seconds
        self._overlap_seconds = min(overlap_seconds, window_seconds / 2)

    def transcribe(self, source: Source) -> Transcript:
        """Transcribe one recording of any length. Raises AudioError or InferenceError."""
        return self._transcribe_windows(_name(source, 0), self._windows(source), _seconds(source))

    def transcribe_batch(self, sources: Sequence[Source], batch_seconds: float = 60.0) -> list[Transcript]:
        """Transcribe several recordings, in the order given; the first error ends it."""
        found: list[Transcript | None] = [None] * len(sources)
        for place, result in self.transcribe_many(sources, batch_seconds):
            if isinstance(result, QasrError):
                raise result
            found[place] = result
        return [result for result in found if result is not None]

    def transcribe_many(
        self, sources: Sequence[Source], batch_seconds: float = 60.0
    ) -> Iterator[tuple[int, Transcript | QasrError]]:
        """Transcribe recordings as they come ready: (place in ``sources``, transcript or what was wrong with it).

        Recordings of like length go through the engine together, padded and masked, ``batch_seconds`` of audio with
        padding at most; those longer than a window go alone.
        """
        short: list[tuple[float, int]] = []
        for place, source in enumerate(sources):
            try:
                seconds = _seconds(source)
            except AudioError as error:
                yield place, error
                continue
            if seconds > self._window_seconds:
                yield place, self._attempt(source, place)
            else:
                short.append((seconds, place))
        waiting: list[_Clip] = []
        for seconds, place in sorted(short):
            try:
                window = next(iter(self._windows(sources[place])))
            except AudioError as error:
                yield place, error
                continue
            if waiting and seconds * (len(waiting) + 1) > batch_seconds:
                yield from self._run(waiting)
                waiting = []
            waiting.append(_Clip(place, _name(sources[place], place), window.features, seconds))
        if waiting:
            yield from self._run(waiting)

    def close(self) -> None:
        """Release the engine."""
        self._engine.close()

    def __enter__(self) -> Model:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _attempt(self, source: Source, place: int) -> Transcript | QasrError:
        try:
            return self._transcribe_windows(_name(source, place), self._windows(source), _seconds(source))
        except QasrError as error:
            return error

    def _run(self, clips: list[_Clip]) -> Iterator[tuple[int, Transcript | QasrError]]:
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
            yield clip.place, self._transcript(part, clip.name, clip.seconds)

    def _transcribe_windows(self, name: str, parts: Iterable[Window], seconds: float) -> Transcript:
        stitcher = Stitcher()
        for window in parts:
            stitcher.add(self._infer([window.features])[0], self._output_length(window.start))
        return self._transcript(stitcher.join(), name, seconds)

    def _windows(self, source: Source) -> Iterator[Window]:
        blocks = partial(_blocks, source)
        try:
            yield from windows(blocks, self._settings, self._window_seconds, self._overlap_seconds)
        except AudioError as error:
            name = _name(source, 0)
            raise error if str(error).startswith(name) else AudioError(f"{name}: {error}") from None

    def _infer(self, features: list[Floats]) -> list[Frames]:
        padded, lengths = batch(features, self._settings)
        logits = self._engine.infer(padded, lengths)
        return [
            reduce_logits(logits, clip, self._output_length(int(length)), self.manifest.levels)
            for clip, length in enumerate(lengths)
        ]

    def _output_length(self, frames: int) -> int:
        for kernel, stride, padding in self.manifest.subsampling:
            frames = (frames + 2 * padding - kernel) // stride + 1
        return frames

    def _transcript(self, frames: Frames, name: str, seconds: float) -> Transcript:
        return transcribe_frames(
            frames, self.manifest.levels, audio=name, seconds=seconds, frame_rate_hz=self.manifest.frame_rate_hz
        )


def load(
    folder: Path | str,
    *,
    device: str = "cpu",
    threads: int | None = None,
    verify: bool = True,
    window_seconds: float = WINDOW_SECONDS,
) -> Model:
    """Open an artifact made by ``qexport``; ``verify`` checks the hash of every file first.

    Raises ArtifactError, RuntimeLoadError, DeviceError or MissingExtraError.
    """
    artifact = read(folder, verify=verify)
    return Model(artifact, load_engine(artifact, EngineOptions(device=device, threads=threads)), window_seconds)


def _blocks(source: Source) -> Iterator[Floats]:
    if isinstance(source, np.ndarray):
        yield _checked(source)
    else:
        yield from stream(source)


def _checked(samples: NDArray[np.float32]) -> Floats:
    if samples.ndim != 1 or samples.dtype != np.float32:
        raise AudioError(
            f"samples must be one-dimensional float32 at {SAMPLE_RATE} Hz, "
            f"not {samples.ndim}-dimensional {samples.dtype}"
        )
    if not np.isfinite(samples).all():
        raise AudioError("samples that are no numbers (NaN or infinity)")
    return samples


def _seconds(source: Source) -> float:
    return source.size / SAMPLE_RATE if isinstance(source, np.ndarray) else duration(source)


def _name(source: Source, place: int) -> str:
    return f"samples {place}" if isinstance(source, np.ndarray) else str(source)
