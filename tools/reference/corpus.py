"""Utterances: synthesis, augmentation and features, in parallel and reproducible by seed."""

from __future__ import annotations

import json
import multiprocessing
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from .verses import Split, Stretch, stretches
from .voices import SEEN, TRAINING, UNSEEN, random_delivery, speak

SAMPLE_RATE = 16_000
CLEAN_SHARE = 0.3
"""Fraction of utterances without added noise; a model trained on noisy audio alone fails on clean audio."""


@dataclass(frozen=True)
class Utterance:
    """Text, voice, and the seed of all random choices."""

    stretch: Stretch
    voice: str
    seed: str
    snr_db: tuple[float, float]
    perturb: bool
    """Whether speed and timbre vary, as in training."""


def plan(split: Split, count: int, seed: int) -> list[Utterance]:
    """The utterances of a split. Evaluation alternates between the seen and the unseen voice."""
    utterances = []
    for index, stretch in enumerate(stretches(split, count, seed)):
        key = f"{split} {seed} {index}"
        if split == "evaluation":
            utterances.append(Utterance(stretch, (SEEN, UNSEEN)[index % 2], key, (20.0, 35.0), False))
        elif split == "calibration":
            utterances.append(Utterance(stretch, random.Random(key).choice(TRAINING), key, (20.0, 35.0), False))
        else:
            utterances.append(Utterance(stretch, random.Random(key).choice(TRAINING), key, (10.0, 40.0), True))
    return utterances


def render(utterance: Utterance) -> NDArray[np.float32]:
    """The utterance's audio, mono float32 at 16 kHz, peak below 1."""
    rng = random.Random(utterance.seed)
    samples, rate = speak(utterance.stretch.labels.phonemes, random_delivery(utterance.voice, rng))
    speed = rng.uniform(0.93, 1.07) if utterance.perturb else 1.0
    # Resampling from a slightly different rate changes speed and pitch together, like another vocal tract.
    audio = soxr.resample(samples, rate * speed, SAMPLE_RATE).astype(np.float32)
    noise = np.random.default_rng(hash_of(utterance.seed))
    if utterance.perturb:
        audio = _tilt(audio, rng.uniform(-0.5, 0.5))
    audio = audio * (10 ** (rng.uniform(-15.0, -1.0) / 20) / max(float(np.abs(audio).max()), 1e-6))
    if rng.random() >= CLEAN_SHARE:
        level = float(np.sqrt(np.mean(audio**2))) * 10 ** (-rng.uniform(*utterance.snr_db) / 20)
        audio = audio + _tilt(noise.standard_normal(audio.size).astype(np.float32), rng.uniform(-0.6, 0.2)) * level
    clipped: NDArray[np.float32] = np.clip(audio, -1.0, 1.0).astype(np.float32)
    return clipped


def hash_of(text: str) -> int:
    """A number computed from a text, equal in every process."""
    return int.from_bytes(text.encode(), "big") % (1 << 63)


def _tilt(audio: NDArray[np.float32], slope: float) -> NDArray[np.float32]:
    """First-order filter y[n] = x[n] + slope · x[n − 1]: brighter below zero, darker above."""
    tilted = audio.copy()
    tilted[1:] += slope * audio[:-1]
    return tilted / np.float32(np.sqrt(1 + slope * slope))


def feature_extractor() -> Any:
    """The checkpoint's feature extractor: 80 log-mel bins, two frames stacked."""
    from transformers import SeamlessM4TFeatureExtractor

    return SeamlessM4TFeatureExtractor(
        feature_size=80, num_mel_bins=80, sampling_rate=SAMPLE_RATE, stride=2, padding_value=1
    )


def _features(utterance: Utterance) -> NDArray[np.float16]:
    extractor = _features.__dict__.setdefault("extractor", feature_extractor())
    outputs = extractor(render(utterance), sampling_rate=SAMPLE_RATE, return_tensors="np")
    valid = outputs["attention_mask"][0].astype(bool)
    return outputs["input_features"][0][valid].astype(np.float16)  # type: ignore[no-any-return]


def synthesize(work: Path, split: Split, count: int, seed: int, processes: int = 2) -> None:
    """Render a split, and store its features and label ids in ``work``."""
    utterances = plan(split, count, seed)
    with multiprocessing.Pool(processes) as pool:
        features = pool.map(_features, utterances, chunksize=32)
    work.mkdir(parents=True, exist_ok=True)
    np.save(work / f"{split}.features.npy", np.concatenate(features))
    rows = [
        {"frames": len(frames), "voice": utterance.voice, "ids": utterance.stretch.labels.ids()}
        for frames, utterance in zip(features, utterances, strict=True)
    ]
    (work / f"{split}.json").write_text(json.dumps(rows), encoding="utf-8")
    print(f"{split}: {count} utterances, {sum(map(len, features)) / 50 / 3600:.2f} hours")
