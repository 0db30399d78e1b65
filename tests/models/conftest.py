"""Small random models and checkpoint folders of both classes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertConfig, Wav2Vec2BertForCTC

SMALL = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "initializer_range": 0.2,
    "conformer_conv_dropout": 0.0,
}


@pytest.fixture(scope="session")
def small_model() -> Callable[..., Wav2Vec2BertForCTC]:
    """A stock model with random weights, in eval mode."""

    def make(**changes: object) -> Wav2Vec2BertForCTC:
        torch.manual_seed(0)
        return Wav2Vec2BertForCTC(Wav2Vec2BertConfig(**(SMALL | {"vocab_size": 8} | changes))).eval()

    return make


def write_stock(folder: Path, model: Wav2Vec2BertForCTC, vocabulary: dict[str, int], **saving: object) -> Path:
    model.save_pretrained(folder, **saving)
    SeamlessM4TFeatureExtractor(feature_size=80, num_mel_bins=80, stride=2, padding_value=1).save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    return folder


STOCK_VOCABULARY = {"[PAD]": 0, "|": 1, "a": 2, "b": 3, "c": 4, "d": 5, "e": 6, "[UNK]": 7}


@pytest.fixture
def stock_checkpoint(tmp_path: Path, small_model: Callable[..., Wav2Vec2BertForCTC]) -> Path:
    return write_stock(tmp_path / "stock", small_model(), STOCK_VOCABULARY)


@pytest.fixture
def reference_copy(tmp_path: Path) -> Path:
    from qasr import reference

    return Path(shutil.copytree(reference.CHECKPOINT, tmp_path / "checkpoint"))
