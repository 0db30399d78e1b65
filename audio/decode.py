"""Recordings of any format, rate and channel count as mono float32 at 16 kHz, in bounded memory."""

from __future__ import annotations

import io
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soxr

from ..version import installed
from .channels import ChannelChoice, mixed
from .decoder import Decoder, block_frames, check_header
from .errors import AudioError, AudioNotFoundError
from .frontends import Floats
from .pyav import PyAVDecoder
from .rate import SAMPLE_RATE
from .samples import ArrayDecoder, to_samples
from .sndfile import SndfileDecoder, UnknownFormatError

_BLOCK_SECONDS = 10.0
# Values of a recording that is kept while its channels are compared; a longer one is decoded twice.
_HELD_VALUES = 1 << 22

Opener = Callable[[], AbstractContextManager[Decoder]]


class Audio:
    """A recording that can be decoded as often as necessary."""

    def __init__(self, opener: Opener, name: str | None) -> None:
        """``opener`` opens the recording at its start; ``name`` is for messages."""
        self.name = name
        self.notes: list[str] = []
        """What its header states and its samples do not bear out, and what was chosen; after the first decoding."""
        self.channel: str | None = None
        """``mix``, or the number of the channel that is read, from 1; None for a recording with one channel."""
        self._opener = opener
        self._chosen: int | None = None
        self._choice_note: list[str] = []

    def seconds(self) -> float:
        """Duration that the header states, which may be wrong; measured if it states none. Raises AudioError."""
        with self._opened() as decoder:
            if decoder.frames is not None:
                return decoder.frames / decoder.rate
        return sum(samples.size for samples in self.blocks()) / SAMPLE_RATE

    def blocks(self, block_seconds: float = _BLOCK_SECONDS) -> Iterator[Floats]:
        """The samples in blocks, mono float32 at 16 kHz.

        Raises AudioError for what is empty, damaged, cut off or not audio, and for NaN and infinite samples.
        """
        with self._opened() as decoder:
            frames = block_frames(decoder.rate, decoder.channels, block_seconds)
            native = decoder.blocks(frames)
            if decoder.channels > 1 and self.channel is None:
                held = self._choose(decoder, native)
                if held is None:
                    yield from self.blocks(block_seconds)
                    return
                native = iter(held)
            yield from self._mono(decoder, native)
            self.notes = [*decoder.notes, *self._choice_note]

    def _choose(self, decoder: Decoder, native: Iterator[Floats]) -> list[Floats] | None:
        """Choose the channel. Returns the recording's blocks, None if they are too many to keep."""
        choice = ChannelChoice(decoder.rate, decoder.channels)
        held: list[Floats] | None = []
        values = 0
        for block in native:
            choice.add(block)
            values += block.size
            if held is not None:
                held = [*held, block] if values <= _HELD_VALUES else None
        self._chosen = choice.channel()
        self.channel = "mix" if self._chosen is None else str(self._chosen + 1)
        if self._chosen is not None:
            self._choice_note = [
                f"channel {self.channel} of {decoder.channels} is transcribed, because speech would suffer in the mix"
            ]
        return held

    def _mono(self, decoder: Decoder, native: Iterator[Floats]) -> Iterator[Floats]:
        resampler = None
        if decoder.rate != SAMPLE_RATE:
            resampler = soxr.ResampleStream(decoder.rate, SAMPLE_RATE, 1, dtype="float32")
        frames = 0
        for block in native:
            frames += len(block)
            mono = mixed(block, self._chosen)
            if not np.isfinite(mono).all():
                raise AudioError("holds NaN or infinite samples; record or convert it again")
            samples = mono if resampler is None else resampler.resample_chunk(mono)
            if samples.size:
                yield samples
        if frames == 0:
            raise AudioError("holds no sound (zero samples)")
        if resampler is not None:
            rest = resampler.resample_chunk(np.zeros(0, dtype=np.float32), last=True)
            if rest.size:
                yield rest

    @contextmanager
    def _opened(self) -> Iterator[Decoder]:
        try:
            with self._opener() as decoder:
                check_header(decoder.rate, decoder.channels)
                yield decoder
        except AudioError as error:
            raise error if self.name is None or error.source is not None else error.named(self.name) from None


