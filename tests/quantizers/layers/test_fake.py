"""Layers in training compute what the finished ones do, and gradients are those of the papers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from qasr.artifacts import Stride
from qasr.audio import LogMel
from qasr.quantizers import ActivationScheme, Quantization, Ranges, Scheme, WeightScheme
from qasr.quantizers.layers import fake, grid
from qasr.quantizers.layers.fake import ActivationRange, FakeGroupedLinear, FakeStaticLinear, Frames
from qasr.quantizers.layers.grouped import GroupedLinear
from qasr.quantizers.layers.quantized import StaticLinear

INT4, INT2 = WeightScheme(4, False, 32), WeightScheme(2, True, 16)


@pytest.fixture
def linear() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(64, 24)


@pytest.fixture
def values() -> torch.Tensor:
    return torch.randn(3, 10, 64, generator=torch.Generator().manual_seed(1)) * 2 + 0.5


@pytest.mark.parametrize("learn_scales", [False, True])
@pytest.mark.parametrize("outputs", [False, True])
@pytest.mark.parametrize("symmetric", [False, True])
def test_static_layer_computes_what_it_becomes(linear, values, learn_scales, outputs, symmetric):
    layer = FakeStaticLinear(linear, Frames(), symmetric_inputs=symmetric, outputs=outputs, learn_scales=learn_scales)
    with fake.watching(layer):
        layer(values)
    actual = layer.finished()
    assert isinstance(actual, StaticLinear)
    assert torch.equal(actual.input_scale, layer.input.scale.detach())
    assert (int(actual.input_zero_point) == 128) is symmetric
    assert (actual.output_scale is not None) is outputs
    assert float((layer(values) - actual(values)).abs().max()) < 1e-5
    if not learn_scales:
        expected = StaticLinear(linear, (0.0, 1.0))
        assert torch.equal(actual.weight, expected.weight)
        assert torch.equal(actual.weight_scale, expected.weight_scale)


@pytest.mark.parametrize("scheme", [INT4, INT2], ids=str)
@pytest.mark.parametrize("round_inputs", [False, True])
def test_grouped_layer_computes_what_it_becomes(linear, values, scheme, round_inputs):
    start = grid.by_error(linear.weight, scheme)
    grouped = GroupedLinear(start.codes(linear.weight, scheme.bits), start.scale, start.zero_point, linear.bias, scheme)
    layer = FakeGroupedLinear(grouped, round_inputs=round_inputs, learn_scales=True)
    assert torch.equal(layer.finished().codes, grouped.codes)
    assert torch.equal(layer.finished().scale, grouped.scale)
    layer.scale.data.mul_(1.1)  # as if trained: values that fp16 does not hold
    actual = layer.finished()
    assert isinstance(actual, GroupedLinear)
    assert torch.equal(actual.scale, grid.representable(layer.scale.detach()))
    assert int(actual.codes.max()) <= 2**scheme.bits - 1
    if round_inputs:
        actual.scheme = Scheme(scheme, ActivationScheme("grouped"))
    assert float((layer(values) - actual(values)).abs().max()) < 1e-5


def test_integers_survive_bfloat16(linear, values):
    """Under autocast only the product's result is rounded, to 8 bits of mantissa."""
    layer = FakeStaticLinear(linear, Frames(), symmetric_inputs=True, outputs=False, learn_scales=False)
    with fake.watching(layer):
        exact = layer(values)
    with torch.autocast("cpu", torch.bfloat16):
        actual = layer(values)
    assert float((actual - exact).abs().max()) <= 2**-8 * float(exact.abs().max())


def test_rounding_has_the_gradient_of_the_identity(linear, values):
    layer = FakeStaticLinear(linear, Frames(), symmetric_inputs=True, outputs=False, learn_scales=False)
    with fake.watching(layer):
        layer(values)
    inputs = values.clone().requires_grad_(True)
    layer(inputs).sum().backward()
    weight = layer.finished().weight.float() * layer.finished().weight_scale
    assert torch.allclose(inputs.grad, weight.sum(1).expand_as(values), atol=1e-5)
    assert torch.allclose(layer.bias.grad, torch.full((24,), 30.0))


