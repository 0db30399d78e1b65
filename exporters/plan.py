"""A request resolved: checked and completed once, before any work. It needs no torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..quantizers import OBSERVERS, TECHNIQUES, GPTQOptions, Quantization, Ranges, SmoothQuantOptions
from . import targets
from .errors import IdleOptionError, MethodError, RequestError
from .request import MAP, SENSITIVITY, MixingRequest, QuantizationRequest, Request, given
from .target import Target

if TYPE_CHECKING:
    from ..models import CTCModel

_CALIBRATION_CLIPS, _CALIBRATION_SECONDS = 64, 20.0
_BUDGET_POINTS = 0.1
_GROUP_SIZES = (16, 32, 64, 128, 256)
_MIXED = "targets called …-mixed"
_LOW_BIT = "targets of 4 and 2 bits, other than quanto's"


@dataclass(frozen=True, kw_only=True)
class MixedPlan:
    """What decides the formats of a …-mixed target: exactly one of the three."""

    budget_points: float | None
    budget_bytes: int | None
    precision_map: str | None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What an export does, with nothing left to choose."""

    request: Request
    target: Target
    method: str | None
    """None where nothing is quantized."""
    quantization: Quantization
    """As the target and the request say; ``exclude`` holds the user's globs alone until ``for_model`` completes it."""
    mixed: MixedPlan | None
    engine: Any
    """The engine's build options, or None."""
    calibration_clips: int
    calibration_seconds: float
    journal: Path | None

    @property
    def needs_calibration(self) -> bool:
        """Whether calibration audio is used."""
        return _needs_calibration(self.target, self.method, self.quantization.bits_budget)

    @property
    def stops_at_graph(self) -> bool:
        """Whether the engine's own file is left to be built elsewhere."""
        compiler = self.target.compiler()
        return compiler is not None and compiler.skips(self.engine)

    def for_model(self, model: CTCModel) -> Quantization:
        """``quantization`` with every glob that leaves layers of ``model`` in float."""
        family = () if self.method == MAP else model.float_layers
        unsupported = () if self.target.layers.convolutions else _matching(model.convolution_layers, model)
        exclude = tuple(dict.fromkeys((*family, *self.quantization.exclude, *unsupported)))
        return replace(self.quantization, exclude=exclude)


def _matching(globs: Iterable[str], model: CTCModel) -> tuple[str, ...]:
    """Those globs of a family that a layer of this model matches: not every model has an adapter."""
    names = [name for name, _ in model.named_modules()]
    return tuple(glob for glob in globs if any(fnmatchcase(name, glob) for name in names))


def resolve(request: Request) -> Plan:
    """Check and complete ``request``. Raises RequestError, which names the option at fault."""
    target = targets.find(request.target)
    mixed = _mixed(target, request.mixing)
    method = _method(target, request.method, mixed)
    for option, applies_to in _idle(request, target, method):
        raise IdleOptionError(option, applies_to)
    _check_values(request)
    requested = request.quantization
    return Plan(
        request=request,
        target=target,
        method=method,
        quantization=_quantization(target, requested),
        mixed=mixed,
        engine=_engine(target, request.engine),
        calibration_clips=request.calibration.clips or _CALIBRATION_CLIPS,
        calibration_seconds=request.calibration.seconds or _CALIBRATION_SECONDS,
        journal=requested.journal,
    )


def check_buildable(plan: Plan) -> None:
    """Raise MissingExtraError or RequestError where this machine cannot build what is planned."""
    plan.target.require()
    compiler = plan.target.compiler()
    if compiler is not None and not compiler.skips(plan.engine):
        reason = compiler.unsupported_reason(plan.engine)
        if reason is not None:
            raise RequestError(f"{plan.target.name}: {reason}", option="--to")
        compiler.check(plan.target, plan.engine)


