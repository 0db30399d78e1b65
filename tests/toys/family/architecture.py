"""The record of the family."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from ...audio import FrontEnd, Waveform
from ..architecture import RemoteCode, StockLayer
from ..ctc import CTCModel
from ..settings import read_extractor_settings
from ..vocabulary import SINGLE_LEVEL
from ..weights import build
from .model import HOP, ToyCTC, ToyStock

if TYPE_CHECKING:
    from ..checkpoint import Checkpoint


class Toy:
    """See ``models.architecture.Architecture``."""

    model_types = ("toy",)
    random: Mapping[str, Callable[[Path], None]] = MappingProxyType({})

    def read_config(self, stored: Mapping[str, Any], path: Path) -> Any:
        return SimpleNamespace(**stored)

    def class_name(self, config: Any) -> str:
        return "ToyStock"

    def heads(self, config: Any) -> dict[str, int]:
        return {SINGLE_LEVEL: config.vocab_size}

    def front_end(self, folder: Path, config: Any) -> FrontEnd:
        return Waveform.from_json(read_extractor_settings(folder), fewest_samples=HOP)

    def stock(self, checkpoint: Checkpoint) -> nn.Module:
        config = checkpoint.config
        return build(lambda: ToyStock(config.hidden_size, config.vocab_size), checkpoint.folder, checkpoint.random_seed)

    def deployable(self, stock: nn.Module, checkpoint: Checkpoint) -> CTCModel:
        assert isinstance(stock, ToyStock)
        levels = {level: len(vocabulary.tokens) for level, vocabulary in checkpoint.levels.items()}
        return ToyCTC(stock, levels, checkpoint.front_end).eval().requires_grad_(False)

    def stock_layers(self, model: CTCModel) -> Iterator[StockLayer]:
        for name, layer in model.named_modules():
            if isinstance(layer, nn.Linear):
                yield StockLayer(name, layer, slice(None))

    def other_weights(self, model: CTCModel) -> dict[str, Tensor]:
        linears = {layer.name for layer in self.stock_layers(model)}
        return {name: value for name, value in model.state_dict().items() if name.rpartition(".")[0] not in linears}

    def remote_code(self, config: Any) -> RemoteCode | None:
        return None

    def stock_config(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        return dict(stored)


ARCHITECTURE = Toy()
