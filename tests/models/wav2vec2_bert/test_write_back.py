"""The way back to the stock module's names and shapes undoes the rewrites."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from qasr.audio import LogMel
from qasr.models import open_checkpoint
from qasr.models.wav2vec2_bert import ARCHITECTURE
from qasr.models.wav2vec2_bert.architecture import deployable
from qasr.models.write_back import tensors_of


def restored(model):
    """A state dict of the stock module from a float deployable one."""
    weights = ARCHITECTURE.other_weights(model)
    for stock_layer in ARCHITECTURE.stock_layers(model):
        weights |= tensors_of(stock_layer, stock_layer.layer.weight, stock_layer.layer.bias)
    return weights


def copied(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def test_multi_level_model_comes_back_bit_for_bit():
    with open_checkpoint("reference") as checkpoint:
        expected, written = copied(checkpoint.stock()), restored(checkpoint.deployable())
    assert set(written) == set(expected)
    for name, tensor in expected.items():
        assert torch.equal(written[name], tensor), name


def test_single_level_model_comes_back(stock_checkpoint):
    with open_checkpoint(str(stock_checkpoint)) as checkpoint:
        expected, written = copied(checkpoint.stock()), restored(checkpoint.deployable())
    # SpecAugment's vector serves training alone.
    assert set(expected) - set(written) <= {"wav2vec2_bert.masked_spec_embed"}
    assert set(written) <= set(expected)
    for name in written:
        assert torch.equal(written[name], expected[name]), name


@pytest.mark.parametrize(
    "changes",
    [
        {"add_adapter": True},
        {"add_adapter": True, "output_hidden_size": 48, "num_adapter_layers": 2},
        {"add_adapter": True, "adapter_kernel_size": 5, "adapter_stride": 3},
    ],
)
def test_adapter_comes_back(small_model, changes):
    expected = copied(small_model(**changes))
    written = restored(deployable(small_model(**changes), {"text": 8}, LogMel()))
    assert set(expected) - set(written) <= {"wav2vec2_bert.masked_spec_embed"}
    assert set(written) <= set(expected)
    for name in written:
        # Heads of 12 values have no power of two for a factor, so that q may lose its last bit.
        torch.testing.assert_close(written[name], expected[name], atol=0, rtol=3e-7)


@pytest.mark.parametrize("changes", [{}, {"add_adapter": True, "output_hidden_size": 48}])
def test_every_linear_is_a_stock_layer(small_model, changes):
    model = deployable(small_model(**changes), {"text": 8}, LogMel())
    layers = {id(stock_layer.layer) for stock_layer in ARCHITECTURE.stock_layers(model)}
    assert layers == {id(module) for module in model.modules() if isinstance(module, nn.Linear)}
