"""Loads and runs each kind of candidate as its users would.

``run`` is timed: from a waveform to the best token of every frame. ``check`` is not.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...audio import SAMPLE_RATE
from .errors import CandidateError
from .floor import FRAMES_PER_SECOND

if TYPE_CHECKING:  # the load time of peers must not include qasr's imports
    from ...runtimes import Transcript

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Infer = Callable[[Floats, Integers], list[Floats]]
"""Features (1, T, F) and mask (1, T) to the logits (1, T, V) of each level, in the order of ``Levels.widths``."""

LEVEL = "phonemes"
"""The level whose transcripts are compared."""


@dataclass(frozen=True)
class Spec:
    """The arguments of a candidate's process."""

    kind: str
    path: str
    stock: str
    """The stock checkpoint's folder, for feature settings and levels."""
    threads: int
    clips: dict[str, str]
    """Name of a clip to its ``.npy`` file, mono float32 at 16 kHz."""
    settings: dict[str, str] = field(default_factory=dict)


class Engine(Protocol):
    """A loaded candidate."""

    execution: str
    """The precision that the engine reports."""

    def run(self, waveform: Floats) -> Any:
        """Compute features, logits and best tokens of a clip."""

    def check(self, result: Any, seconds: float) -> list[int]:
        """Greedy CTC transcript of ``LEVEL`` from the result of ``run`` for a clip of ``seconds``.

        Raises CandidateError if the result is unusable.
        """


class StockEngine:
    """The stock model's feature extractor, an engine, and argmax."""

    def __init__(self, spec: Spec, infer: Infer, execution: str) -> None:
        from transformers import SeamlessM4TFeatureExtractor

        config = json.loads((Path(spec.stock) / "config.json").read_text(encoding="utf-8"))
        self.execution = execution
        self._infer = infer
        self._widths: dict[str, int] = config["level_to_vocab_size"]
        self._blank: int = config["pad_token_id"]
        self._extractor = SeamlessM4TFeatureExtractor.from_pretrained(spec.stock)

    def run(self, waveform: Floats) -> list[tuple[Floats, Integers]]:
        """Logits (1, T, V) and their best tokens (1, T), by level."""
        inputs = self._extractor(waveform, sampling_rate=SAMPLE_RATE, return_tensors="np")
        logits = self._infer(inputs["input_features"], inputs["attention_mask"].astype(np.int64))
        return [(values, values.argmax(-1)) for values in logits]

    def check(self, result: list[tuple[Floats, Integers]], seconds: float) -> list[int]:
        """See ``Engine.check``."""
        shapes = [values.shape for values, _ in result]
        frames = shapes[0][1] if shapes else 0
        if (
            shapes != [(1, frames, width) for width in self._widths.values()]
            or abs(frames - FRAMES_PER_SECOND * seconds) > 2
        ):
            raise CandidateError(f"returned logits of the shapes {shapes} for {seconds:g} s of audio")
        if not all(np.isfinite(values).all() for values, _ in result):
            raise CandidateError("returned logits that are not finite")
        best = result[list(self._widths).index(LEVEL)][1][0].tolist()
        kept = [token for index, token in enumerate(best) if index == 0 or token != best[index - 1]]
        return [token for token in kept if token != self._blank]


class ArtifactEngine:
    """``qasr.load`` and ``transcribe``, which itself refuses logits that are not finite or have a wrong shape."""

    def __init__(self, spec: Spec) -> None:
        from ...runtimes import load

        self._model = load(spec.path, threads=spec.threads, trust_code=True)
        execution = self._model.manifest.execution
        self.execution = ", ".join(f"{name} {value}" for name, value in execution.items())

    def run(self, waveform: Floats) -> Transcript:
        """The transcript of all levels."""
        return self._model.transcribe(waveform, sample_rate=SAMPLE_RATE)

    def check(self, result: Transcript, seconds: float) -> list[int]:
        """See ``Engine.check``."""
        if abs(result.seconds - seconds) > 0.01 or set(result.levels) != set(self._model.levels):
            raise CandidateError(f"returned {list(result.levels)} of {result.seconds} s for {seconds:g} s of audio")
        return [token.id for token in result.levels[LEVEL].tokens]


def load_stock(folder: Path) -> Any:
    """The stock transformers module, as its users load it."""
    import torch

    from ...recitation.multilevel import Wav2Vec2BertForMultilevelCTC

    return Wav2Vec2BertForMultilevelCTC.from_pretrained(folder, dtype=torch.float32).eval()


def _torch(spec: Spec) -> Engine:
    import torch

    torch.set_num_threads(spec.threads)
    path = Path(spec.path)
    # A file that this package has built itself, or a checkpoint's folder.
    module = torch.load(path, weights_only=False) if path.is_file() else load_stock(path)

    def infer(features: Floats, mask: Integers) -> list[Floats]:
        with torch.inference_mode():
            outputs = module(torch.from_numpy(features), attention_mask=torch.from_numpy(mask))
        return [value.numpy() for value in outputs.logits.values()]

    engine = f"quantized engine {torch.backends.quantized.engine}" if path.is_file() else "fp32"
    return StockEngine(spec, infer, engine)


def _onnxruntime(spec: Spec) -> Engine:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = spec.threads
    session = onnxruntime.InferenceSession(spec.path, settings, providers=["CPUExecutionProvider"])

    def infer(features: Floats, mask: Integers) -> list[Floats]:
        return session.run(None, {"input_features": features, "attention_mask": mask})  # type: ignore[no-any-return]

    return StockEngine(spec, infer, "")


def _openvino(spec: Spec) -> Engine:
    import openvino as ov

    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": spec.threads, **spec.settings}
    model = ov.Core().compile_model(spec.path, "CPU", settings)

    def infer(features: Floats, mask: Integers) -> list[Floats]:
        outputs = model({"input_features": features, "attention_mask": mask})
        return [outputs[index] for index in range(len(outputs))]

    precision = model.get_property("INFERENCE_PRECISION_HINT").to_string()
    return StockEngine(spec, infer, f"floats in {precision}")


LOADERS: dict[str, Callable[[Spec], Engine]] = {
    "torch": _torch,
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
    "qasr": ArtifactEngine,
}
