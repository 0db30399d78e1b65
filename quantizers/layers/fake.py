"""Layers that round while they are trained: quantization-aware training (Jacob et al. 2018, arXiv:1712.05877).

The forward pass computes as the finished layer will, on float weights that are rounded in each pass. The backward pass
treats rounding as the identity (straight-through estimator: Bengio et al. 2013, arXiv:1308.3432); values outside the
range get no gradient. Scales can be trained too: learned step sizes (Esser et al. 2020, arXiv:1902.08153), with
d(rounded)/d(scale) = round(x / s) − x / s inside the range and its edge outside.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ...artifacts import Stride
from ...audio import FrontEnd
from ...models import CTCModel
from ..options import Quantization
from . import grid
from . import operators as ops
from .grouped import GroupedLinear
from .quantized import Range, StaticLinear
from .rewrite import quantizable, replace

# Weight of the newest batch in the moving average of ranges: after 50 batches the first one counts less than a tenth.
_NEWEST = 0.05


class Frames:
    """Which frames of the current batch any layer reads, shared by all layers."""

    def __init__(self) -> None:
        self._masks: dict[int, Tensor] = {}

    def set(self, frames: int, lengths: Tensor, front_end: FrontEnd, strides: Sequence[Stride] = ()) -> None:
        """Of a padded batch of ``frames`` input frames, and after each of the model's strides.

        ``lengths`` (B,) in raw frames.
        """
        self._masks = {}
        present = front_end.frames(lengths)
        for stride in (None, *strides):
            if stride is not None:
                frames, present = stride.frames(frames), stride.frames(present)
            self._masks[frames] = torch.arange(frames, device=present.device)[None, :] < present[:, None]

    def valid(self, frames: int) -> Tensor | None:
        """(B, T) bool for tensors of ``frames`` frames; None, which is all of them, before the first batch."""
        return self._masks[frames] if self._masks else None


def straight_through(values: Tensor) -> Tensor:
    """``values`` rounded half to even, with the gradient of the identity."""
    return values + (torch.round(values) - values).detach()


def scaled_gradient(scale: Tensor, factor: float) -> Tensor:
    """``scale`` itself, with ``factor`` times its gradient."""
    return scale.detach() + (scale - scale.detach()) * factor


class ActivationRange(nn.Module):
    """The range of one tensor: observed for a while, then frozen or trained.

    ``scale`` () float32 and ``zero_point`` () uint8 as in the finished layer.
    """

    zero_point: Tensor
    limits: Tensor

    def __init__(self, frames: Frames, *, symmetric: bool) -> None:
        super().__init__()
        self._frames = frames
        self._symmetric = symmetric
        self.watching = False
        self.scale = nn.Parameter(torch.ones(()), requires_grad=False)
        self.register_buffer("zero_point", torch.zeros((), dtype=torch.uint8))
        self.register_buffer("limits", torch.tensor([math.nan, math.nan]))

    def watch(self, values: Tensor) -> None:
        """Move the range towards that of ``values`` (B, T, n), padded frames left out."""
        valid = self._frames.valid(values.shape[1])
        low, high = torch.aminmax(values.detach().float() if valid is None else values.detach().float()[valid])
        seen = torch.stack((low, high)).to(self.limits)
        self.limits.copy_(torch.where(self.limits.isnan(), seen, self.limits + _NEWEST * (seen - self.limits)))
        scale, zero_point = ops.activation_range(*self._range())
        self.scale.data.fill_(scale)
        self.zero_point.fill_(zero_point)

    def _range(self) -> Range:
        low, high = (float(limit) for limit in self.limits)
        return ops.symmetric_range(low, high) if self._symmetric else (low, high)

    def steps(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """``values`` in integer steps from 0, float32, and the size () of a step."""
        if self.watching:
            self.watch(values)
        zero_point = float(self.zero_point)
        scale = scaled_gradient(self.scale, (values.numel() * ops.UINT8_MAX) ** -0.5).abs()
        return straight_through((values.float() / scale).clamp(-zero_point, ops.UINT8_MAX - zero_point)), scale


class FakeStaticLinear(nn.Module):
    """Trains to a StaticLinear: int8 weights with a scale per output channel, uint8 inputs (and outputs).

    ``weight`` (out, in) and ``bias`` (out,) are trained.
    """

    def __init__(
        self, linear: nn.Linear, frames: Frames, *, symmetric_inputs: bool, outputs: bool, learn_scales: bool
    ) -> None:
        super().__init__()
        self.weight, self.bias = _trained_parts(linear)
        self.input = ActivationRange(frames, symmetric=symmetric_inputs)
        self.output = ActivationRange(frames, symmetric=False) if outputs else None
        self.weight_scale = nn.Parameter(ops.weight_scale(self.weight.detach())) if learn_scales else None

    def _weight_steps(self) -> tuple[Tensor, Tensor]:
        """Integers (out, in) as float32 and their scales (out,)."""
        if self.weight_scale is None:
            scale = ops.weight_scale(self.weight.detach())
        else:
            factor = (self.weight.shape[1] * ops.INT8_MAX) ** -0.5
            scale = scaled_gradient(self.weight_scale, factor).abs()
        return straight_through((self.weight / scale[:, None]).clamp(-ops.INT8_MAX, ops.INT8_MAX)), scale

    def forward(self, input: Tensor) -> Tensor:
        """``input`` (B, T, in): (B, T, out) float32."""
        rounded, input_scale = self.input.steps(input)
        weight, weight_scale = self._weight_steps()
        # Integers up to 256 are exact in bfloat16, so that autocast changes no rounding.
        product = nn.functional.linear(rounded, weight).float() * (input_scale * weight_scale) + self.bias
        if self.output is None:
            return product
        steps, scale = self.output.steps(product)
        return steps * scale

    def finished(self) -> StaticLinear:
        """The finished layer, for export."""
        weight, scale = (part.detach() for part in self._weight_steps())
        layer = StaticLinear.of(
            weight.to(torch.int8).cpu(),
            scale.cpu(),
            self.bias.detach().cpu(),
            float(self.input.scale.abs()),
            int(self.input.zero_point),
        )
        if self.output is not None:
            layer.round_output(float(self.output.scale.abs()), int(self.output.zero_point))
        return layer


class FakeGroupedLinear(nn.Module):
    """Trains to a GroupedLinear: low-bit codes with a scale and a zero point for every group of inputs.

    ``weight`` (out, in) and ``bias`` (out,) are trained, and ``scale`` (out, groups) too where scales are learned. They
    start with the result of another method, whose zero points are kept. Inputs are rounded group by group, as in
    integer engines.
    """

    zero_point: Tensor

    def __init__(self, layer: GroupedLinear, *, round_inputs: bool, learn_scales: bool) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(layer.weight.clone()), nn.Parameter(layer.bias.clone())
        self.weight_scheme = layer.scheme.weight
        self._round_inputs = round_inputs
        self.scale = nn.Parameter(layer.scale.clone(), requires_grad=learn_scales)
        self.register_buffer("zero_point", layer.zero_point.clone())

    def forward(self, input: Tensor) -> Tensor:
        """``input`` (B, T, in): (B, T, out)."""
        if self._round_inputs:
            rounded = ops.round_by_group(input.detach().float(), self.scale.shape[1])
            return nn.functional.linear(input + (rounded - input).detach(), self._rounded_weight(), self.bias)
        return nn.functional.linear(input, self._rounded_weight(), self.bias)

    def _rounded_weight(self) -> Tensor:
        top = 2**self.weight_scheme.bits - 1
        weights_a_group = self.weight.shape[1] / self.scale.shape[1]
        scale = scaled_gradient(self.scale, (weights_a_group * top) ** -0.5)
        scale = scale + (grid.representable(self.scale.detach()) - scale).detach()
        lowest = -self.zero_point[..., None].float()
        steps = self.weight.view(*self.scale.shape, -1) / scale[..., None]
        steps = torch.minimum(torch.maximum(steps, lowest), lowest + top)
        return (straight_through(steps) * scale[..., None]).view(self.weight.shape)

    def finished(self) -> GroupedLinear:
        """The finished layer, for export."""
        chosen = grid.Grid(grid.representable(self.scale.detach()).cpu(), self.zero_point.cpu())
        codes = chosen.codes(self.weight.detach().cpu(), self.weight_scheme.bits)
        return GroupedLinear(codes, chosen.scale, chosen.zero_point, self.bias.detach().cpu(), self.weight_scheme)


Fake = FakeStaticLinear | FakeGroupedLinear


def without_bias(model: CTCModel) -> list[str]:
    """Names of the Linears without a bias; quantized layers have a bias of zeros."""
    return [name for name, module in model.named_modules() if isinstance(module, nn.Linear) and module.bias is None]


def prepare(
    model: CTCModel, quantization: Quantization, frames: Frames, *, learn_scales: bool, biasless: Collection[str]
) -> list[str]:
    """Replace every GroupedLinear, or without any every chosen Linear, by a layer that rounds while it is trained.

    Everything in the model is trained from here on except the zeros of the ``biasless`` layers, for which the
    checkpoint has no bias. Returns the layers' names. Raises QuantizationError.
    """
    model.requires_grad_(True)
    grouped = [(name, module) for name, module in model.named_modules() if isinstance(module, GroupedLinear)]
    linears = [] if grouped else quantizable(model, quantization.exclude)
    for name, layer in grouped:
        rounds = quantization.activation == "grouped"
        replace(model, name, FakeGroupedLinear(layer, round_inputs=rounds, learn_scales=learn_scales))
    for name, linear in linears:
        replace(
            model,
            name,
            FakeStaticLinear(
                linear,
                frames,
                symmetric_inputs=quantization.ranges.symmetric,
                outputs=quantization.outputs,
                learn_scales=learn_scales,
            ),
        )
    names = [name for name, _ in (*grouped, *linears)]
    for name in set(names) & set(biasless):
        model.get_submodule(name).bias.requires_grad_(False)
    return names


@contextmanager
def watching(model: nn.Module) -> Iterator[None]:
    """Within, activation ranges follow the values that pass through the model."""
    ranges = [module for module in model.modules() if isinstance(module, ActivationRange)]
    try:
        for one in ranges:
            one.watching = True
        yield
    finally:
        for one in ranges:
            one.watching = False


def learn_ranges(model: nn.Module) -> None:
    """Train the scales of activations from here on."""
    for module in model.modules():
        if isinstance(module, ActivationRange):
            module.scale.requires_grad_(True)


def finished(model: CTCModel) -> CTCModel:
    """A copy of the model with finished layers, on the CPU."""
    memo = {id(layer): layer.finished() for layer in model.modules() if isinstance(layer, Fake)}
    return copy.deepcopy(model, memo).cpu().eval().requires_grad_(False)


def _trained_parts(linear: nn.Linear) -> tuple[nn.Parameter, nn.Parameter]:
    bias = torch.zeros(linear.out_features) if linear.bias is None else linear.bias.detach().clone()
    return nn.Parameter(linear.weight.detach().clone()), nn.Parameter(bias)
