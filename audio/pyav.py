"""Decoding by FFmpeg's libraries, through PyAV: what phones, browsers and cameras record. The extra ``audio``."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from .decoder import check_header
from .errors import AudioError
from .frontends import Floats
from .truncation import ends_ogg, is_cut_asf

if TYPE_CHECKING:
    import av

# Formats that hold sound. FFmpeg knows others, such as lists of further files to open.
_FORMATS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,eac3,flac,flv,loas,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpeg,"
    "mpegts,ogg,rm,tta,w64,wav,wv"
)
# The containers that state how long they are, other than by a guess from the rate of their first bytes.
_STATES_LENGTH = frozenset({"mov", "matroska", "asf", "caf"})
# Codecs pad their last packet, and containers round their durations.
_TOLERANCE_SECONDS = 0.5
# Packets of some 20 ms that may be damaged, apart from those before the first sound.
_BAD_PACKETS, _BAD_SHARE = 2, 0.002


class PyAVDecoder:
    """A file opened by PyAV. Raises AudioError, and ImportError without PyAV."""

    def __init__(self, data: BinaryIO) -> None:
        import av

        self._data = data
        self.notes: list[str] = []
        try:
            self._container = av.open(
                data, mode="r", options={"format_whitelist": _FORMATS}, metadata_errors="ignore", timeout=None
            )
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise AudioError(
                f"is not audio that can be read ({_reason(error)}); convert it to wav, flac, ogg or mp3"
            ) from None
        if not self._container.streams.audio:
            self._container.close()
            raise AudioError("holds no sound (a video or pictures alone)")
        self._stream = self._container.streams.audio[0]
        self._frames = self._decoded()
        # What a container states of rate and channels is often that of another layer: the first sound is right.
        first = next(self._frames, None)
        if first is None:
            self._container.close()
            raise AudioError("holds no sound (zero samples)")
        self._frames = chain((first,), self._frames)
        self.rate: int = first.sample_rate
        self.channels: int = first.layout.nb_channels
        check_header(self.rate, self.channels)
        self._resampler = av.AudioResampler(format="fltp", layout=first.layout, rate=first.sample_rate)
        self._stated = self._stated_seconds()
        self.frames = None if self._stated is None else round(self._stated * self.rate)

    def blocks(self, frames: int) -> Iterator[Floats]:
        """Samples (n, channels). Raises AudioError if they are damaged, or fewer than the container states."""
        total, held, parts = 0, 0, list[Floats]()
        for frame in chain(self._frames, (None,)):
            for resampled in self._resampler.resample(frame):
                parts.append(resampled.to_ndarray().T.astype(np.float32, copy=False))
                held += len(parts[-1])
            if parts and (held >= frames or frame is None):
                total += held
                yield np.ascontiguousarray(np.concatenate(parts), dtype=np.float32)
                held, parts = 0, []
        self._check_end(total / self.rate)

    def close(self) -> None:
        """Close FFmpeg's handle."""
        self._container.close()

    def _decoded(self) -> Iterator[av.AudioFrame]:
        """Decoded frames. What cannot be decoded is skipped: padding and half a frame at the start, joins of files."""
        import av

        packets = bad = 0
        began = False
        try:
            for packet in self._container.demux(self._stream):
                packets += 1
                try:
                    frames: list[Any] = list(packet.decode())
                except av.error.InvalidDataError:
                    bad += began
                    if bad > _BAD_PACKETS + packets * _BAD_SHARE:
                        raise
                    continue
                began = began or bool(frames)
                yield from frames
        except av.error.EOFError:
            pass
        except av.error.FFmpegError as error:
            raise AudioError(f"is damaged ({_reason(error)}); fetch or convert it again") from None
        if bad:
            self.notes.append(f"{bad} damaged {'piece' if bad == 1 else 'pieces'} of a few milliseconds skipped")

    def _check_end(self, seconds: float) -> None:
        name = self._container.format.name
        cut = (name == "ogg" and not ends_ogg(self._data)) or (name == "asf" and is_cut_asf(self._data))
        if cut or (self._stated is not None and seconds < self._stated - _TOLERANCE_SECONDS):
            raise AudioError(f"is cut off after {seconds:.1f} s; fetch it again")

    def _stated_seconds(self) -> float | None:
        if _STATES_LENGTH.isdisjoint(self._container.format.name.split(",")):
            return None
        if self._stream.duration is not None and self._stream.time_base is not None:
            return float(self._stream.duration * self._stream.time_base)
        # The container's duration may be that of its pictures.
        alone = len(self._container.streams) == 1
        return self._container.duration / 1e6 if alone and self._container.duration else None


def _reason(error: Exception) -> str:
    text = str(getattr(error, "strerror", None) or error).strip()
    return text.splitlines()[0].lower() if text else type(error).__name__