def test_what_is_cut_off_has_no_gradient():
    watched = ActivationRange(Frames(), symmetric=False)
    watched.watch(torch.tensor([[[-1.0, 1.0]]]))
    values = torch.tensor([[[-3.0, 0.25, 3.0]]], requires_grad=True)
    steps, scale = watched.steps(values)
    (steps * scale).sum().backward()
    assert values.grad.tolist() == [[[0.0, 1.0, 0.0]]]


def test_step_sizes_have_the_gradient_of_the_paper():
    """Esser et al. 2020, equation 3: round(x/s) − x/s inside, the edge outside; times 1 / √(N · Qp)."""
    watched = ActivationRange(Frames(), symmetric=False)
    watched.watch(torch.tensor([[[-1.0, 1.0]]]))
    watched.scale.requires_grad_(True)
    values = torch.tensor([[[0.3, 9.0]]])
    steps, scale = watched.steps(values)
    (steps * scale).sum().backward()
    inside = float(torch.round(0.3 / watched.scale) - 0.3 / watched.scale)
    expected = (inside + 255 - int(watched.zero_point)) / (2 * 255) ** 0.5
    assert float(watched.scale.grad) == pytest.approx(expected, rel=1e-4)


def test_ranges_follow_and_freeze():
    frames = Frames()
    watched = ActivationRange(frames, symmetric=False)
    watched.watching = True
    watched.steps(torch.tensor([[[-1.0], [3.0]]]))
    assert watched.limits.tolist() == [-1.0, 3.0]
    watched.steps(torch.tensor([[[-2.0], [3.0]]]))
    assert watched.limits.tolist() == pytest.approx([-1.05, 3.0])
    # A padded frame is not seen.
    frames.set(2, torch.tensor([2]), LogMel())
    watched.steps(torch.tensor([[[-1.05], [900.0]]]))
    assert watched.limits.tolist() == pytest.approx([-1.05, 3.0 + 0.05 * (-1.05 - 3.0)])
    before = watched.limits.clone()
    watched.watching = False
    watched.steps(torch.tensor([[[70.0], [3.0]]]))
    assert torch.equal(watched.limits, before)


def test_prepared_model_finishes(make_model, logits_of):
    model = make_model()
    frames = Frames()
    options = Quantization(ranges=Ranges(symmetric=True), exclude=model.float_layers)
    names = fake.prepare(model, options, frames, learn_scales=False, biasless=[])
    assert len(names) == 32
    with torch.no_grad(), fake.watching(model):
        logits_of(model)
    before = logits_of(model)
    done = fake.finished(model)
    assert sum(isinstance(module, StaticLinear) for module in done.modules()) == 32
    assert sum(isinstance(module, FakeStaticLinear) for module in model.modules()) == 32
    assert float((logits_of(done) - before).norm() / before.norm()) < 1.5e-2  # last bits flip roundings
    assert not any(parameter.requires_grad for parameter in done.parameters())


def test_padding_is_known_behind_strides_too():
    """An adapter's layers see fewer frames, of which others are padding."""
    frames = Frames()
    frames.set(5, torch.tensor([10, 4]), LogMel(), (Stride(3, 2, 1),))
    assert frames.valid(5).tolist() == [[True] * 5, [True, True, False, False, False]]
    assert frames.valid(3).tolist() == [[True, True, True], [True, False, False]]
    watched = ActivationRange(frames, symmetric=False)
    watched.watch(torch.tensor([[[1.0], [2.0], [3.0]], [[-1.0], [50.0], [60.0]]]))
    assert watched.limits.tolist() == [-1.0, 3.0]
