"""What all decoders have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from .errors import AudioError
from .frontends import Floats
from .rate import MAX_RATE, MIN_RATE, is_plausible_rate

# Bounds memory: a header may state any number of channels.
_BLOCK_VALUES = 1 << 22
_BLOCK_SECONDS = 10.0


class Decoder(Protocol):
    """An opened recording."""

    rate: int
    """Samples per second of each channel."""
    channels: int
    frames: int | None
    """Samples of each channel, as far as that is known without decoding."""
    notes: list[str]
    """What a header stated and the samples do not bear out. Complete when ``blocks`` has ended."""

    def blocks(self, frames: int) -> Iterator[Floats]:
        """Samples in blocks (n, channels) of about ``frames``. Raises AudioError without the recording's name."""

    def close(self) -> None:
        """Release what the decoder holds. The file that it reads stays open."""


def check_header(rate: float, channels: int) -> None:
    """Raise AudioError for a sample rate, or a number of channels, that no recording has."""
    if not is_plausible_rate(rate):
        raise AudioError(
            f"states a sample rate of {rate:g} Hz, and recordings have {MIN_RATE:,} to {MAX_RATE:,}; its header is "
            "damaged; convert it again from the original"
        )
    if channels < 1:
        raise AudioError("states that it has no channels; its header is damaged; convert it again from the original")


def block_frames(rate: int, channels: int, seconds: float = _BLOCK_SECONDS) -> int:
    """Samples of each channel in a block."""
    return max(1, min(round(seconds * rate), _BLOCK_VALUES // channels))
