"""Rounding the inputs of layers with grouped weights, for engines that multiply integers."""

from __future__ import annotations

import torch

from ...models import CTCModel
from ..calibration import CalibrationSet
from ..errors import QuantizationError
from ..layers import grid
from ..layers import operators as ops
from ..layers.grouped import GroupedLinear
from ..layers.quantized import StaticLinear
from ..layers.rewrite import replace
from ..options import Quantization
from ..scheme import ActivationScheme, Scheme
from .static import check_finite, make_observer, stream


def round_inputs(model: CTCModel, quantization: Quantization, calibration: CalibrationSet | None) -> None:
    """Round the inputs of every GroupedLinear as ``quantization.activation`` requires.

    ``grouped`` needs no data, and skips layers whose zero points are floats: no engine multiplies those as integers.
    ``static`` turns two-level schemes into StaticLinears: 8-bit integers per output channel that are 4-bit ones times
    integers.
    """
    layers = [(name, module) for name, module in model.named_modules() if isinstance(module, GroupedLinear)]
    if quantization.activation == "grouped":
        for layer in (layer for _, layer in layers if not layer.scheme.weight.float_zero_points):
            layer.scheme = Scheme(layer.scheme.weight, ActivationScheme("grouped"))
    elif quantization.activation == "static" and layers:
        if calibration is None:
            raise QuantizationError("static quantization needs calibration audio; name it with --calibration")
        observers = {name: make_observer(quantization.ranges) for name, _ in layers}
        stream(model, layers, calibration, lambda name, values, _: observers[name].observe(values))
        ranges = {name: observer.range() for name, observer in observers.items()}
        check_finite(calibration, ranges)
        for name, layer in layers:
            replace(model, name, _static(layer, ranges[name]))


def _static(layer: GroupedLinear, limits: tuple[float, float]) -> StaticLinear:
    if not layer.scheme.weight.two_level:
        raise QuantizationError("static inputs need weights whose group scales are multiples of a channel's")
    unit = grid.channel_scale(layer.scale)
    integers = torch.round(layer.weight / unit).to(torch.int8)
    static = StaticLinear.of(integers, unit[:, 0], layer.bias, *ops.activation_range(*limits))
    static.scheme = Scheme(layer.scheme.weight, ActivationScheme("static"))
    return static
