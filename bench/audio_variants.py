"""Transcripts of one clip in every format, rate, channel count, sample type and level, against the clean clip's.

    python -m qasr.bench.audio_variants ARTIFACT CLIP [--most N]

Needs PyAV, which writes the compressed formats. Prints a line for each kind, and ends with 1 if a transcript of audio
from 16 kHz differs by more than ``--most`` phonemes. Lower rates and heavy clipping are printed only.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
import soxr

from ..audio import SAMPLE_RATE, Floats, read
from ..runtimes import Model, load

RATES = (8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 192_000)
CHANNELS = (1, 2, 3, 6, 8)
SUBTYPES = ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")
LOWEST_RATE = 16_000
"""Audio of a lower rate lacks sounds of speech, so it may differ."""
HEAVY_CLIPPING = "clipping by 6 and 12 dB"
"""Printed, and not limited: no decoder brings back what was cut away."""

# Container and encoder of PyAV, and the rates that it takes.
_ENCODERS = {
    "opus": ("ogg", "libopus", (8_000, 16_000, 24_000, 48_000)),
    "webm": ("webm", "libopus", (8_000, 16_000, 24_000, 48_000)),
    "mp3": ("mp3", "libmp3lame", (16_000, 22_050, 32_000, 44_100, 48_000)),
    "m4a": ("ipod", "aac", (8_000, 16_000, 22_050, 44_100, 48_000, 96_000)),
}


class Variant(NamedTuple):
    """A clip in another format."""

    kind: str
    name: str
    rate: int
    data: bytes


def variants(samples: Floats, *, short: bool = False) -> Iterator[Variant]:
    """Variants of mono ``samples`` at 16 kHz; ``short`` gives a few of each kind."""
    rates = RATES[::3] if short else RATES
    for rate in rates:
        yield Variant("rate", f"wav {rate}", rate, _file(_at(samples, rate), rate))
        yield Variant("rate", f"flac {rate}", rate, _file(_at(samples, rate), rate, "FLAC"))
        if rate <= 48_000:
            yield Variant("rate", f"ogg {rate}", rate, _file(_at(samples, rate), rate, "OGG"))
    for channels in CHANNELS:
        repeated = np.tile(samples[:, None], channels)
        yield Variant("channels", f"wav {channels}", SAMPLE_RATE, _file(repeated, SAMPLE_RATE))
        only = np.zeros_like(repeated)
        only[:, -1] = samples
        yield Variant("channels", f"wav, one of {channels}", SAMPLE_RATE, _file(only, SAMPLE_RATE))
    for channels in (2, 4, 8):
        signs = np.where(np.arange(channels) % 2, -1, 1)
        yield Variant(
            "channels", f"wav, inverted {channels}", SAMPLE_RATE, _file(samples[:, None] * signs, SAMPLE_RATE)
        )
    for subtype in SUBTYPES:
        yield Variant("sample type", subtype, SAMPLE_RATE, _file(samples, SAMPLE_RATE, subtype=subtype))
    peak = np.abs(samples).max()
    for level in (0.5, 0.2, -0.3):
        shifted = samples / peak * 0.4 + level
        yield Variant("constant part", f"{level:+}", SAMPLE_RATE, _file(shifted, SAMPLE_RATE))
    for gain in (1.2, 1.5, 2, 4):
        clipped = np.clip(samples / peak * gain, -1, 1)
        kind = "clipping" if gain < 2 else HEAVY_CLIPPING
        yield Variant(kind, f"{gain} times full scale", SAMPLE_RATE, _file(clipped, SAMPLE_RATE))
    for decibels in (-60, -40, -20, 20, 40, 60):
        scaled = samples * 10 ** (decibels / 20)
        yield Variant("level", f"{decibels:+} dB", SAMPLE_RATE, _file(scaled, SAMPLE_RATE, subtype="FLOAT"))
    for name, (container, codec, taken) in _ENCODERS.items():
        for rate in taken[1:3] if short else taken:
            for channels in (1, 2):
                data = _encode(_at(samples, rate), rate, channels, container, codec)
                yield Variant(name, f"{name} {rate}, {channels} ch", rate, data)


def differences(model: Model, samples: Floats, *, short: bool = False) -> Iterator[tuple[Variant, int]]:
    """Edit distance of each variant's transcript from that of the clean clip, in tokens of the first level."""
    clean = _tokens(model, (samples, SAMPLE_RATE))
    for variant in variants(samples, short=short):
        yield variant, _distance(_tokens(model, variant.data), clean)


def is_limited(variant: Variant) -> bool:
    """Whether the variant holds what the clean clip holds."""
    return variant.rate >= LOWEST_RATE and variant.kind != HEAVY_CLIPPING


def main() -> int:
    """Print the differences by kind. Returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("artifact", type=Path)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--most", type=int, default=1, metavar="N", help="phonemes that may differ above 16 kHz")
    options = parser.parse_args()
    samples = read(options.clip)
    worst: dict[str, list[tuple[int, str]]] = defaultdict(list)
    failed = 0
    with load(options.artifact, trust_code=True) as model:
        count = len(_tokens(model, (samples, SAMPLE_RATE)))
        for variant, distance in differences(model, samples):
            kind = variant.kind if variant.rate >= LOWEST_RATE else "below 16 kHz"
            worst[kind].append((distance, variant.name))
            failed += is_limited(variant) and distance > options.most
    for kind, rows in worst.items():
        most, name = max(rows)
        where = f" ({name})" if most else ""
        sys.stdout.write(f"{kind}: {len(rows)} variants, at most {most} of {count} phonemes differ{where}\n")
    return int(failed > 0)


def _at(samples: Floats, rate: int) -> Floats:
    resampled: Floats = soxr.resample(samples, SAMPLE_RATE, rate)
    return resampled


def _file(samples: Any, rate: int, format_: str = "WAV", subtype: str | None = None) -> bytes:
    data = io.BytesIO()
    soundfile.write(data, samples, rate, format=format_, subtype=subtype)
    return data.getvalue()


def _encode(samples: Floats, rate: int, channels: int, container: str, codec: str) -> bytes:
    import av

    layout = "mono" if channels == 1 else "stereo"
    integers = np.repeat(np.clip(samples * 32_767, -32_768, 32_767).astype(np.int16), channels)[None]
    with tempfile.TemporaryFile() as output:
        with av.open(output, "w", format=container) as file:
            stream: Any = file.add_stream(codec, rate=rate, layout=layout)
            stream.bit_rate = 64_000 * channels
            frame = av.AudioFrame.from_ndarray(integers, format="s16", layout=layout)
            frame.sample_rate = rate
            for packet in [*stream.encode(frame), *stream.encode(None)]:
                file.mux(packet)
        output.seek(0)
        return output.read()


def _tokens(model: Model, source: Any) -> list[str]:
    return [token.text for token in model.transcribe(source).levels[model.levels[0]].tokens]


def _distance(a: list[str], b: list[str]) -> int:
    from rapidfuzz.distance import Levenshtein

    return int(Levenshtein.distance(a, b))


if __name__ == "__main__":
    sys.exit(main())
