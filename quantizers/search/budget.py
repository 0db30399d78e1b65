"""Bits by layer within a budget: the layers that lose most by few bits get twice as many."""

from __future__ import annotations

from dataclasses import replace

from ...models import DeployableCTC
from ..technique import CalibrationSet, Options, QuantizationError, quantizable
from ..techniques.rtn import mse
from .sensitivity import float_twin, sensitivity

# Each clip costs a pass per layer; more rank the layers no differently.
_CLIPS = 4


def within_budget(model: DeployableCTC, options: Options, calibration: CalibrationSet | None) -> Options:
    """``options`` with ``bits_by_layer`` chosen so that weights take ``options.bits_budget`` bits in the mean.

    What a layer loses is the squared error of all logits when it alone has the few bits, on the first calibration
    clips; layers with the largest loss for each weight come first, as long as the budget holds them. The choice is left
    in ``model.notes["bits"]``. Raises QuantizationError for a budget that is not between the bits and twice the bits.
    """
    few, budget = options.scheme.bits, options.bits_budget
    if budget is None:
        return options
    if not few <= budget <= 2 * few:
        raise QuantizationError(f"a budget of {budget:g} bits is not between {few} and {2 * few}")
    if calibration is None:
        raise QuantizationError("a budget of bits needs calibration audio; name it with --calibration")
    weights = {name: linear.weight.numel() for name, linear in quantizable(model, options.exclude)}
    clips = [clip for clip, _ in zip(calibration.features(), range(_CLIPS), strict=False)]
    quantized = mse(float_twin(model), replace(options, bits_by_layer={}), None)
    report = sensitivity(model, quantized, clips, options.track)
    left = (budget - few) * sum(weights.values())
    bits = dict.fromkeys(weights, few)
    for layer in sorted(report.layers, key=lambda layer: -layer.share / weights[layer.layer]):
        cost = few * weights[layer.layer]
        if cost <= left:
            bits[layer.layer] = 2 * few
            left -= cost
    model.notes["bits"] = bits
    return replace(options, bits_by_layer=bits)
