"""Audio files of any common format, rate and channel count as mono float32 at 16 kHz, in bounded memory."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

from .errors import AudioError, AudioNotFoundError
from .features import Floats
from .settings import SAMPLE_RATE
from .truncation import is_cut

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".au"})
"""Endings of files that a folder is searched for."""

_BLOCK_SECONDS = 10.0


def read(source: Path | str) -> Floats:
    """The whole file as mono float32 samples at 16 kHz. Raises AudioError with what is wrong."""
    return np.concatenate(list(stream(source)))


def stream(source: Path | str, block_seconds: float = _BLOCK_SECONDS) -> Iterator[Floats]:
    """The file's samples in blocks; together they equal ``read``.

    Raises AudioError where the file is missing, empty, damaged, not audio, or holds NaN or infinite samples.
    """
    path = Path(source)
    with _opened(path) as file:
        resampler = None
        if file.samplerate != SAMPLE_RATE:
            resampler = soxr.ResampleStream(file.samplerate, SAMPLE_RATE, 1, dtype="float32")
        frames = 0
        while True:
            block = _next_block(file, path, round(block_seconds * file.samplerate))
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


def duration(source: Path | str) -> float:
    """Seconds of audio as the file's header states them; exact but for some mp3. Raises AudioError."""
    with _opened(Path(source)) as file:
        return float(file.frames / file.samplerate)


@contextmanager
def spool(data: BinaryIO) -> Iterator[Path]:
    """A temporary file with everything that ``data`` (a pipe, say) gives, since long audio is read twice."""
    with tempfile.NamedTemporaryFile(prefix="qasr-", suffix=".audio") as file:
        shutil.copyfileobj(data, file)
        file.flush()
        yield Path(file.name)


@contextmanager
def _opened(path: Path) -> Iterator[soundfile.SoundFile]:
    if path.is_dir():
        raise AudioError(f"{path}: is a folder, not an audio file")
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise AudioNotFoundError(f"{path}: no such file") from None
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror})") from None
    if size == 0:
        raise AudioError(f"{path}: is empty (0 bytes)")
    try:
        file = soundfile.SoundFile(path)
    except PermissionError:
        raise AudioError(f"{path}: may not be read (permission denied)") from None
    except (soundfile.SoundFileError, TypeError) as error:
        reason = _reason(error)
        raise AudioError(
            f"{path}: is not audio that can be read ({reason}); convert it to wav, flac, ogg or mp3"
        ) from None
    with file:
        yield file


def _next_block(file: soundfile.SoundFile, path: Path, frames: int) -> Floats:
    try:
        block: Floats = file.read(frames, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise AudioError(f"{path}: is damaged ({_reason(error)}); fetch or convert it again") from None
    return block


def _reason(error: Exception) -> str:
    text = getattr(error, "error_string", None) or str(error)
    return str(text).strip().rstrip(".").splitlines()[0].lower() if str(text).strip() else type(error).__name__
