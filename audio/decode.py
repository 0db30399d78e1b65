"""Audio files of any common format, rate and channel count as mono float32 at 16 kHz, in bounded memory."""

from __future__ import annotations

import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

from .errors import AudioError, AudioNotFoundError
from .frontends import Floats
from .rate import SAMPLE_RATE
from .truncation import UNKNOWN_FRAMES, has_more, is_cut

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".au"})
"""Suffixes of the audio files that a search of a folder finds."""

_BLOCK_SECONDS = 10.0
# Bounds memory: a header may state any rate and channel count.
_BLOCK_VALUES = 1 << 22


class _Sequential(soundfile.SoundFile):  # type: ignore[misc]
    """A file that is only read forward. soundfile's seeks fail for a flac of unknown length."""

    def seekable(self) -> bool:
        return False


def read(source: Path | str) -> Floats:
    """The whole file as mono float32 samples at 16 kHz. Raises AudioError."""
    return np.concatenate([np.empty(0, np.float32), *stream(source)])


def stream(source: Path | str, block_seconds: float = _BLOCK_SECONDS) -> Iterator[Floats]:
    """The file's samples in blocks, which together equal ``read``.

    Raises AudioError if the file is missing, empty, damaged, cut off, not audio, continues after its stated end, or
    holds NaN or infinite samples.
    """
    path = Path(source)
    with _opened(path) as (file, data):
        resampler = None
        if file.samplerate != SAMPLE_RATE:
            resampler = soxr.ResampleStream(file.samplerate, SAMPLE_RATE, 1, dtype="float32")
        block_frames = max(1, min(round(block_seconds * file.samplerate), _BLOCK_VALUES // file.channels))
        frames = 0
        while True:
            block = _next_block(file, path, block_frames)
            last = len(block) == 0
            frames += len(block)
            mono = block.mean(axis=1, dtype=np.float32) if block.shape[1] > 1 else block[:, 0]
            if not np.isfinite(mono).all():
                raise AudioError("holds NaN or infinite samples; record or convert it again", str(path))
            samples = mono if resampler is None else resampler.resample_chunk(mono, last=last)
            if samples.size:
                yield samples
            if last:
                break
        if frames == 0:
            raise AudioError("holds no sound (zero samples)", str(path))
        if is_cut(path, file, frames):
            raise AudioError(f"is cut off after {frames / file.samplerate:.1f} s; fetch it again", str(path))
        if has_more(data, file):
            raise AudioError(
                f"continues after the {frames / file.samplerate:.1f} s that its header states (joined files, or an mp3 "
                "that does not state its length); convert it to wav",
                str(path),
            )


def duration(source: Path | str) -> float:
    """Seconds of audio stated in the file's header, which is exact except for some mp3. Raises AudioError."""
    with _opened(Path(source)) as (file, _):
        if file.frames != UNKNOWN_FRAMES:
            return float(file.frames / file.samplerate)
    # A flac written to a pipe states no length: decode it.
    return sum(samples.size for samples in stream(source)) / SAMPLE_RATE


@contextmanager
def spool(data: BinaryIO) -> Iterator[Path]:
    """A temporary file with the content of ``data``, such as a pipe, because long audio is read twice."""
    with tempfile.NamedTemporaryFile(prefix="qasr-", suffix=".audio") as file:
        shutil.copyfileobj(data, file)
        file.flush()
        yield Path(file.name)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[soundfile.SoundFile, BinaryIO]]:
    """The file, and the stream of bytes that libsndfile reads. Given a path, libsndfile hides why it cannot open it."""
    with _bytes(path) as data:
        try:
            file = _Sequential(data)
        except (soundfile.SoundFileError, TypeError) as error:
            reason = _reason(error)
            raise AudioError(
                f"is not audio that can be read ({reason}); convert it to wav, flac, ogg or mp3", str(path)
            ) from None
        with file:
            yield file, data


def _bytes(path: Path) -> BinaryIO:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise AudioError("is a folder, not an audio file", str(path))
        if not stat.S_ISREG(status.st_mode):
            raise AudioError("is a pipe or a device, not a file; save its audio to a file first", str(path))
        if status.st_size == 0:
            raise AudioError("is empty (0 bytes)", str(path))
        return path.open("rb")
    except FileNotFoundError:
        raise AudioNotFoundError("no such file", str(path)) from None
    except PermissionError:
        raise AudioError("may not be read (permission denied)", str(path)) from None
    except OSError as error:
        raise AudioError(f"cannot be read ({error.strerror})", str(path)) from None


def _next_block(file: soundfile.SoundFile, path: Path, frames: int) -> Floats:
    try:
        block: Floats = file.read(frames, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise AudioError(f"is damaged ({_reason(error)}); fetch or convert it again", str(path)) from None
    return block


def _reason(error: Exception) -> str:
    text = getattr(error, "error_string", None) or str(error)
    return str(text).strip().rstrip(".").splitlines()[0].lower() if str(text).strip() else type(error).__name__
