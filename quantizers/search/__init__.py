"""Mixed precision: each layer has a format of its own, which a map names or a search finds for a budget."""

from __future__ import annotations

from .formats import BITS, check_formats
from .mixed import Found, Point, by_map, by_sensitivity, find_mixture
from .mixture import FLOAT, MAP, SENSITIVITY, Costs, Mixture
from .precision_map import PRESETS, parse_map

__all__ = [
    "BITS",
    "FLOAT",
    "MAP",
    "PRESETS",
    "SENSITIVITY",
    "Costs",
    "Found",
    "Mixture",
    "Point",
    "by_map",
    "by_sensitivity",
    "check_formats",
    "find_mixture",
    "parse_map",
]
