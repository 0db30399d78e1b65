"""The evaluation set with white noise: where clean speech of known voices cannot rank artifacts, noisy speech can."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import soundfile

from ...audio import SAMPLE_RATE, Floats, read
from ...data import LabelledSet


def add_noise(samples: Floats, snr_db: float, rng: np.random.Generator) -> Floats:
    """``samples`` (n,) with white Gaussian noise, ``snr_db`` below their mean power. Silence stays silent."""
    power = float(np.mean(np.square(samples, dtype=np.float64)))
    scale = (power / 10 ** (snr_db / 10)) ** 0.5
    noisy: Floats = samples + np.float32(scale) * rng.standard_normal(samples.size, dtype=np.float32)
    return noisy


def noisy_recordings(data: LabelledSet, snr_db: float, seed: int, folder: Path) -> list[Path]:
    """A file in ``folder`` for each recording of the set, with noise that depends on the seed and its name alone.

    So every artifact, and every later run with the same seed, transcribes the same samples. The files are 16 kHz mono
    in float, which nothing clips. Raises AudioError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for index, recording in enumerate(data.recordings):
        name = int.from_bytes(hashlib.sha256(recording.name.encode()).digest()[:8], "big")
        noisy = add_noise(read(recording.audio), snr_db, np.random.default_rng((seed % 2**32, name)))
        files.append(folder / f"{index:06d}.wav")
        soundfile.write(files[-1], noisy, SAMPLE_RATE, subtype="FLOAT")
    return files
