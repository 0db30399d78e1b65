"""Error rates of a checkpoint by voice and level: edit distance over label length, greedy decoding."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from rapidfuzz.distance import Levenshtein

from qasr.models.greedy import greedy

from .batches import Corpus
from .corpus import SAMPLE_RATE, feature_extractor

ALL_VOICES = "all"
_SIFAT_TOKEN = re.compile(r"\[[^\]]*\]")


def error_rates(model: Any, corpus: Corpus) -> dict[str, dict[str, float]]:
    """Error rate (0 to 1) by voice, and for ``all``, and by level, computed in fp32."""
    distance: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    length: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    was_training = model.training
    model.eval()
    order = sorted(range(len(corpus.rows)), key=lambda index: corpus.rows[index]["frames"])
    with torch.inference_mode():
        for start in range(0, len(order), 16):
            indices = order[start : start + 16]
            features, mask, _ = corpus.batch(indices)
            logits = model(features, attention_mask=mask).logits
            frames = torch.tensor([corpus.rows[index]["frames"] for index in indices])
            tokens = {level: greedy(values, frames, 0) for level, values in logits.items()}
            for row, index in enumerate(indices):
                entry = corpus.rows[index]
                for level, expected in entry["ids"].items():
                    hypothesis = tokens[level][row]
                    for group in (entry["voice"], ALL_VOICES):
                        distance[group][level] += Levenshtein.distance(hypothesis, expected)
                        length[group][level] += len(expected)
    model.train(was_training)
    return {
        voice: {level: distance[voice][level] / length[voice][level] for level in levels}
        for voice, levels in sorted(distance.items())
    }


def load(checkpoint: Path) -> Any:
    """The stock model of a checkpoint folder, in fp32 regardless of the stored precision."""
    from qasr.recitation.multilevel import Wav2Vec2BertForMultilevelCTC

    return Wav2Vec2BertForMultilevelCTC.from_pretrained(checkpoint, dtype=torch.float32).eval()


def read_corpus(manifest: Path, checkpoint: Path, every: int = 1) -> Corpus:
    """Features and label ids of every ``every``-th row of a manifest, with the checkpoint's vocabulary."""
    vocabulary = json.loads((checkpoint / "vocab.json").read_text(encoding="utf-8"))
    extractor = feature_extractor()
    lines = manifest.read_text(encoding="utf-8").splitlines()[::every]
    features, rows = [], []
    for row in map(json.loads, lines):
        audio, rate = soundfile.read(manifest.parent / row["audio"], dtype="float32")
        if rate != SAMPLE_RATE:
            raise ValueError(f"{row['audio']}: {rate} Hz instead of {SAMPLE_RATE} Hz")
        outputs = extractor(audio, sampling_rate=rate, return_tensors="np")
        features.append(outputs["input_features"][0][outputs["attention_mask"][0].astype(bool)])
        tokens = {"phonemes": list(row["phonemes"])}
        tokens |= {level: _SIFAT_TOKEN.findall(text) for level, text in row["levels"].items()}
        ids = {level: [vocabulary[level][token] for token in texts] for level, texts in tokens.items()}
        rows.append({"frames": len(features[-1]), "voice": row["voice"], "ids": ids})
    starts = [0, *np.cumsum([row["frames"] for row in rows]).tolist()]
    return Corpus(np.concatenate(features), starts, rows)


def table(rates: dict[str, dict[str, float]]) -> str:
    """Markdown table in percent: a line per level, a column per voice."""
    voices = sorted(rates, key=lambda voice: (voice == ALL_VOICES, voice))
    lines = [
        f"| `{level}` | {' | '.join(f'{100 * rates[voice][level]:.2f}' for voice in voices)} |"
        for level in rates[ALL_VOICES]
    ]
    return "\n".join([f"| level | {' | '.join(voices)} |", f"|---|{'---|' * len(voices)}", *lines])
