"""Techniques: a deployable model in, the same model with layers that carry quantization schemes out."""

from __future__ import annotations

from ..models import DeployableCTC
from .awq import awq
from .bnb import llm_int8, nf4
from .budget import within_budget
from .checks import check
from .dynamic import dynamic
from .gptq import TooFewFramesError, gptq
from .grouped import GroupedLinear
from .hqq import hqq
from .inc import inc
from .inputs import round_inputs
from .linear import DynamicLinear, Fp8Linear, Quantized, StaticLinear, WeightOnlyLinear
from .mixed import MAP, SENSITIVITY, by_map, by_sensitivity
from .quanto import quanto
from .rtn import mse, rtn
from .scheme import ActivationScheme, Scheme, WeightScheme
from .smoothquant import smoothquant
from .static import OBSERVERS, static
from .technique import CalibrationSet, Options, QuantizationError, Technique

TECHNIQUES: dict[str, Technique] = {
    "dynamic": dynamic,
    "static": static,
    "smoothquant": smoothquant,
    "rtn": rtn,
    "mse": mse,
    "hqq": hqq,
    "gptq": gptq,
    "awq": awq,
    "nf4": nf4,
    "llm-int8": llm_int8,
    "quanto": quanto,
    "inc": inc,
    SENSITIVITY: by_sensitivity,
    MAP: by_map,
}
"""The table of techniques, by the name that ``--method`` takes."""

NEED_CALIBRATION = frozenset({"static", "smoothquant", "inc", "gptq", "awq", SENSITIVITY, MAP})


def quantize(method: str, model: DeployableCTC, options: Options, calibration: CalibrationSet | None) -> DeployableCTC:
    """Apply the technique called ``method`` in place, within the budget of bits, and round inputs as asked."""
    options = within_budget(model, options, calibration)
    return round_inputs(TECHNIQUES[method](model, options, calibration), options, calibration)


__all__ = [
    "NEED_CALIBRATION",
    "OBSERVERS",
    "TECHNIQUES",
    "ActivationScheme",
    "CalibrationSet",
    "DynamicLinear",
    "Fp8Linear",
    "GroupedLinear",
    "Options",
    "QuantizationError",
    "Quantized",
    "Scheme",
    "StaticLinear",
    "Technique",
    "TooFewFramesError",
    "WeightOnlyLinear",
    "WeightScheme",
    "check",
    "quantize",
    "round_inputs",
]
