"""A split in memory, and its training batches."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

_BATCH_FRAMES = 2_400
_PAD_TO = 32
_MOST_JOINED = 4
_LONGEST_PAUSE = 40


@dataclass(frozen=True)
class Corpus:
    """A split in memory: all frames in one array, with start and label ids of each utterance."""

    features: Any
    starts: list[int]
    rows: list[dict[str, Any]]

    @classmethod
    def read(cls, work: Path, split: str) -> Corpus:
        """Read the files that ``corpus.synthesize`` wrote."""
        rows = json.loads((work / f"{split}.json").read_text(encoding="utf-8"))
        starts = [0, *np.cumsum([row["frames"] for row in rows]).tolist()]
        return cls(np.load(work / f"{split}.features.npy"), starts, rows)

    def batches(self, rng: np.random.Generator) -> Iterator[list[int]]:
        """Indices of utterances of similar length, about ``_BATCH_FRAMES`` frames per batch, in random order."""
        frames = np.array([row["frames"] for row in self.rows])
        order = np.argsort(frames + rng.uniform(0, 16, frames.size))
        groups: list[list[int]] = [[]]
        for index in order.tolist():
            if groups[-1] and (len(groups[-1]) + 1) * frames[index] > _BATCH_FRAMES:
                groups.append([])
            groups[-1].append(index)
        for index in rng.permutation(len(groups)).tolist():
            yield groups[index]

    def batch(self, indices: list[int]) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Padded features (B, T, 160), mask (B, T), and labels (B, S) by level."""
        return self._pad([[index] for index in indices], [self._frames(index) for index in indices])

    def joined(self, indices: list[int], rng: np.random.Generator) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """As ``batch``, with utterances joined: pauses between them, each at its own volume, normalized together."""
        count = int(rng.integers(2, _MOST_JOINED + 1))
        groups = [indices[start : start + count] for start in range(0, len(indices), count)]
        stretches = []
        for group in groups:
            parts = []
            for index in group:
                pause = rng.normal(-1.2, 0.2, (int(rng.integers(0, _LONGEST_PAUSE)), self.features.shape[1]))
                parts += [self._frames(index) * rng.uniform(0.7, 1.1) + rng.normal(0.0, 0.4), pause]
            joined = np.concatenate(parts[:-1])
            stretches.append(((joined - joined.mean(0)) / (joined.std(0) + 1e-5)).astype(np.float32))
        return self._pad(groups, stretches)

    def _frames(self, index: int) -> Any:
        start = self.starts[index]
        return self.features[start : start + self.rows[index]["frames"]].astype(np.float32)

    def _pad(self, groups: list[list[int]], stretches: list[Any]) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        frames = math.ceil(max(map(len, stretches)) / _PAD_TO) * _PAD_TO
        features = torch.zeros(len(groups), frames, self.features.shape[1])
        mask = torch.zeros(len(groups), frames, dtype=torch.long)
        for row, stretch in enumerate(stretches):
            features[row, : len(stretch)] = torch.from_numpy(stretch)
            mask[row, : len(stretch)] = 1
        labels = {}
        for level in self.rows[0]["ids"]:
            ids = [
                torch.tensor([token for index in group for token in self.rows[index]["ids"][level]]) for group in groups
            ]
            labels[level] = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=-100)
        return features, mask, labels
