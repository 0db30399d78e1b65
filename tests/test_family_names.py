"""No module outside a family's own folder names one of its layers or classes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import qasr
from qasr.audio import LogMel

ROOT = Path(qasr.__file__).parent
PACKAGES = (
    *(
        "artifacts",
        "audio",
        "bench",
        "cli",
        "data",
        "exporters",
        "gpu",
        "models",
        "quantizers",
        "recitation",
        "reference",
    ),
    *("runtimes", "training"),
)
ALLOWED = (
    "models/wav2vec2_bert/",
    "models/layers/",  # layers that families share, under names of their own
    "recitation/multilevel.py",  # the recitation model's class for transformers, which is the stock module
    "bench/peers/",  # other tools, which run stock modules
)
WORDS = {
    *("activation", "adapter", "attention", "convolution", "depthwise", "feedforward", "heads", "intermediate"),
    *("layers", "linear", "norm", "out", "output", "projection", "qkv"),
}
"""Children of the model whose names are words, which prose uses too; they count only as whole layer names."""
PHRASES = (
    r"[\"'](projection|heads)[\"']",
    r"\b(attention|adapter)\.(out|qkv|layers|projection)\b",
    r"\bmodel\.(adapter|heads|layers|projection)\b",
    r"\.(qkv|pointwise|depthwise)",
    r"Wav2Vec2Bert(?!ForMultilevelCTC)",  # that class is of recitation/, which is not the family's folder
    r"wav2vec2_bert|wav2vec2-bert",
    r"\b[Cc]onformer\w*",
)
"""Names in code that are not plain children's names."""
FAMILY_TABLE = "models/families.py"


def distinctive_names() -> set[str]:
    """Names of the model's children that no other word has, from a tiny instance with an adapter."""
    from transformers import Wav2Vec2BertConfig, Wav2Vec2BertForCTC

    from qasr.models.wav2vec2_bert.architecture import deployable

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = Wav2Vec2BertConfig(**sizes, vocab_size=4, add_adapter=True, output_hidden_size=16, num_adapter_layers=1)
    model = deployable(Wav2Vec2BertForCTC(config), {"text": 4}, LogMel())
    children = {part for name, _ in model.named_modules() for part in name.split(".") if part and not part.isdigit()}
    return children - WORDS


def lines(folder: str) -> Iterator[tuple[str, int, str]]:
    for path in sorted((ROOT / folder).rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name.startswith(ALLOWED) or name == FAMILY_TABLE:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            yield name, number, line


@pytest.fixture(scope="module")
def pattern() -> re.Pattern[str]:
    names = "|".join(sorted(distinctive_names()))
    return re.compile("|".join((rf"\b({names})\b", *PHRASES)))


def test_the_pattern_finds_names(pattern):
    names = distinctive_names()
    assert {"ffn1", "ffn2", "ffn1_norm", "projection_norm", "pointwise1", "pointwise2", "final_norm"} <= names
    for line in (
        'exclude=("projection", "heads")',
        'name.endswith("attention.out")',
        "layer.ffn1",
        "model.heads(hidden)",
    ):
        assert pattern.search(line), line
    for line in ("the heads of attention", "a projection of sizes", "the layers of the model", "self.output"):
        assert not pattern.search(line), line


@pytest.mark.parametrize("package", PACKAGES)
def test_no_layer_of_a_family_is_named_elsewhere(package, pattern):
    assert (ROOT / package / "__init__.py").is_file()
    named = [f"{name}:{number}: {line.strip()}" for name, number, line in lines(package) if pattern.search(line)]
    assert not named, "\n".join(["layers or classes of a family are named outside of its folder:", *named])
