"""What weight-only techniques leave of the layers' inputs, rounded too where the engine multiplies integers."""

from __future__ import annotations

import torch

from ...models import DeployableCTC
from ..layers import grid
from ..layers import operators as ops
from ..layers.grouped import GroupedLinear
from ..layers.quantized import StaticLinear
from ..scheme import ActivationScheme, Scheme
from ..technique import CalibrationSet, Options, QuantizationError, replace
from .static import check_finite, make_observer, stream


def round_inputs(model: DeployableCTC, options: Options, calibration: CalibrationSet | None) -> DeployableCTC:
    """Round the inputs of every GroupedLinear as ``options.activation`` says.

    ``grouped`` needs no data, and leaves layers alone whose zero points are floats: no engine multiplies those as
    integers. ``static`` makes StaticLinears of two-level schemes: 8-bit integers per output channel
    that are 4-bit ones times whole numbers.
    """
    layers = [(name, module) for name, module in model.named_modules() if isinstance(module, GroupedLinear)]
    if options.activation == "grouped":
        for layer in (layer for _, layer in layers if not layer.scheme.weight.float_zero_points):
            layer.scheme = Scheme(layer.scheme.weight, ActivationScheme("grouped"))
    elif options.activation == "static" and layers:
        if calibration is None:
            raise QuantizationError("static quantization needs calibration audio; name it with --calibration")
        observers = {name: make_observer(options) for name, _ in layers}
        stream(model, layers, calibration, lambda name, values, _: observers[name].observe(values))
        ranges = {name: observer.range() for name, observer in observers.items()}
        check_finite(calibration, ranges)
        for name, layer in layers:
            replace(model, name, _static(layer, ranges[name]))
    return model


def _static(layer: GroupedLinear, limits: tuple[float, float]) -> StaticLinear:
    if not layer.scheme.weight.two_level:
        raise QuantizationError("static inputs need weights whose group scales are multiples of a channel's")
    unit = grid.channel_scale(layer.scale)
    integers = torch.round(layer.weight / unit).to(torch.int8)
    static = StaticLinear.of(integers, unit[:, 0], layer.bias, *ops.activation_range(*limits))
    static.scheme = Scheme(layer.scheme.weight, ActivationScheme("static"))
    return static
