"""Small random checkpoints of the shapes in which people bring a Wav2Vec2-BERT."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from transformers import (
    PreTrainedModel,
    SeamlessM4TFeatureExtractor,
    Wav2Vec2BertConfig,
    Wav2Vec2BertForCTC,
    Wav2Vec2CTCTokenizer,
)

from qasr import reference

SIZES = {
    "hidden_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    # Larger random weights amplify rounding as no trained ones do.
    "initializer_range": 0.05,
}
WORDS = {"|": 0, "a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "'": 6, "[UNK]": 7, "[PAD]": 8}
"""As fine-tuning recipes write it: the delimiter first, padding last. ``<s>`` and ``</s>`` come behind it."""


@dataclass(frozen=True)
class Shape:
    write: Callable[..., None]
    """Writes a checkpoint into a folder."""
    adapters: int = 0
    """Layers of the adapter, each of stride 2."""
    projected: bool = False
    """Whether the adapter has another width than the encoder."""

    @property
    def frame_rate_hz(self) -> float:
        return 50.0 / 2**self.adapters

    @property
    def layers(self) -> int:
        """Linears but for the first and the last, which stay float: 8 of the conformer layer, 6 an adapter layer."""
        return 8 + 6 * self.adapters + self.projected

    @property
    def gates(self) -> int:
        """Of these, those in front of a gated linear unit."""
        return 1 + 2 * self.adapters

    @property
    def convolutions(self) -> int:
        """Of these, those that are convolutions in the stock module."""
        return 2 + 2 * self.adapters

    @property
    def attentions(self) -> int:
        """Layers with a fused q, k and v, which are three in the stock module."""
        return 1 + self.adapters


def save(model: PreTrainedModel, folder: Path, **saving: object) -> None:
    """Save it with norms that differ. As they are made, two norms of one input compute the same, which graphs merge."""
    for module in model.modules():
        if isinstance(module, torch.nn.LayerNorm):
            torch.nn.init.normal_(module.weight, mean=1.0, std=0.1)
    model.save_pretrained(folder, **saving)


def write_recitation(folder: Path, **changes: object) -> None:
    """Several heads, and a vocabulary for each."""
    from qasr.recitation.multilevel import MultiLevelCTCConfig, Wav2Vec2BertForMultilevelCTC

    stored = json.loads((reference.CHECKPOINT / "config.json").read_text(encoding="utf-8"))
    levels = {name: stored[name] for name in ("level_to_vocab_size", "level_to_loss_weight")}
    config = MultiLevelCTCConfig(**SIZES, **levels, pad_token_id=0, **changes)
    save(Wav2Vec2BertForMultilevelCTC(config), folder)
    for name in ("vocab.json", "preprocessor_config.json"):
        shutil.copy(reference.CHECKPOINT / name, folder / name)


def write_words(
    folder: Path, *, dtype: torch.dtype = torch.float32, shard: str = "1GB", pad_token_id: int = 8, **changes: object
) -> None:
    """One head of letters, a token between words, and the tokenizer as transformers saves it."""
    tokenizer = words_tokenizer(folder)
    tokenizer.save_pretrained(folder)
    config = Wav2Vec2BertConfig(**SIZES, vocab_size=len(tokenizer), pad_token_id=pad_token_id, **changes)
    save(Wav2Vec2BertForCTC(config).to(dtype), folder, max_shard_size=shard)
    SeamlessM4TFeatureExtractor(feature_size=80, num_mel_bins=80, stride=2, padding_value=1).save_pretrained(folder)


def words_tokenizer(folder: Path, vocabulary: dict[str, int] = WORDS, **changes: object) -> Wav2Vec2CTCTokenizer:
    """The tokenizer that a user has in memory; ``folder`` gets its ``vocab.json``."""
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    settings = {"unk_token": "[UNK]", "pad_token": "[PAD]"} | changes
    return Wav2Vec2CTCTokenizer(str(folder / "vocab.json"), **settings)


SHAPES = {
    # That of obadx/muaalem-model-v3_0: an adapter of one layer.
    "recitation": Shape(partial(write_recitation, add_adapter=True), adapters=1),
    "no adapter": Shape(partial(write_recitation, hidden_act="gelu")),
    "two adapters": Shape(
        partial(
            write_words,
            add_adapter=True,
            num_adapter_layers=2,
            output_hidden_size=128,
            hidden_act="relu",
            adapter_act="gelu",
        ),
        adapters=2,
        projected=True,
    ),
    # As large models are stored.
    "words": Shape(partial(write_words, dtype=torch.bfloat16, shard="100KB")),
    "no positions": Shape(partial(write_words, position_embeddings_type=None)),
}
