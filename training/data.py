"""Recordings to train on, with token ids where they are labelled, in batches of like length."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..artifacts import LevelVocabulary, sha256_of_file, token_ids
from ..audio import SAMPLE_RATE, AudioError, LogMel, clip_inputs, duration
from ..data import DataError, load_data, read_audio_set
from .errors import TrainingError

Vocabularies = Mapping[str, LevelVocabulary]


@dataclass(frozen=True)
class Utterance:
    """A recording and the ids of its labels by level, none where labels are not used."""

    audio: Path
    seconds: float
    ids: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Batch:
    """Padded features (B, T, F) float32, lengths (B,) int64 in frames, and the clips' ids."""

    features: Tensor
    lengths: Tensor
    ids: tuple[Mapping[str, tuple[int, ...]], ...]


@dataclass(frozen=True)
class TrainingSet:
    """Utterances with a name."""

    name: str
    utterances: tuple[Utterance, ...]

    @property
    def seconds(self) -> float:
        """Of all audio."""
        return sum(utterance.seconds for utterance in self.utterances)

    @cached_property
    def sha256(self) -> str:
        """Hash over audio and labels, in order."""
        hashed = hashlib.sha256()
        for utterance in self.utterances:
            hashed.update(bytes.fromhex(sha256_of_file(utterance.audio)))
            hashed.update(repr(sorted(utterance.ids.items())).encode())
        return hashed.hexdigest()

    def split(self, share: float, seed: int) -> tuple[TrainingSet, TrainingSet]:
        """The set less a random ``share`` of it, at least one utterance, and that share. Raises TrainingError."""
        count = max(1, round(share * len(self.utterances)))
        if count >= len(self.utterances):
            raise TrainingError(f"{self.name}: {len(self.utterances)} recordings are too few to hold {share:.0%} back")
        order = np.random.default_rng(seed).permutation(len(self.utterances)).tolist()
        held_out, kept = sorted(order[:count]), sorted(order[count:])
        return (
            TrainingSet(self.name, tuple(self.utterances[place] for place in kept)),
            TrainingSet(f"{share:.0%} of {self.name}", tuple(self.utterances[place] for place in held_out)),
        )

    def groups(self, batch_seconds: float, rng: np.random.Generator | None = None) -> list[list[int]]:
        """Places of utterances of like length, ``batch_seconds`` a batch with padding; shuffled with ``rng``."""
        seconds = np.array([utterance.seconds for utterance in self.utterances])
        jitter = 0.0 if rng is None else rng.uniform(0.0, 0.3, seconds.size)
        groups: list[list[int]] = [[]]
        for place in np.argsort(seconds + jitter, kind="stable").tolist():
            if groups[-1] and (len(groups[-1]) + 1) * seconds[place] > batch_seconds:
                groups.append([])
            groups[-1].append(place)
        return groups if rng is None else [groups[place] for place in rng.permutation(len(groups)).tolist()]

    def batch(self, places: Sequence[int], settings: LogMel) -> Batch:
        """Those utterances' features, padded on the right. Raises AudioError, which names the file."""
        chosen = [self.utterances[place] for place in places]
        clips = [torch.from_numpy(clip_inputs(utterance.audio, settings)) for utterance in chosen]
        padded = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True, padding_value=settings.padding_value)
        lengths = torch.tensor([len(clip) for clip in clips])
        return Batch(padded, lengths, tuple(utterance.ids for utterance in chosen))

    def batches(self, batch_seconds: float, settings: LogMel) -> Iterator[Batch]:
        """All of it, shortest first."""
        for places in self.groups(batch_seconds):
            yield self.batch(places, settings)


def labelled(source: Path, vocabularies: Vocabularies, scratch: Path) -> TrainingSet:
    """Recordings with labels: JSON lines, a folder of audio and texts, or a dataset. Raises TrainingError or DataError.

    Every recording must be labelled in the same levels; symbols outside the vocabularies are named, all at once.
    """
    try:
        data = load_data(source, scratch)
    except DataError as error:
        raise TrainingError(f"{error}; without labels, train with --distill") from None
    unknown: Counter[str] = Counter()
    ids: list[dict[str, tuple[int, ...]]] = [{} for _ in data.recordings]
    for level, vocabulary in vocabularies.items():
        for place, text in enumerate(data.labels(level, list(vocabularies)) or ()):
            ids[place][level], strange = token_ids(text, vocabulary)
            unknown.update(f"{symbol!r} in {level}" for symbol in strange)
    if unknown:
        listed = ", ".join(f"{symbol} ({count} times)" for symbol, count in unknown.most_common())
        raise TrainingError(f"{data.name}: labels have symbols that the checkpoint's vocabulary lacks: {listed}")
    if not any(ids):
        there = sorted({level for recording in data.recordings for level in recording.labels})
        raise TrainingError(
            f"{data.name}: is labelled in {', '.join(there)}, and in no level of the checkpoint "
            f"({', '.join(vocabularies)}); without labels, train with --distill"
        )
    return _of(
        data.name,
        [
            Utterance(recording.audio, recording.seconds, own)
            for recording, own in zip(data.recordings, ids, strict=True)
        ],
    )


def unlabelled(source: Path) -> TrainingSet:
    """Audio alone: JSON lines with an ``audio`` column, or a folder. Raises TrainingError, DataError or AudioError."""
    audio = read_audio_set(source)
    return _of(audio.name, [Utterance(file, duration(file), {}) for file in audio.files])


def _of(name: str, utterances: Sequence[Utterance]) -> TrainingSet:
    """A set whose recordings all last long enough, which is better known now than in the middle of a training."""
    # The shortest length depends on the stride alone, which is the same for all checkpoints.
    settings = LogMel()
    short = []
    for utterance in utterances:
        try:
            settings.check_length(round(utterance.seconds * SAMPLE_RATE))
        except AudioError as error:
            short.append(f"{utterance.audio} {error}")
    if short:
        more = f" ({len(short) - 1} more are too short); leave them out" if len(short) > 1 else "; leave it out"
        raise TrainingError(f"{name}: {short[0]}{more}")
    return TrainingSet(name, tuple(utterances))
