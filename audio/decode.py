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
from .frontends.fbank import Floats
from .settings import SAMPLE_RATE
from .truncation import UNKNOWN_FRAMES, goes_on, is_cut

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".au"})
"""Endings of files that a folder is searched for."""

_BLOCK_SECONDS = 10.0
# A header may state any rate and channel count; memory must not follow it.
_BLOCK_VALUES = 1 << 22


class _Sequential(soundfile.SoundFile):  # type: ignore[misc]
    """A file read from start to end: soundfile seeks after every block, which a flac of unknown length refuses."""

    def seekable(self) -> bool:
        return False


def read(source: Path | str) -> Floats:
    """The whole file as mono float32 samples at 16 kHz. Raises AudioError with what is wrong."""
    return np.concatenate([np.empty(0, np.float32), *stream(source)])


def stream(source: Path | str, block_seconds: float = _BLOCK_SECONDS) -> Iterator[Floats]:
    """The file's samples in blocks; together they equal ``read``.

    Raises AudioError where the file is missing, empty, damaged, cut off, not audio, goes on behind its stated end, or
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
                raise AudioError(
                    f"{path}: holds samples that are no numbers (NaN or infinity); record or convert it again"
                )
            samples = mono if resampler is None else resampler.resample_chunk(mono, last=last)
            if samples.size:
                yield samples
            if last:
                break
        if frames == 0:
            raise AudioError(f"{path}: holds no sound (zero samples)")
        if is_cut(path, file, frames):
            raise AudioError(f"{path}: is cut off after {frames / file.samplerate:.1f} s; fetch it again")
        if goes_on(data, file):
            raise AudioError(
                f"{path}: goes on after the {frames / file.samplerate:.1f} s that its header gives it (files joined, "
                "or an mp3 that does not state its length); convert it to wav"
            )


def duration(source: Path | str) -> float:
    """Seconds of audio as the file's header states them; exact but for some mp3. Raises AudioError."""
    with _opened(Path(source)) as (file, _):
        if file.frames != UNKNOWN_FRAMES:
            return float(file.frames / file.samplerate)
    # A flac that came through a pipe: it must be decoded to know.
    return sum(samples.size for samples in stream(source)) / SAMPLE_RATE


@contextmanager
def spool(data: BinaryIO) -> Iterator[Path]:
    """A temporary file with everything that ``data`` (a pipe, say) gives, since long audio is read twice."""
    with tempfile.NamedTemporaryFile(prefix="qasr-", suffix=".audio") as file:
        shutil.copyfileobj(data, file)
        file.flush()
        yield Path(file.name)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[soundfile.SoundFile, BinaryIO]]:
    """The file and the bytes that libsndfile reads it from: given only a path, it hides why it could not open."""
    with _bytes(path) as data:
        try:
            file = _Sequential(data)
        except (soundfile.SoundFileError, TypeError) as error:
            reason = _reason(error)
            raise AudioError(
                f"{path}: is not audio that can be read ({reason}); convert it to wav, flac, ogg or mp3"
            ) from None
        with file:
            yield file, data


def _bytes(path: Path) -> BinaryIO:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise AudioError(f"{path}: is a folder, not an audio file")
        if not stat.S_ISREG(status.st_mode):
            raise AudioError(f"{path}: is a pipe or a device, not a file; save its audio to a file first")
        if status.st_size == 0:
            raise AudioError(f"{path}: is empty (0 bytes)")
        return path.open("rb")
    except FileNotFoundError:
        raise AudioNotFoundError(f"{path}: no such file") from None
    except PermissionError:
        raise AudioError(f"{path}: may not be read (permission denied)") from None
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror})") from None


def _next_block(file: soundfile.SoundFile, path: Path, frames: int) -> Floats:
    try:
        block: Floats = file.read(frames, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise AudioError(f"{path}: is damaged ({_reason(error)}); fetch or convert it again") from None
    return block


def _reason(error: Exception) -> str:
    text = getattr(error, "error_string", None) or str(error)
    return str(text).strip().rstrip(".").splitlines()[0].lower() if str(text).strip() else type(error).__name__