def check_explainable(plan: Plan) -> None:
    """Raise RequestError where there is nothing to explain."""
    if plan.method is None:
        raise RequestError(f"{plan.target.name} quantizes nothing, so there is nothing to explain", option="--explain")
    if plan.method == MAP:
        raise RequestError(
            "a precision map leaves nothing to choose, so there is nothing to explain", option="--explain"
        )


def methods_without_calibration(target: Target) -> list[str]:
    """Methods that ``target`` takes and that need no audio."""
    return [name for name in target.methods if not _needs_calibration(target, name, None)]


def _needs_calibration(target: Target, method: str | None, bits_budget: float | None) -> bool:
    if method is None:
        return False
    if method in (SENSITIVITY, MAP) or bits_budget is not None:
        return True
    return TECHNIQUES[method].needs_calibration or target.layers.activation == "static"


def _mixed(target: Target, requested: MixingRequest) -> MixedPlan | None:
    options = [option for _, option, _ in given(requested, "mixing")]
    if not target.formats:
        if options:
            raise IdleOptionError(options[0], _MIXED)
        return None
    if len(options) > 1:
        raise RequestError(
            f"{' and '.join(options)} exclude each other: one of them decides the formats", option=options[1]
        )
    return MixedPlan(
        budget_points=requested.budget_points if options else _BUDGET_POINTS,
        budget_bytes=requested.budget_bytes,
        precision_map=requested.precision_map,
    )


def _method(target: Target, name: str | None, mixed: MixedPlan | None) -> str | None:
    implied = None if mixed is None else SENSITIVITY if mixed.precision_map is None else MAP
    if name is None:
        return implied or next(iter(target.methods), None)
    if not target.methods:
        raise MethodError(f"{target.name} quantizes nothing, so it takes no method")
    if name not in target.methods:
        available = ", ".join(target.methods)
        if any(name in other.methods for other in targets.TARGETS.values()):
            raise MethodError(
                f"{target.name}: the engine cannot express the layers of the method {name!r}; it takes {available}"
            )
        raise MethodError(f"{target.name} has no method {name!r}; it has {available}")
    if implied is not None and name != implied:
        needs = "needs --precision-map" if name == MAP else "takes no --precision-map"
        raise MethodError(f"the method {name} {needs}")
    return name


def _idle(request: Request, target: Target, method: str | None) -> Iterator[tuple[str, str]]:
    """Options of ``request`` that would do nothing, and what they apply to."""
    applies = _applies(request, target, method)
    for group in ("quantization", "calibration"):
        for name, option, _ in given(getattr(request, group), group):
            does, applies_to = applies[name]
            if not does:
                yield option, applies_to
    engine = request.engine
    if engine is not None and not isinstance(engine, target.options_type or ()):
        owners = sorted({row.engine for row in targets.TARGETS.values() if row.options_type is type(engine)})
        default = type(engine)()
        for name, option, value in given(engine, "engine"):
            if value != getattr(default, name):
                yield option, f"targets called {', '.join(owners)}-…"
        yield type(engine).__name__, f"targets called {', '.join(owners)}-…"


def _applies(request: Request, target: Target, method: str | None) -> dict[str, tuple[bool, str]]:
    """For each field: whether it has an effect on ``target`` and ``method``, and on what it has one."""
    technique = TECHNIQUES.get(method or "")
    mixed = target.formats != ()
    ranges = target.layers.activation == "static" or mixed or (technique is not None and technique.uses_ranges)
    gptq = method == "gptq" or mixed
    calibrated = _needs_calibration(target, method, request.quantization.bits_budget)
    audio = "methods that use calibration audio, which this one does not"
    return {
        "observer": (ranges, "methods that fix ranges of activations"),
        "percentile": (ranges and request.quantization.observer == "percentile", "--observer percentile"),
        "strength": (method == "smoothquant", "--method smoothquant"),
        "exclude": (method is not None, "targets that quantize"),
        "group_size": (target.low_bit, _LOW_BIT),
        "symmetric": (
            target.low_bit and not (request.quantization.symmetric and target.layers.weight.symmetric),
            "targets of 4 and 2 bits that have zero points" if target.low_bit else _LOW_BIT,
        ),
        "bits_budget": (target.low_bit and target.layers.weight.bits == 2, "targets of 2 bits, other than quanto's"),
        "damping": (gptq, f"--method gptq and {_MIXED}"),
        "activation_order": (gptq, f"--method gptq and {_MIXED}"),
        "journal": (gptq, f"--method gptq and {_MIXED}"),
        "source": (calibrated, audio),
        "clips": (calibrated, audio),
        "seconds": (calibrated, audio),
    }


