"""Maps from layers to formats, as people write them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from torch import nn

from ...models import CTCModel
from ..errors import QuantizationError
from ..layers.rewrite import quantizable
from .formats import check_formats
from .mixture import FLOAT, Mixture

ATTENTION, FEED_FORWARD = "@attention", "@feed-forward"
"""Keys that mean the family's own globs of these layers."""

PRESETS: Mapping[str, Mapping[str, str]] = {"typical": {ATTENTION: "int8", FEED_FORWARD: "int8", "*": FLOAT}}
"""By name. ``typical``: embeddings and LayerNorm float, attention and feed-forward in 8 bits."""


def parse_map(name: str) -> dict[str, str]:
    """The preset called ``name``, or the YAML file of that name: glob to format. Raises QuantizationError."""
    if name in PRESETS:
        return dict(PRESETS[name])
    import yaml

    try:
        text = Path(name).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise QuantizationError(f"{name}: no such precision map; presets are {', '.join(PRESETS)}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise QuantizationError(f"{name}: cannot be read ({reason})") from None
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise QuantizationError(f"{name}{line}: not YAML ({getattr(error, 'problem', None) or error})") from None
    except Exception as error:  # yaml passes on what a value raises: of a 45th day, say, or of `!!int ''`
        raise QuantizationError(f"{name}: not YAML ({error})") from None
    if not isinstance(content, dict) or not content:
        raise QuantizationError(f"{name}: must map layers to formats, as in '*.attention.*: int8'")
    for glob, format_name in content.items():
        if not isinstance(glob, str) or not isinstance(format_name, str):
            raise QuantizationError(f"{name}: {glob!r}: {format_name!r} is no layer and format; write them as texts")
    return content


def formats_by_layer(model: CTCModel, mixture: Mixture, exclude: Iterable[str] = ()) -> dict[str, str]:
    """The format of every Linear by its dotted name: the first key that matches it decides, float where none does.

    Layers that match a glob of ``exclude`` stay float whatever the map says. Raises QuantizationError for a key that
    matches no layer, a format that the target does not have, and a format other than float that is given to layers
    none of which is a Linear.
    """
    keys = dict(mixture.layers or {})
    check_formats(keys.values(), (*mixture.formats, FLOAT))
    globs = {key: _globs(key, model) for key in keys}
    chosen = dict(quantizable(model, exclude))
    leaves = {name: module for name, module in model.named_modules() if not any(module.children()) and name}
    for key in keys:
        if not any(_matches(name, globs[key]) for name in leaves):
            raise QuantizationError(
                f"no layer matches {key!r} of the precision map; layers are named like {_examples(model, leaves)}"
            )
    formats: dict[str, str] = {}
    for name, module in leaves.items():
        first = next((key for key in keys if _matches(name, globs[key])), None)
        format_name = FLOAT if first is None else keys[first]
        format_name = mixture.float_format if format_name == FLOAT else format_name
        if isinstance(module, nn.Linear):
            formats[name] = format_name if name in chosen else mixture.float_format
        elif first is not None and format_name != mixture.float_format and not _has_linear(globs[first], leaves):
            raise QuantizationError(
                f"{first!r} of the precision map gives {name} the format {format_name}, "
                f"but {type(module).__name__} layers stay {mixture.float_format}"
            )
    return formats


def _globs(key: str, model: CTCModel) -> tuple[str, ...]:
    return {ATTENTION: model.attention_layers, FEED_FORWARD: model.feed_forward_layers}.get(key, (key,))


def _matches(name: str, globs: Iterable[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)


def _has_linear(globs: Iterable[str], leaves: Mapping[str, nn.Module]) -> bool:
    """Whether a key matches Linears too, so that the other layers that it matches are no mistake."""
    globs = tuple(globs)
    return any(isinstance(module, nn.Linear) for name, module in leaves.items() if _matches(name, globs))


def _examples(model: CTCModel, leaves: Mapping[str, nn.Module]) -> str:
    linears = [name for name, module in leaves.items() if isinstance(module, nn.Linear)]
    return ", ".join([name for name in linears if not _matches(name, model.float_layers)][:3])
