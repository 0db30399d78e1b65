"""The way back to the stock module's names and shapes is the way there, undone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from qasr.models import UnsupportedModelError, open_checkpoint
from qasr.models.wav2vec2_bert.stock import others, pieces


def restored(model):
    """A state dict of the stock module from a float deployable one."""
    found = others(model)
    for piece in pieces(model):
        weight = piece.layer.weight[piece.rows] / piece.factor
        found[f"{piece.name}.weight"] = weight[..., None] if piece.convolution else weight
        if not piece.convolution:
            found[f"{piece.name}.bias"] = piece.layer.bias[piece.rows] / piece.factor
    return found


def test_multi_level_model_comes_back_bit_for_bit():
    with open_checkpoint("reference") as checkpoint:
        expected = {name: tensor.clone() for name, tensor in checkpoint.stock().state_dict().items()}
        found = restored(checkpoint.deployable())
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


def test_single_level_model_comes_back(stock_checkpoint):
    with open_checkpoint(str(stock_checkpoint)) as checkpoint:
        expected = {name: tensor.clone() for name, tensor in checkpoint.stock().state_dict().items()}
        found = restored(checkpoint.deployable())
    # SpecAugment's vector serves training alone.
    assert set(expected) - set(found) <= {"wav2vec2_bert.masked_spec_embed"}
    assert set(found) <= set(expected)
    for name in found:
        assert torch.equal(found[name], expected[name]), name


def test_every_linear_is_a_piece():
    with open_checkpoint("reference") as checkpoint:
        model = checkpoint.deployable()
    layers = {id(piece.layer) for piece in pieces(model)}
    assert layers == {id(module) for module in model.modules() if isinstance(module, nn.Linear)}


def test_adapters_are_refused():
    with open_checkpoint("reference") as checkpoint:
        model = checkpoint.deployable()
    model.adapter = nn.Identity()
    with pytest.raises(UnsupportedModelError, match="models with an adapter cannot be written back"):
        list(pieces(model))
