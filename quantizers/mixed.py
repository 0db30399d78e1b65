"""Mixed precision: the layers that cost most stay in float."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..models import DeployableCTC
from .sensitivity import float_twin, sensitivity
from .technique import CalibrationSet, Options, QuantizationError

# Each clip costs a pass per layer; more rank the layers no differently.
_CLIPS = 4


def sensitive_in_float(
    model: DeployableCTC,
    options: Options,
    calibration: CalibrationSet | None,
    apply: Callable[[DeployableCTC, Options], DeployableCTC],
) -> Options:
    """``options`` that exclude the fewest layers whose squared errors are ``options.float_share`` of the sum.

    What a layer costs is the squared error of all logits when it alone is quantized by ``apply``, on the first
    calibration clips. The choice is left in ``model.notes["float"]``. Raises QuantizationError for a share that is no
    part of 1, and without calibration audio.
    """
    share = options.float_share
    if share is None:
        return options
    if not 0.0 < share < 1.0:
        raise QuantizationError(f"the share of the error that stays in float must lie between 0 and 1, not {share:g}")
    if calibration is None:
        raise QuantizationError("choosing layers needs calibration audio; name it with --calibration")
    clips = [clip for clip, _ in zip(calibration.features(), range(_CLIPS), strict=False)]
    report = sensitivity(model, apply(float_twin(model), options), clips, options.track)
    kept: list[str] = []
    spared = 0.0
    for layer in report.layers:
        if spared >= share:
            break
        kept.append(layer.layer)
        spared += layer.share
    if len(kept) == len(report.layers):
        raise QuantizationError("every layer would stay in float; ask for a smaller share")
    model.notes["float"] = sorted(kept)
    return replace(options, exclude=(*options.exclude, *sorted(kept)))