def _check_values(request: Request) -> None:
    requested, calibration = request.quantization, request.calibration
    if requested.observer is not None and requested.observer not in OBSERVERS:
        raise RequestError(
            f"no observer {requested.observer!r}; available are {', '.join(OBSERVERS)}", option="--observer"
        )
    if requested.group_size is not None and requested.group_size not in _GROUP_SIZES:
        sizes = ", ".join(map(str, _GROUP_SIZES))
        raise RequestError(f"--group-size {requested.group_size} is none of {sizes}", option="--group-size")
    limits: tuple[tuple[str, float | None, float, float, bool], ...] = (
        ("--percentile", requested.percentile, 50, 100, True),
        ("--strength", requested.strength, 0, 1, False),
        ("--bits-budget", requested.bits_budget, 2, 4, False),
        ("--damping", requested.damping, 0, 1, True),
        ("--budget-per", request.mixing.budget_points, 0, math.inf, False),
        ("--budget-size", request.mixing.budget_bytes, 0, math.inf, True),
        ("--calibration-clips", calibration.clips, 1, math.inf, False),
        ("--calibration-seconds", calibration.seconds, 0, math.inf, True),
        ("--verification-clips", request.verification.clips, 1, math.inf, False),
    )
    for option, value, low, high, above in limits:
        if value is not None and not (low <= value <= high and not (above and value == low)):
            bounds = f"{'above' if above else 'at least'} {low:g}" + (
                f" and at most {high:g}" if high < math.inf else ""
            )
            raise RequestError(f"{option} must be {bounds}, not {value:g}", option=option)
    if request.revision is not None and (Path(request.model).exists() or "/" not in request.model):
        raise IdleOptionError("--revision", "models on the Hub")


def _quantization(target: Target, requested: QuantizationRequest) -> Quantization:
    """The target's layers with what the user chose. Raises RequestError for zero points that it cannot hold."""
    weight = target.layers.weight
    if weight.symmetric and requested.symmetric is False:
        able = [
            row.name
            for row in targets.TARGETS.values()
            if row.layers.weight.bits == weight.bits and not row.layers.weight.symmetric and not row.formats
        ]
        raise RequestError(
            f"{target.name} cannot hold zero points; leave --asymmetric out, or use {' or '.join(able)}",
            option="--asymmetric",
        )
    symmetric = weight.symmetric if requested.symmetric is None else requested.symmetric
    return Quantization(
        weight=replace(weight, symmetric=symmetric, group_size=requested.group_size or weight.group_size),
        bits_budget=requested.bits_budget,
        activation=target.layers.activation,
        outputs=target.layers.outputs,
        exclude=requested.exclude,
        ranges=Ranges(
            observer=requested.observer or "minmax",  # type: ignore[arg-type]  # checked above
            percentile=Ranges().percentile if requested.percentile is None else requested.percentile,
            symmetric=target.layers.symmetric_inputs,
        ),
        smoothquant=SmoothQuantOptions(strength=requested.strength),
        gptq=GPTQOptions(
            damping=GPTQOptions().damping if requested.damping is None else requested.damping,
            activation_order=requested.activation_order is not False,
        ),
    )


def _engine(target: Target, requested: Any) -> Any:
    if target.options_type is None:
        return None
    options = target.options_type() if requested is None else requested
    options.check()
    return options