def from_file(source: Path | str | bytes) -> Audio:
    """A file, or the content of one."""
    if isinstance(source, bytes):
        return Audio(lambda: _decoder(io.BytesIO(source)), None)
    path = Path(source)

    @contextmanager
    def opener() -> Iterator[Decoder]:
        with _bytes(path) as data, _decoder(data) as decoder:
            yield decoder

    return Audio(opener, str(path))


def from_samples(values: Any, rate: int) -> Audio:
    """Samples in memory: an array, tensor or list (samples,), (samples, channels) or (channels, samples).

    Raises AudioError for other shapes and types, and for a rate that no recording has.
    """
    check_header(rate, 1)
    samples = to_samples(values)
    return Audio(lambda: nullcontext(ArrayDecoder(samples, rate)), None)


def read(source: Path | str) -> Floats:
    """The whole file as mono float32 samples at 16 kHz. Raises AudioError."""
    return np.concatenate([np.empty(0, np.float32), *stream(source)])


def stream(source: Path | str, block_seconds: float = _BLOCK_SECONDS) -> Iterator[Floats]:
    """The file's samples in blocks, which together equal ``read``. Raises AudioError."""
    return from_file(source).blocks(block_seconds)


def duration(source: Path | str) -> float:
    """Seconds of audio, from the file's header where it states them. Raises AudioError."""
    return from_file(source).seconds()


@contextmanager
def spool(data: BinaryIO) -> Iterator[Path]:
    """A temporary file with the content of ``data``, such as a pipe, because long audio is read twice."""
    with tempfile.NamedTemporaryFile(prefix="qasr-", suffix=".audio") as file:
        shutil.copyfileobj(data, file)
        file.flush()
        yield Path(file.name)


@contextmanager
def _decoder(data: BinaryIO) -> Iterator[Decoder]:
    with closing(_find_decoder(data)) as decoder:
        yield decoder


def _find_decoder(data: BinaryIO) -> Decoder:
    """Use libsndfile where it knows the format, else PyAV if it is installed. Raises AudioError."""
    magic = data.read(4)
    if not magic:
        raise AudioError("is empty (0 bytes)")
    data.seek(0)
    try:
        decoder = SndfileDecoder(data)
    except UnknownFormatError as error:
        # Of a damaged flac, FFmpeg would read what it can, and not say that there was more.
        if magic == b"fLaC":
            raise AudioError(f"is damaged ({error}); fetch or convert it again") from None
        return _by_pyav(data, str(error))
    if decoder.guesses_length and installed("av"):
        decoder.close()
        return _by_pyav(data, "")
    return decoder


def _by_pyav(data: BinaryIO, reason: str) -> Decoder:
    if not installed("av"):
        raise AudioError(
            f"is not audio that can be read without PyAV ({reason}); for m4a, aac, webm, wma, mp4, 3gp, amr and "
            "damaged mp3, type: pip install 'qasr[audio]'"
        )
    data.seek(0)
    return PyAVDecoder(data)


def _bytes(path: Path) -> BinaryIO:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise AudioError("is a folder, not an audio file", str(path))
        if not stat.S_ISREG(status.st_mode):
            raise AudioError("is a pipe or a device, not a file; save its audio to a file first", str(path))
        return path.open("rb")
    except FileNotFoundError:
        raise AudioNotFoundError("no such file", str(path)) from None
    except PermissionError:
        raise AudioError("may not be read (permission denied)", str(path)) from None
    except OSError as error:
        raise AudioError(f"cannot be read ({error.strerror})", str(path)) from None
