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
from ..audio import SAMPLE_RATE, AudioError, FrontEnd, batch, clip_inputs, duration
from ..data import DataError, load_data, read_audio_set
from .errors import TrainingError

Vocabularies = Mapping[str, LevelVocabulary]


@dataclass(frozen=True)
class Utterance:
    """A recording and the ids of its labels by level; no ids where labels are not used."""

    audio: Path
    seconds: float
    ids: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Batch:
    """Padded inputs (B, T, …) float32, lengths (B,) int64 in raw frames, and the clips' ids by level."""

    inputs: Tensor
    lengths: Tensor
    ids: tuple[Mapping[str, tuple[int, ...]], ...]


@dataclass(frozen=True)
class TrainingSet:
    """A named set of utterances."""

    name: str
    utterances: tuple[Utterance, ...]

    @property
    def seconds(self) -> float:
        """Duration of all audio."""
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
        """The set without a random ``share`` of it, and that share, at least one utterance. Raises TrainingError."""
        count = max(1, round(share * len(self.utterances)))
        if count >= len(self.utterances):
            raise TrainingError(f"{self.name}: {len(self.utterances)} recordings are too few to hold out {share:.0%}")
        order = np.random.default_rng(seed).permutation(len(self.utterances)).tolist()
        held_out, kept = sorted(order[:count]), sorted(order[count:])
        return (
            TrainingSet(self.name, tuple(self.utterances[index] for index in kept)),
            TrainingSet(f"{share:.0%} of {self.name}", tuple(self.utterances[index] for index in held_out)),
        )

    def groups(self, batch_seconds: float, rng: np.random.Generator | None = None) -> list[list[int]]:
        """Indices of utterances of similar length, ``batch_seconds`` per batch with padding; shuffled with ``rng``."""
        seconds = np.array([utterance.seconds for utterance in self.utterances])
        jitter = 0.0 if rng is None else rng.uniform(0.0, 0.3, seconds.size)
        groups: list[list[int]] = [[]]
        for index in np.argsort(seconds + jitter, kind="stable").tolist():
            if groups[-1] and (len(groups[-1]) + 1) * seconds[index] > batch_seconds:
                groups.append([])
            groups[-1].append(index)
        return groups if rng is None else [groups[index] for index in rng.permutation(len(groups)).tolist()]

    def batch(self, indices: Sequence[int], front_end: FrontEnd) -> Batch:
        """The inputs of these utterances, padded on the right. Raises AudioError, which names the file."""
        chosen = [self.utterances[index] for index in indices]
        padded, lengths = batch([clip_inputs(utterance.audio, front_end) for utterance in chosen], front_end)
        return Batch(torch.from_numpy(padded), torch.from_numpy(lengths), tuple(utterance.ids for utterance in chosen))

    def batches(self, batch_seconds: float, front_end: FrontEnd) -> Iterator[Batch]:
        """Batches of the whole set, shortest first."""
        for indices in self.groups(batch_seconds):
            yield self.batch(indices, front_end)


def labelled(source: Path, vocabularies: Vocabularies, scratch: Path, front_end: FrontEnd) -> TrainingSet:
    """Recordings with labels: JSON lines, a folder of audio and texts, or a dataset. Raises TrainingError or DataError.

    Every recording must be labelled in the same levels. One error names all symbols outside the vocabularies.
    """
    try:
        data = load_data(source, scratch)
    except DataError as error:
        raise TrainingError(f"{error}; without labels, train with --distill") from None
    unknown: Counter[str] = Counter()
    ids: list[dict[str, tuple[int, ...]]] = [{} for _ in data.recordings]
    for level, vocabulary in vocabularies.items():
        for index, text in enumerate(data.labels(level, list(vocabularies)) or ()):
            ids[index][level], strange = token_ids(text, vocabulary)
            unknown.update(f"{symbol!r} in {level}" for symbol in strange)
    if unknown:
        listed = ", ".join(f"{symbol} ({count} times)" for symbol, count in unknown.most_common())
        raise TrainingError(f"{data.name}: labels have symbols that the checkpoint's vocabulary lacks: {listed}")
    if not any(ids):
        available = sorted({level for recording in data.recordings for level in recording.labels})
        raise TrainingError(
            f"{data.name}: is labelled in {', '.join(available)}, and in no level of the checkpoint "
            f"({', '.join(vocabularies)}); without labels, train with --distill"
        )
    return _checked(
        data.name,
        [
            Utterance(recording.audio, recording.seconds, own)
            for recording, own in zip(data.recordings, ids, strict=True)
        ],
        front_end,
    )


def unlabelled(source: Path, front_end: FrontEnd) -> TrainingSet:
    """JSON lines with an ``audio`` column, or a folder of audio. Raises TrainingError, DataError or AudioError."""
    audio = read_audio_set(source)
    return _checked(audio.name, [Utterance(file, duration(file), {}) for file in audio.files], front_end)


def _checked(name: str, utterances: Sequence[Utterance], front_end: FrontEnd) -> TrainingSet:
    """The set. Raises TrainingError where recordings are too short, before the training rather than in the middle."""
    short = []
    for utterance in utterances:
        try:
            front_end.check_length(round(utterance.seconds * SAMPLE_RATE))
        except AudioError as error:
            short.append(f"{utterance.audio} {error}")
    if short:
        more = f" ({len(short) - 1} more are too short); leave them out" if len(short) > 1 else "; leave it out"
        raise TrainingError(f"{name}: {short[0]}{more}")
    return TrainingSet(name, tuple(utterances))
