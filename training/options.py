"""Options of a training."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..quantizers import Quantization, Ranges, WeightScheme

if TYPE_CHECKING:
    from ..models import CTCModel


@dataclass(frozen=True)
class TrainedScheme:
    """The scheme that ``--scheme`` names: bits of the weights, group size, and the rounding of inputs."""

    bits: int
    group_size: int | None = None
    activation: Literal["none", "grouped", "static"] = "static"
    float_ends: bool = False
    """The family's float layers, usually the first and the last, stay float even in a full training."""


# As in methods without training, the first and the last layer stay in float beside low-bit weights.
SCHEMES = {
    "int8": TrainedScheme(8),
    "int4": TrainedScheme(4, 64, "grouped", float_ends=True),
    "int2": TrainedScheme(2, 64, "grouped", float_ends=True),
}


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """All options beside the checkpoint, the data and the output folder."""

    scheme: str = "int8"
    partial: bool = False
    """Only attention and feed-forward are quantized."""
    exclude: tuple[str, ...] = ()
    """Globs of further layers that stay float."""
    group_size: int | None = None
    symmetric: bool = False
    """Groups without zero points, for formats that have none."""
    asymmetric_inputs: bool = False
    """Input ranges with a zero point: finer, but TensorRT has none."""
    round_outputs: bool = False
    """Outputs are rounded too, as in QNNPACK's kernels."""
    learn_scales: bool | None = None
    """Scales are trained (learned step sizes); None: with low-bit weights only."""
    start: Literal["gptq", "mse"] = "gptq"
    """The method that rounds low-bit weights before the training."""
    watch_share: float = 0.2
    """Share of all steps in which activation ranges follow the data; then they are frozen, or trained."""
    distill: bool = False
    """The loss is the divergence from the fp32 model's posteriors, without labels."""
    ctc: bool = True
    """The loss is CTC against labels, or includes it."""
    temperature: float = 1.0
    """Softens both posteriors in distillation."""
    epochs: float = 1.0
    batch_seconds: float = 48.0
    """Seconds of audio per batch, padding included."""
    accumulate: int = 1
    """Batches per step."""
    learning_rate: float = 2e-4
    """Peak learning rate: a linear warm-up over a twentieth of the steps, then a cosine to zero."""
    bf16: bool = False
    """Matrix products in bfloat16 (autocast)."""
    gradient_checkpointing: bool = False
    """Each block is computed again for its gradient instead of keeping its activations."""
    device: str = "cpu"
    seed: int = 0
    validation: Path | None = None
    """Held-out data; None: a share of the training data."""
    held_out: float = 0.1
    """Share of the training data that is held out."""
    evaluations: int = 4
    """Number of evaluations on held-out data in the whole training."""
    patience: int | None = None
    """Evaluations without a lower loss after which the training stops; None: never."""

    def quantization(self, model: CTCModel) -> Quantization:
        """The schemes of the layers of ``model`` while it is trained."""
        scheme = SCHEMES[self.scheme]
        if self.partial:
            left_out = _all_but_attention_and_feed_forward(model)
        else:
            left_out = model.float_layers if scheme.float_ends else ()
        return Quantization(
            exclude=tuple(dict.fromkeys((*left_out, *self.exclude))),
            ranges=Ranges(symmetric=not self.asymmetric_inputs),
            outputs=self.round_outputs,
            weight=WeightScheme(
                scheme.bits, self.symmetric or scheme.group_size is None, self.group_size or scheme.group_size
            ),
            activation=scheme.activation,
        )

    @property
    def learns_scales(self) -> bool:
        """Whether step sizes are trained."""
        return SCHEMES[self.scheme].group_size is not None if self.learn_scales is None else self.learn_scales

    def identity(self) -> str:
        """All options that decide the result, so that only an equal training is resumed.

        The learning rate is left out: a training that diverged resumes with a lower one.
        """
        return repr(dataclasses.replace(self, device="cpu", validation=None, learning_rate=0.0))


def _all_but_attention_and_feed_forward(model: CTCModel) -> tuple[str, ...]:
    """Names of the Linears that a partial training leaves in float."""
    from torch import nn

    chosen = (*model.attention_layers, *model.feed_forward_layers)
    linears = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    return tuple(name for name in linears if not any(fnmatchcase(name, glob) for glob in chosen))
