"""What a training can be told."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..quantizers import Options, WeightScheme

PARTIAL = ("projection", "heads", "*.pointwise1", "*.pointwise2")
"""What a partial training leaves in float beside embeddings and LayerNorms: all but attention and feed-forward."""


@dataclass(frozen=True)
class TrainedScheme:
    """What ``--scheme`` names: weights of so many bits, in groups of inputs or not, and what is left of the inputs."""

    bits: int
    group_size: int | None = None
    activation: Literal["none", "grouped", "static"] = "static"
    exclude: tuple[str, ...] = ()
    """Left in float even in a full training."""


# As for techniques without training, the first and the last layer stay in float where weights have few bits.
_ENDS = Options().exclude
SCHEMES = {
    "int8": TrainedScheme(8),
    "int4": TrainedScheme(4, 64, "grouped", _ENDS),
    "int2": TrainedScheme(2, 64, "grouped", _ENDS),
}


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """Everything besides the checkpoint, the data and the place."""

    scheme: str = "int8"
    partial: bool = False
    """Attention and feed-forward alone are quantized."""
    exclude: tuple[str, ...] = ()
    """Layers left in float, by glob."""
    group_size: int | None = None
    symmetric: bool = False
    """Groups without zero points, for formats that know none."""
    asymmetric_inputs: bool = False
    """Input ranges with a zero point: finer, but TensorRT knows none."""
    round_outputs: bool = False
    """Outputs are rounded too, as QNNPACK's kernels do."""
    learn_scales: bool | None = None
    """Scales are trained (learned step sizes); None: where weights have few bits."""
    start: Literal["gptq", "mse"] = "gptq"
    """The technique whose weights of few bits the training begins with."""
    watch_share: float = 0.2
    """The part of all steps in which ranges of activations follow what passes; then they are frozen, or trained."""
    distill: bool = False
    """The loss is the divergence from the fp32 model's posteriors; labels are not needed."""
    ctc: bool = True
    """The loss is (also) that of CTC against labels."""
    temperature: float = 1.0
    """Of both posteriors in distillation."""
    epochs: float = 1.0
    batch_seconds: float = 48.0
    """Audio a batch, padding included."""
    accumulate: int = 1
    """Batches a step."""
    learning_rate: float = 2e-4
    """At its peak: after a linear warm-up over a twentieth of the steps comes a cosine to zero."""
    bf16: bool = False
    """Matrix products in bfloat16 (autocast)."""
    gradient_checkpointing: bool = False
    """Each conformer layer is computed again for its gradient instead of keeping what is inside."""
    device: str = "cpu"
    seed: int = 0
    validation: Path | None = None
    """Held-out data; None: a part of the training data."""
    held_out: float = 0.1
    """That part."""
    evaluations: int = 4
    """How often the held-out data are tried, over the whole training."""
    patience: int | None = None
    """After so many of them without a lower loss, the training stops; None: never."""

    def for_layers(self) -> Options:
        """What techniques are told."""
        scheme = SCHEMES[self.scheme]
        ends = PARTIAL if self.partial else scheme.exclude
        return Options(
            exclude=tuple(dict.fromkeys((*ends, *self.exclude))),
            symmetric_inputs=not self.asymmetric_inputs,
            outputs=self.round_outputs,
            scheme=WeightScheme(
                scheme.bits, self.symmetric or scheme.group_size is None, self.group_size or scheme.group_size
            ),
            activation=scheme.activation,
        )

    @property
    def learns_scales(self) -> bool:
        """Whether step sizes are trained."""
        return SCHEMES[self.scheme].group_size is not None if self.learn_scales is None else self.learn_scales

    def identity(self) -> str:
        """What decides the outcome, so that only an equal training is resumed.

        The learning rate is left out: a training that diverged goes on with a lower one.
        """
        return repr(dataclasses.replace(self, device="cpu", validation=None, learning_rate=0.0))
