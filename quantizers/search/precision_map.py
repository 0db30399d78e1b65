"""Maps from layers to formats, as people write them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from torch import nn

from ..technique import QuantizationError, quantizable
from .formats import check_formats
from .mixture import FLOAT, Mixture

PRESETS: Mapping[str, Mapping[str, str]] = {
    "typical": {
        "projection*": FLOAT,
        "*norm*": FLOAT,
        "*.attention.*": "int8",
        "*.ffn?.*": "int8",
        "*": FLOAT,
    }
}
"""By name. ``typical``: embeddings and LayerNorm float, attention and feed-forward in 8 bits."""


def parse_map(name: str) -> dict[str, str]:
    """The map called ``name``, or in the YAML file of that name: glob to format. Raises QuantizationError."""
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
        place = f", line {mark.line + 1}" if mark else ""
        raise QuantizationError(f"{name}{place}: not YAML ({getattr(error, 'problem', None) or error})") from None
    except Exception as error:  # yaml raises what making a value does: of a 45th day, say, or of `!!int ''`
        raise QuantizationError(f"{name}: not YAML ({error})") from None
    if not isinstance(content, dict) or not content:
        raise QuantizationError(f"{name}: must map layers to formats, as in '*.attention.*: int8'")
    for glob, form in content.items():
        if not isinstance(glob, str) or not isinstance(form, str):
            raise QuantizationError(f"{name}: {glob!r}: {form!r} is no layer and format; write them as texts")
    return content


def formats_by_layer(model: nn.Module, mixture: Mixture, exclude: Iterable[str] = ()) -> dict[str, str]:
    """The format of every Linear by its dotted name: the first glob that matches it decides, float where none does.

    Whatever the map says, layers that match a glob of ``exclude`` stay float. Raises QuantizationError for a glob that
    matches no layer, a format that the target lacks, and one other than float that is meant for a layer that is no
    Linear.
    """
    globs = dict(mixture.layers or {})
    check_formats(globs.values(), (*mixture.formats, FLOAT))
    chosen = dict(quantizable(model, exclude))
    leaves = {name: module for name, module in model.named_modules() if not any(module.children()) and name}
    formats: dict[str, str] = {}
    for glob in globs:
        if not any(fnmatchcase(name, glob) for name in leaves):
            raise QuantizationError(
                f"no layer matches {glob!r} of the precision map; layers are named like {_like(leaves)}"
            )
    for name, module in leaves.items():
        first = next((glob for glob in globs if fnmatchcase(name, glob)), None)
        form = FLOAT if first is None else globs[first]
        form = mixture.float_format if form == FLOAT else form
        if isinstance(module, nn.Linear):
            formats[name] = form if name in chosen else mixture.float_format
        elif form != mixture.float_format and not _harmless(str(first), leaves):
            raise QuantizationError(
                f"{first!r} of the precision map gives {name} the format {form}, but {type(module).__name__} layers "
                f"stay {mixture.float_format}"
            )
    return formats


def _harmless(glob: str, leaves: Mapping[str, nn.Module]) -> bool:
    """Whether a glob means Linears too, so that the others that it matches are no mistake."""
    return any(isinstance(module, nn.Linear) for name, module in leaves.items() if fnmatchcase(name, glob))


def _like(leaves: Mapping[str, nn.Module]) -> str:
    linears = [name for name, module in leaves.items() if isinstance(module, nn.Linear) and name.startswith("layers.")]
    return ", ".join(linears[:3])
