"""Error rates of a checkpoint by voice and level: edit distance over label length, greedy decoding."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from rapidfuzz.distance import Levenshtein

from .train import Corpus


def error_rates(model: Any, corpus: Corpus) -> dict[str, dict[str, float]]:
    """Voice to level to error rate, 0 to 1, computed in fp32."""
    distance: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    length: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    was_training = model.training
    model.eval()
    order = sorted(range(len(corpus.rows)), key=lambda index: corpus.rows[index]["frames"])
    with torch.inference_mode():
        for place in range(0, len(order), 16):
            indices = order[place : place + 16]
            features, mask, _ = corpus.batch(indices)
            logits = model(features, attention_mask=mask).logits
            for row, index in enumerate(indices):
                entry = corpus.rows[index]
                for level, expected in entry["ids"].items():
                    best = logits[level][row, : entry["frames"]].argmax(-1)
                    found = [token for token in torch.unique_consecutive(best).tolist() if token != 0]
                    distance[entry["voice"]][level] += Levenshtein.distance(found, expected)
                    length[entry["voice"]][level] += len(expected)
    model.train(was_training)
    return {
        voice: {level: distance[voice][level] / length[voice][level] for level in levels}
        for voice, levels in sorted(distance.items())
    }
