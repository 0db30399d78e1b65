"""Loss and error rates of a model on held-out data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..models.greedy import greedy
from .data import Batch
from .losses import Logits

Model = Callable[[Batch], Logits]
Loss = Callable[[Batch, Logits], Tensor]


@dataclass(frozen=True)
class Evaluation:
    """``error_rates`` by level, 0 to 1: edit distance over length, greedy decoding, to labels or fp32's transcript."""

    step: int
    loss: float
    error_rates: Mapping[str, float]

    @property
    def first(self) -> float:
        """Error rate of the transcript, which is the first level."""
        return next(iter(self.error_rates.values()))

    @property
    def mean(self) -> float:
        """Mean over all levels."""
        return sum(self.error_rates.values()) / len(self.error_rates)


@torch.no_grad()
def evaluate(
    model: Model,
    batches: Iterable[Batch],
    loss: Loss,
    expected: Callable[[Batch], list[dict[str, list[int]]]],
    output_lengths: Callable[[Tensor], Tensor],
    blank: int,
    step: int,
) -> Evaluation:
    """Run ``model`` over ``batches`` and compare its transcripts with ``expected``: the right ids of each clip.

    ``output_lengths``: frames of logits (B,) of clips with these lengths (B,) in raw frames.
    """
    from rapidfuzz.distance import Levenshtein

    edits: Counter[str] = Counter()
    lengths: Counter[str] = Counter()
    total, clips = 0.0, 0
    for batch in batches:
        logits = model(batch)
        total += float(loss(batch, logits)) * len(batch.lengths)
        clips += len(batch.lengths)
        decoded = transcripts(logits, output_lengths(batch.lengths), blank)
        for transcript, right in zip(decoded, expected(batch), strict=True):
            for level, ids in right.items():
                edits[level] += Levenshtein.distance(transcript[level], ids)
                lengths[level] += len(ids)
    return Evaluation(step, total / clips, {level: edits[level] / max(lengths[level], 1) for level in lengths})


def transcripts(logits: Logits, lengths: Tensor, blank: int) -> list[dict[str, list[int]]]:
    """Greedy ids of each clip by level; ``lengths`` (B,) in frames of logits."""
    by_level = {level: greedy(values, lengths, blank) for level, values in logits.items()}
    return [{level: ids[clip] for level, ids in by_level.items()} for clip in range(len(lengths))]
