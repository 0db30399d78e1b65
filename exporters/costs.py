"""What layers of each format take in an artifact, and how long they last on this machine."""

from __future__ import annotations

from pathlib import Path

from ..models import Checkpoint, DeployableCTC
from ..quantizers.search import BITS
from .target import Target
from .timing import linear_seconds

# Names, shapes and nodes: of a conformer layer, and of all else; measured on artifacts of the bundled model.
_GRAPH_BYTES = {"onnx": (17_000, 15_000), "openvino": (140_000, 40_000), "tensorrt": (60_000, 400_000)}
# The same for engines, which hold a program: 3.7 MB with products of one type, 7 MB with two. Layers share it.
_ENGINE_BYTES = (100_000, 7_500_000)


class EngineCosts:
    """See ``quantizers.mixed.Costs``. ``compiled``: into an engine. ``cache``: folder in which times are kept."""

    def __init__(
        self, goal: Target, checkpoint: Checkpoint, group_size: int, symmetric: bool, cache: Path, *, compiled: bool
    ) -> None:
        self._goal = goal
        self._group_size = group_size
        self._symmetric = symmetric or goal.symmetric
        self._checkpoint = checkpoint
        self._cache = cache
        self._compiled = compiled

    def layer_bytes(self, outputs: int, inputs: int, form: str) -> int:
        """Of the weights, scales, zero points and bias."""
        if form not in BITS:
            return 2 * outputs * inputs + 2 * outputs
        bits = BITS[form]
        weights = outputs * inputs * bits // 8
        if bits == 8:
            return weights + 4 * outputs
        groups = inputs // self._group_size
        if self._goal.two_level:  # whole numbers for the groups, floats for the channels
            return weights + outputs * groups + 4 * outputs
        zero_points = 0 if self._symmetric else -(-groups * bits // 8) * outputs
        return weights + 2 * groups * outputs + zero_points + 2 * outputs

    def fixed_bytes(self, model: DeployableCTC) -> int:
        """Floats outside of Linears, the graph, and the files of the checkpoint."""
        linears = sum(
            sum(value.numel() for value in module.parameters())
            for module in model.modules()
            if type(module).__name__ == "Linear"
        )
        floats = 2 * (sum(value.numel() for value in model.parameters()) - linears)
        layer, rest = _ENGINE_BYTES if self._compiled else _GRAPH_BYTES[self._goal.engine]
        files = sum(path.stat().st_size for path in self._checkpoint.metadata)
        return floats + layer * len(model.layers) + rest + files

    def seconds(self, outputs: int, inputs: int, form: str) -> float | None:
        """Median over repeated runs, on frames of 5 s; None where no GPU is here to measure on."""
        return linear_seconds(self._goal, outputs, inputs, form, self._group_size, self._symmetric, self._cache)
