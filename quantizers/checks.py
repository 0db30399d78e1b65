"""What can be refused before any work: schemes that do not fit the layers, data that do not fit the technique."""

from __future__ import annotations

from ..models import DeployableCTC
from .libraries.bitsandbytes import check_nf4
from .technique import CalibrationSet, Options, check_groups, quantizable
from .techniques.gptq import check_frames
from .techniques.hqq import check_zero_points


def check(method: str, model: DeployableCTC, options: Options, calibration: CalibrationSet | None) -> None:
    """Raise the QuantizationError with which the technique called ``method`` would begin, at the cost of nothing."""
    linears = quantizable(model, options.exclude)
    check_groups(linears, options.scheme)
    if method == "nf4":
        check_nf4(linears)
    if method == "hqq":
        check_zero_points(options)
    if method == "gptq" and calibration is not None:
        check_frames(dict(linears), calibration)
