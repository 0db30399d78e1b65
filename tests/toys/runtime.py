"""The toy engine: the ONNX project's reference implementation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from ..artifacts import Artifact
from .engine import EngineOptions, Floats
from .errors import OptionError


class ToyEngine:
    """A graph that numpy computes."""

    def __init__(self, artifact: Artifact, options: EngineOptions) -> None:
        if options.device != "cpu" or options.precision is not None or options.streams not in (None, 1):
            raise OptionError("the toy engine takes no device, no precision and no streams")
        self._graph = onnx.load(artifact.path("model.onnx"))
        self._evaluator = ReferenceEvaluator(self._graph)
        self._inputs = artifact.manifest.front_end.input_names
        self._levels = list(artifact.manifest.levels)

    def infer(self, inputs: Floats, lengths: NDArray[np.int64]) -> dict[str, Floats]:
        """Logits of every level; see ``Engine.infer``."""
        outputs = self._evaluator.run(self._levels, dict(zip(self._inputs, (inputs, lengths), strict=True)))
        return dict(zip(self._levels, outputs, strict=True))

    def kernels(self) -> dict[str, int]:
        """Nodes by operator; see ``Engine.kernels``."""
        return dict(sorted(Counter(node.op_type for node in self._graph.graph.node).items()))

    def close(self) -> None:
        """Release the graph."""
        del self._evaluator


def load(artifact: Artifact, options: EngineOptions) -> ToyEngine:
    """Load ``model.onnx``. Raises OptionError."""
    return ToyEngine(artifact, options)


def unsupported_reason(execution: Mapping[str, str]) -> str | None:
    """None: numpy runs everywhere."""
    return None
