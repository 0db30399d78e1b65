"""The table of formats for mixed precision: how the layers of each are quantized."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ...models import CTCModel
from ..calibration import Work
from ..errors import QuantizationError
from ..layers.rewrite import shallow_copy
from ..options import Quantization
from ..scheme import INT8, WeightScheme
from ..techniques import gptq, static
from ..techniques.inputs import round_inputs

ALGORITHM_VERSION = 1
"""To be raised with every change of how the layers of a format are quantized, other than GPTQ's own version."""

BITS = {"int8": 8, "int4": 4, "int2": 2}
"""Bits of the weights in each format; every other format is float."""

# The most accurate method for each on the bundled model.
_METHODS = {"int8": static.apply, "int4": gptq.apply, "int2": gptq.apply}


def check_formats(formats: Iterable[str], known: Iterable[str]) -> None:
    """Raise QuantizationError for a format that the target does not have."""
    available = tuple(known)
    for name in formats:
        if name not in available:
            raise QuantizationError(f"no format {name!r} for this target; it has {', '.join(available)}")


def in_format(model: CTCModel, format: str, quantization: Quantization, work: Work, exclude: Iterable[str]) -> CTCModel:
    """A shallow copy of ``model`` whose Linears, without those that match ``exclude``, all have one format.

    Group size and inputs are those of ``quantization``. Raises QuantizationError.
    """
    scheme = INT8 if BITS[format] == 8 else _grouped(quantization.weight, BITS[format])
    own = replace(quantization, weight=scheme, exclude=tuple(exclude))
    copied = shallow_copy(model)
    _METHODS[format](copied, own, work)
    round_inputs(copied, own, work.calibration)
    return copied


def identity(quantization: Quantization) -> str:
    """All that decides the layers of every format beside the model and the calibration set."""
    ranges, activation = quantization.ranges, quantization.activation
    return f"formats {ALGORITHM_VERSION} {gptq.identity(quantization)} {ranges!r} {activation}"


def _grouped(scheme: WeightScheme, bits: int) -> WeightScheme:
    return replace(scheme, bits=bits, values="int")
