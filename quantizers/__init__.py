"""Techniques: a deployable model in, the same model with layers that carry quantization schemes out."""

from __future__ import annotations

from ..models import DeployableCTC
from .checks import check
from .layers.grouped import GroupedLinear
from .layers.quantized import DynamicLinear, Fp8Linear, Quantized, StaticLinear, WeightOnlyLinear
from .libraries.bitsandbytes import llm_int8, nf4
from .libraries.neural_compressor import inc
from .libraries.quanto import quanto
from .scheme import ActivationScheme, Scheme, WeightScheme
from .search import MAP, SENSITIVITY, by_map, by_sensitivity
from .search.budget import within_budget
from .technique import CalibrationSet, Options, QuantizationError, Technique
from .techniques.awq import awq
from .techniques.dynamic import dynamic
from .techniques.gptq import TooFewFramesError, gptq
from .techniques.hqq import hqq
from .techniques.inputs import round_inputs
from .techniques.rtn import mse, rtn
from .techniques.smoothquant import smoothquant
from .techniques.static import OBSERVERS, static

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
