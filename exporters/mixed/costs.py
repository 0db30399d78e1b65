"""Bytes and seconds of a layer in each format of a target: sizes by its scheme, the rest by the engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from ...models import CTCModel
from ...quantizers.search.formats import BITS
from ..plan import Plan
from .timing import linear_seconds


class TargetCosts:
    """See ``quantizers.search.mixture.Costs``.

    ``files``: those of the checkpoint that every artifact holds; ``cache``: folder for measured times.
    """

    def __init__(self, plan: Plan, files: Sequence[Path], cache: Path) -> None:
        self._target = plan.target
        self._weight = plan.quantization.weight
        self._files = tuple(files)
        self._cache = cache
        self._compiled = plan.target.compiler() is not None and not plan.stops_at_graph

    def layer_bytes(self, outputs: int, inputs: int, layer_format: str) -> int:
        """Of the weights, scales, zero points and bias."""
        if layer_format not in BITS:
            return 2 * outputs * inputs + 2 * outputs
        bits = BITS[layer_format]
        weights = outputs * inputs * bits // 8
        if bits == 8:
            return weights + 4 * outputs
        groups = inputs // (self._weight.group_size or inputs)
        if self._weight.two_level:  # whole numbers for the groups, floats for the channels
            return weights + outputs * groups + 4 * outputs
        zero_points = 0 if self._weight.symmetric else -(-groups * bits // 8) * outputs
        return weights + 2 * groups * outputs + zero_points + 2 * outputs

    def fixed_bytes(self, model: CTCModel) -> int:
        """Floats outside of Linears, the graph, and the files of the checkpoint."""
        linears = sum(
            sum(value.numel() for value in module.parameters())
            for module in model.modules()
            if isinstance(module, nn.Linear)
        )
        floats = 2 * (sum(value.numel() for value in model.parameters()) - linears)
        block, rest = self._target.costs().graph_bytes(compiled=self._compiled)
        return floats + block * len(model.blocks) + rest + sum(path.stat().st_size for path in self._files)

    def seconds(self, outputs: int, inputs: int, layer_format: str) -> float | None:
        """Median over repeated runs; None where the engine cannot be measured here."""
        return linear_seconds(self._target, self._weight, outputs, inputs, layer_format, self._cache)
