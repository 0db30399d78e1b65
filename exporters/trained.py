"""Checkpoints that were trained while quantized: their schemes are exported as they are, where the engine can."""

from __future__ import annotations

import dataclasses
from fnmatch import fnmatchcase

from torch import nn

from ..models import Checkpoint, DeployableCTC
from ..quantizers import GroupedLinear, Options, StaticLinear, round_inputs
from ..quantizers.layers.stored import Layer, Stored, load
from .errors import ExportError
from .target import Target

_MIDDLE = 128
_DEFAULTS = Options()
# The training has decided these; the target's part of ``Options`` is not the user's.
_DECIDED = {
    "exclude": "--exclude",
    "group_size": "--group-size",
    "symmetric": "--symmetric/--asymmetric",
    "observer": "--observer",
    "percentile": "--percentile",
    "strength": "--strength",
    "damping": "--damping",
    "activation_order": "--no-activation-order",
    "bits_budget": "--bits-budget",
}


def find(checkpoint: Checkpoint, goal: Target, method: str | None, asked: Options) -> Stored | None:
    """The trained layers of ``checkpoint`` for ``goal``; None where it has none, or the target quantizes nothing.

    Raises ExportError for a ``method`` beside, for options ``asked`` for by the user that would do nothing, and for
    layers that the target cannot express, by name.
    """
    if checkpoint.trained is None or not goal.methods:
        return None
    idle = [] if method is None else ["--method"]
    idle += [option for name, option in _DECIDED.items() if getattr(asked, name) != getattr(_DEFAULTS, name)]
    if idle:
        raise ExportError(
            f"{checkpoint.name}: was trained while quantized, and is exported so; leave {', '.join(idle)} out"
        )
    stored = load(checkpoint.trained)
    for name, layer in stored.layers.items():
        reason = _cannot(goal, name, layer)
        if reason is not None:
            raise ExportError(f"{goal.name} cannot express how {checkpoint.name} was trained: {name} has {reason}")
    return stored


def options_of(stored: Stored, model: DeployableCTC, options: Options) -> Options:
    """``options`` of the target with what the training has chosen."""
    linears = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    weight = next(iter(stored.layers.values())).scheme.weight
    floats = tuple(name for name in linears if name not in stored.layers)
    return dataclasses.replace(options, scheme=weight, exclude=floats)


def put_into(stored: Stored, model: DeployableCTC, options: Options) -> None:
    """Replace the model's layers by the trained ones, with inputs rounded as the target's engine does."""
    stored.put_into(model)
    round_inputs(model, options, None)


def _cannot(goal: Target, name: str, layer: Layer) -> str | None:
    """What is in the way of ``goal``, with what to train instead."""
    if any(fnmatchcase(name, glob) for glob in goal.exclude):
        return f"{layer.scheme}, and its format holds no such layer; train with --exclude '*.{name.rpartition('.')[2]}'"
    if isinstance(layer, GroupedLinear):
        return _cannot_group(goal, layer)
    return _cannot_round(goal, layer)


def _cannot_group(goal: Target, layer: GroupedLinear) -> str | None:
    weight = layer.scheme.weight
    if goal.group_size is None or goal.two_level or "gptq" not in goal.methods or goal.bits != weight.bits:
        return f"{weight} weights; export to a target of {weight.bits} bits, as onnx-int{weight.bits}"
    if goal.symmetric and not weight.symmetric:
        return f"{weight} weights with zero points; train with --symmetric"
    return None


def _cannot_round(goal: Target, layer: StaticLinear) -> str | None:
    if "static" not in goal.methods or goal.values != "int":
        return f"{layer.scheme}; export to a target of int8 that takes the method static, as onnx-int8"
    if goal.symmetric_inputs and int(layer.input_zero_point) != _MIDDLE:
        return f"an input range with zero point {int(layer.input_zero_point)}; train without --asymmetric-inputs"
    if goal.outputs and layer.output_scale is None:
        return f"{layer.scheme}; its kernels round outputs too: train with --round-outputs"
    if not goal.outputs and layer.output_scale is not None:
        return f"{layer.scheme}; train without --round-outputs"
    return None
