"""The only table of quantization methods. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Technique:
    """A row of the table: one quantization method."""

    name: str
    """Value of ``--method``."""
    module: str
    """Module under ``quantizers`` that implements it."""
    function: str = "apply"
    """In that module: (model, quantization, work) to the method's notes, or None."""
    check: str | None = None
    """In that module: (model, quantization, calibration); raises what ``function`` would, without its work."""
    needs_calibration: bool = False
    uses_ranges: bool = False
    """Whether it reads ``Quantization.ranges``."""
    options: Literal["smoothquant", "gptq"] | None = None
    """The field of ``Quantization`` with the method's own options."""
    keeps_journal: bool = False
    """Whether finished layers are kept in ``Work.journal``."""


_ROWS = (
    Technique(name="dynamic", module="techniques.dynamic"),
    Technique(name="static", module="techniques.static", needs_calibration=True, uses_ranges=True),
    Technique(
        name="smoothquant",
        module="techniques.smoothquant",
        needs_calibration=True,
        uses_ranges=True,
        options="smoothquant",
    ),
    Technique(name="rtn", module="techniques.rtn"),
    Technique(name="mse", module="techniques.rtn", function="apply_mse"),
    Technique(name="hqq", module="techniques.hqq", check="check"),
    Technique(
        name="gptq",
        module="techniques.gptq",
        check="check",
        needs_calibration=True,
        options="gptq",
        keeps_journal=True,
    ),
    Technique(name="awq", module="techniques.awq", needs_calibration=True),
    Technique(name="nf4", module="libraries.bitsandbytes", function="apply_nf4", check="check_nf4"),
    Technique(name="llm-int8", module="libraries.bitsandbytes", function="apply_llm_int8"),
    Technique(name="quanto", module="libraries.quanto"),
    Technique(name="inc", module="libraries.neural_compressor", check="check", needs_calibration=True),
)

TECHNIQUES: dict[str, Technique] = {row.name: row for row in _ROWS}
"""By name."""
