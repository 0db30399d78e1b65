"""Dynamic INT8: weights are rounded once, each input by its own range at run time. Needs no data."""

from __future__ import annotations

from ...models import CTCModel
from ..calibration import Work
from ..layers.quantized import DynamicLinear
from ..layers.rewrite import quantizable, replace
from ..options import Quantization


def apply(model: CTCModel, quantization: Quantization, work: Work) -> None:
    """Replace every chosen Linear by a DynamicLinear."""
    for name, linear in quantizable(model, quantization.exclude):
        replace(model, name, DynamicLinear(linear))
