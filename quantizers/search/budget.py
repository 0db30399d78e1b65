"""Bits by layer within a budget: the layers that lose most by low-bit weights get twice as many bits."""

from __future__ import annotations

from dataclasses import replace

from ...models import CTCModel
from ..calibration import Work
from ..errors import QuantizationError
from ..layers.rewrite import quantizable, shallow_copy
from ..options import Quantization
from ..techniques.rtn import apply_mse
from .sensitivity import sensitivity

# Each clip costs a pass per layer; more clips rank the layers no differently.
_CLIPS = 4


def bits_within_budget(model: CTCModel, quantization: Quantization, work: Work) -> dict[str, int] | None:
    """Bits of each layer, such that weights take ``quantization.bits_budget`` bits in the mean; None without a budget.

    The loss of a layer is the squared error of all logits when it alone has the fewer bits, on the first calibration
    clips. Layers with the largest loss per weight get twice the bits, as long as the budget lasts. Raises
    QuantizationError for a budget that is not between the bits and twice the bits.
    """
    few, budget = quantization.weight.bits, quantization.bits_budget
    if budget is None:
        return None
    if not few <= budget <= 2 * few:
        raise QuantizationError(f"a budget of {budget:g} bits is not between {few} and {2 * few}")
    calibration = work.need_calibration("a budget of bits")
    weights = {name: linear.weight.numel() for name, linear in quantizable(model, quantization.exclude)}
    clips = [clip for clip, _ in zip(calibration.inputs(), range(_CLIPS), strict=False)]
    quantized = shallow_copy(model)
    apply_mse(quantized, replace(quantization, bits_by_layer={}), Work())
    report = sensitivity(model, quantized, clips, work.track)
    left = (budget - few) * sum(weights.values())
    bits = dict.fromkeys(weights, few)
    for layer in sorted(report.layers, key=lambda layer: -layer.share / weights[layer.layer]):
        cost = few * weights[layer.layer]
        if cost <= left:
            bits[layer.layer] = 2 * few
            left -= cost
    return bits
