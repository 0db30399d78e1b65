"""The seam between model families and everything else: all that a family provides.

A family is a folder of this package whose ``__init__`` defines ``ARCHITECTURE``, and a line in ``families.FAMILIES``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..audio.frontends import FrontEnd
    from .checkpoint import Checkpoint
    from .ctc import CTCModel


@dataclass(frozen=True)
class Fold:
    """Where a scale per channel moves from a layer's output into the weights behind it without changing the function.

    Names are relative to each module that the glob ``inside`` matches.
    """

    inside: str
    source: str
    """A LayerNorm, or a Linear, whose output goes to ``linears`` and nowhere else."""
    linears: tuple[str, ...]
    part: tuple[int, int] | None = None
    """Which of how many equal parts of a source Linear's output rows: (2, 3) for the values of a fused q, k, v."""


@dataclass(frozen=True)
class FoldedLayers:
    """One occurrence of a Fold in a model, with full dotted names."""

    source: str
    linears: tuple[str, ...]
    part: tuple[int, int] | None


@dataclass(frozen=True)
class StockLayer:
    """Rows of a deployable layer that are one linear layer of the stock module."""

    name: str
    """The stock layer's dotted name, without ``.weight``."""
    layer: nn.Module
    """A Linear, or the quantized layer that replaced it."""
    rows: slice
    factor: float = 1.0
    """The deployable weights and bias are this many times the stock ones."""
    kernel: int | None = None
    """Kernel size where the stock layer is a ``Conv1d``; None for a Linear."""
    bias: bool = True
    """Whether the stock layer has a bias."""


@dataclass(frozen=True)
class RemoteCode:
    """Python code that stock transformers needs beside a checkpoint (``trust_remote_code``): a class of ours."""

    file: Path
    """It imports torch and transformers only."""
    config_class: str
    model_class: str


class Architecture(Protocol):
    """One model family."""

    @property
    def model_types(self) -> tuple[str, ...]:
        """The ``model_type`` values of ``config.json`` that belong to this family."""

    @property
    def random(self) -> Mapping[str, Callable[[Path], None]]:
        """Models without stored weights, by the name that follows ``random:``.

        Each function writes a checkpoint without weights into a folder: ``config.json``, vocabulary, front end.
        """

    def read_config(self, stored: Mapping[str, Any], path: Path) -> Any:
        """The configuration object of ``config.json``'s content; ``path`` names it in messages.

        It has ``pad_token_id``: the CTC blank of models with several heads, and where the tokenizer names none. Raises
        UnsupportedModelError for a configuration that the family does not deploy, CheckpointError for a bad one.
        """

    def class_name(self, config: Any) -> str:
        """Name of the stock module's class, for manifests."""

    def heads(self, config: Any) -> dict[str, int]:
        """Size of the CTC vocabulary by level."""

    def front_end(self, folder: Path, config: Any) -> FrontEnd:
        """What turns samples into the model's input. Raises FrontEndError or CheckpointError."""

    def stock(self, checkpoint: Checkpoint) -> nn.Module:
        """The transformers module with its weights, float32, in eval mode."""

    def deployable(self, stock: nn.Module, checkpoint: Checkpoint) -> CTCModel:
        """The exact rewrite of a stock module, whose layers are released on the way."""

    def stock_layers(self, model: CTCModel) -> Iterator[StockLayer]:
        """Every linear layer of the stock module, as rows of the deployable model's layers."""

    def other_weights(self, model: CTCModel) -> dict[str, Tensor]:
        """All other tensors of the stock module by name: norms, convolutions, position tables."""

    def remote_code(self, config: Any) -> RemoteCode | None:
        """The class that transformers lacks for this configuration; None where it has one."""

    def stock_config(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """``config.json`` for weights that were written back: the stored one without what the rewrite has dropped."""
