"""Checkpoints that were trained while quantized: their schemes are exported unchanged, where the engine can."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from torch import nn

from ..models import Checkpoint, CTCModel
from ..quantizers import Quantization
from ..quantizers.layers.grouped import GroupedLinear
from ..quantizers.layers.quantized import StaticLinear
from ..quantizers.layers.stored import Layer, Stored, load
from ..quantizers.techniques.inputs import round_inputs
from .errors import ExportError, RequestError
from .plan import Plan
from .request import given
from .target import Target

_MIDDLE = 128


@dataclass(frozen=True)
class Trained:
    """The trained layers of a checkpoint."""

    checkpoint: str
    stored: Stored

    @property
    def method(self) -> str:
        """As the manifest calls it."""
        return self.stored.method

    def quantization(self, plan: Plan, model: CTCModel, planned: Quantization) -> Quantization:
        """``planned`` with what the training has decided. Raises ExportError for a layer that the target lacks."""
        for name, layer in self.stored.layers.items():
            reason = _unsupported_reason(plan.target, name, layer, model.convolution_layers)
            if reason is not None:
                raise ExportError(
                    f"{plan.target.name} cannot express how {self.checkpoint} was trained: {name} has {reason}"
                )
        linears = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
        weight = next(iter(self.stored.layers.values())).scheme.weight
        return replace(
            planned, weight=weight, exclude=tuple(name for name in linears if name not in self.stored.layers)
        )

    def put_into(self, model: CTCModel, quantization: Quantization) -> None:
        """Replace the model's layers, in place, with inputs rounded as the target's engine does."""
        self.stored.put_into(model)
        round_inputs(model, quantization, None)


def find_trained(plan: Plan, checkpoint: Checkpoint) -> Trained | None:
    """The trained layers of ``checkpoint``; None where it has none, or the target quantizes nothing.

    Raises RequestError for options that the training has decided.
    """
    if checkpoint.trained is None or not plan.target.methods:
        return None
    request = plan.request
    decided = [] if request.method is None else ["--method"]
    decided += [option for name, option, _ in given(request.quantization, "quantization") if name != "journal"]
    decided += [option for _, option, _ in given(request.calibration, "calibration")]
    if decided:
        raise RequestError(
            f"{checkpoint.name}: was trained while quantized, and is exported unchanged; leave "
            f"{', '.join(decided)} out",
            option=decided[0],
        )
    return Trained(checkpoint.name, load(checkpoint.trained))


def _unsupported_reason(target: Target, name: str, layer: Layer, convolutions: Sequence[str]) -> str | None:
    """Why ``target`` cannot hold ``layer``, with what to train instead; None where it can."""
    if not target.layers.convolutions and any(fnmatchcase(name, glob) for glob in convolutions):
        return f"{layer.scheme}, and its format holds no such layer; train with --exclude '*.{name.rpartition('.')[2]}'"
    if isinstance(layer, GroupedLinear):
        return _unsupported_groups(target, layer)
    return _unsupported_rounding(target, layer)


def _unsupported_groups(target: Target, layer: GroupedLinear) -> str | None:
    weight, own = layer.scheme.weight, target.layers.weight
    if own.group_size is None or own.two_level or "gptq" not in target.methods or own.bits != weight.bits:
        return f"{weight} weights; export to a target of {weight.bits} bits, as onnx-int{weight.bits}"
    if own.symmetric and not weight.symmetric:
        return f"{weight} weights with zero points; train with --symmetric"
    return None


def _unsupported_rounding(target: Target, layer: StaticLinear) -> str | None:
    if "static" not in target.methods or target.layers.weight.values != "int":
        return f"{layer.scheme}; export to a target of int8 that takes the method static, as onnx-int8"
    if target.layers.symmetric_inputs and int(layer.input_zero_point) != _MIDDLE:
        return f"an input range with zero point {int(layer.input_zero_point)}; train without --asymmetric-inputs"
    if target.layers.outputs and layer.output_scale is None:
        return f"{layer.scheme}; its kernels round outputs too: train with --round-outputs"
    if not target.layers.outputs and layer.output_scale is not None:
        return f"{layer.scheme}; train without --round-outputs"
    return None
