"""The table of formats: how the layers of each are made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ...models import DeployableCTC
from ..scheme import INT8, WeightScheme
from ..technique import CalibrationSet, Options, QuantizationError, Technique
from ..techniques.gptq import gptq
from ..techniques.inputs import round_inputs
from ..techniques.static import static
from .sensitivity import float_twin

BITS = {"int8": 8, "int4": 4, "int2": 2}
"""Of the weights of each format; those of others are float."""

# What measured best.
_TECHNIQUES: dict[str, Technique] = {"int8": static, "int4": gptq, "int2": gptq}


def check_formats(formats: Iterable[str], known: Iterable[str]) -> None:
    """Raise QuantizationError for a format that the target cannot express."""
    there = tuple(known)
    for name in formats:
        if name not in there:
            raise QuantizationError(f"no format {name!r} for this target; it has {', '.join(there)}")


def make(
    model: DeployableCTC, form: str, options: Options, calibration: CalibrationSet, exclude: Iterable[str]
) -> DeployableCTC:
    """A twin of ``model`` whose Linears, less those that match ``exclude``, all have one format.

    Groups and inputs are what ``options.scheme`` and ``options.activation`` say, which are the target's. Raises
    QuantizationError.
    """
    bits = BITS[form]
    scheme = INT8 if bits == 8 else _grouped(options.scheme, bits)
    told = replace(options, scheme=scheme, exclude=tuple(exclude), mixture=None)
    return round_inputs(_TECHNIQUES[form](float_twin(model), told, calibration), told, calibration)


def _grouped(scheme: WeightScheme, bits: int) -> WeightScheme:
    return replace(scheme, bits=bits, values="int")
