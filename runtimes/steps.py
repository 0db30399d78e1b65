"""The steps around an engine: a recording's windows before it, the transcript of their frames after it.

``Model`` takes them in one thread; a server takes them in several, with the engine in another process.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

from ..artifacts import Manifest, output_index
from ..audio import OVERLAP_SECONDS, WINDOW_SECONDS, AudioError, Transform, Window, windows
from .ctc.decoding import Frames, Vocabularies, without
from .ctc.stitching import Stitcher
from .ctc.transcript import Transcript, transcribe_frames
from .options import check_seconds
from .recordings import Recording
from .stopwatch import Stopwatch

NO_SPEECH = "holds no speech: nothing in it rises above its background"
"""The note of a transcript that is empty for this reason."""


@dataclass(frozen=True)
class Steps:
    """How recordings are cut into windows and their frames decoded, for one artifact."""

    manifest: Manifest
    window_seconds: float = WINDOW_SECONDS
    overlap_seconds: float = OVERLAP_SECONDS
    transform: Transform | None = None
    """Computes features on another device."""
    stopwatch: Stopwatch = field(default_factory=Stopwatch)

    def __post_init__(self) -> None:
        """Windows never exceed the artifact's limits; their overlap is at most half of them. Raises OptionError."""
        check_seconds("window_seconds", self.window_seconds)
        check_seconds("overlap_seconds", self.overlap_seconds)
        longest = self.manifest.limits.max_frames
        if longest is not None:
            most = longest / self.manifest.front_end.frames_per_second
            object.__setattr__(self, "window_seconds", min(self.window_seconds, most))
        object.__setattr__(self, "overlap_seconds", min(self.overlap_seconds, self.window_seconds / 2))

    def start(self, recording: Recording) -> Transcription:
        """The transcription of ``recording``, with nothing done yet."""
        return Transcription(self, recording)


class Transcription:
    """The transcription of one recording: ``windows`` go through an engine, and ``add`` takes what comes out."""

    def __init__(self, steps: Steps, recording: Recording) -> None:
        self.recording = recording
        self._steps = steps
        self._stitcher = Stitcher()

    def windows(self) -> Generator[Window]:
        """The windows, in order. Raises AudioError, which names the recording."""
        steps = self._steps
        try:
            parts = windows(
                self.recording.blocks,
                steps.manifest.front_end,
                steps.window_seconds,
                steps.overlap_seconds,
                steps.transform,
            )
            while True:
                with steps.stopwatch.running("features"):
                    window = next(parts, None)
                if window is None:
                    return
                yield window
        except AudioError as error:
            raise error.named(self.recording.name) from None

    def add(self, window: Window, frames: Frames) -> None:
        """Add the frames of a window. Call in the order of the windows."""
        self._stitcher.add(frames, output_index(window.start, self._steps.manifest.strides))

    def partial_text(self) -> str:
        """The first level's text of the frames that no further window changes."""
        frames = self._stitcher.final()
        if frames is None:
            return ""
        level, vocabulary = next(iter(self._steps.manifest.levels.items()))
        first = Frames(frames.best[:1], frames.confidence[:1], frames.blank)
        return self._transcript(first, {level: vocabulary}).text

    def result(self) -> Transcript:
        """The transcript, once every window was added."""
        with self._steps.stopwatch.running("decoding"):
            return self._transcript(self._stitcher.join(), self._steps.manifest.levels)

    def _transcript(self, frames: Frames, vocabularies: Vocabularies) -> Transcript:
        recording, rate = self.recording, self._steps.manifest.frame_rate_hz
        speech = recording.speech(len(frames), rate)
        return transcribe_frames(
            without(frames, speech, vocabularies),
            vocabularies,
            audio=recording.name,
            seconds=recording.seconds,
            frame_rate_hz=rate,
            channel=recording.channel,
            notes=recording.notes if speech.any() else [*recording.notes, NO_SPEECH],
        )
