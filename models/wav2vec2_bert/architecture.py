"""The record of the family: ``Wav2Vec2BertForCTC``, and the class of several heads in ``recitation.multilevel``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from ...audio import FrontEnd, LogMel
from ...errors import MissingExtraError, first_line
from ..architecture import RemoteCode, StockLayer
from ..ctc import CTCModel
from ..errors import CheckpointError, UnsupportedModelError
from ..layers.heads import fuse_heads
from ..settings import read_extractor_settings
from ..vocabulary import SINGLE_LEVEL
from ..weights import build
from . import write_back
from .full import write_full_config
from .model import Wav2Vec2BertCTC
from .rewrites import rewrite_adapter, rewrite_layer

if TYPE_CHECKING:
    from ..checkpoint import Checkpoint

_MULTI_LEVEL, _STOCK = "multi_level_ctc", "wav2vec2-bert"
_STOCK_CLASS = "Wav2Vec2BertForCTC"
# Used only by SpecAugment in training; some checkpoints leave it out.
_OPTIONAL = frozenset({"wav2vec2_bert.masked_spec_embed"})


class Wav2Vec2Bert:
    """See ``models.architecture.Architecture``."""

    model_types = (_MULTI_LEVEL, _STOCK)
    random: Mapping[str, Callable[[Path], None]] = MappingProxyType({"full": write_full_config})

    def read_config(self, stored: Mapping[str, Any], path: Path) -> Any:
        """A ``Wav2Vec2BertConfig`` or ``MultiLevelCTCConfig``."""
        try:
            from transformers import Wav2Vec2BertConfig
        except ImportError:
            raise MissingExtraError("transformers", "export") from None
        from ...recitation.multilevel import MultiLevelCTCConfig

        kind = stored["model_type"]
        stock_class = (stored.get("architectures") or [None])[0]
        if kind == _STOCK and stock_class != _STOCK_CLASS:
            raise UnsupportedModelError(
                f"{path}: model_type {kind!r} with architecture {stock_class!r} is not supported; "
                f"qasr deploys {_STOCK_CLASS}"
            )
        if kind == _MULTI_LEVEL and not stored.get("level_to_vocab_size"):
            raise CheckpointError(f"{path}: has no level_to_vocab_size")
        try:
            config = (MultiLevelCTCConfig if kind == _MULTI_LEVEL else Wav2Vec2BertConfig).from_dict(stored)
        except Exception as error:  # transformers validates with many kinds of exception
            raise CheckpointError(f"{path}: refused by transformers ({first_line(error)})") from None
        check_supported(config)
        return config

    def class_name(self, config: Any) -> str:
        """Of the stock module."""
        return str(_stock_class(config).__name__)

    def heads(self, config: Any) -> dict[str, int]:
        """Size of each level's vocabulary."""
        if config.model_type == _MULTI_LEVEL:
            return dict(config.level_to_vocab_size)
        return {SINGLE_LEVEL: config.vocab_size}

    def front_end(self, folder: Path, config: Any) -> FrontEnd:
        """Log-mel energies, whose width the configuration must have. An adapter reads the half-filled last frame."""
        front_end = LogMel.from_json(read_extractor_settings(folder), keeps_partial=config.add_adapter)
        if front_end.feature_size != config.feature_projection_input_dim:
            raise CheckpointError(
                f"{folder}: the feature settings give {front_end.feature_size} values a frame, "
                f"the model takes {config.feature_projection_input_dim}"
            )
        return front_end

    def stock(self, checkpoint: Checkpoint) -> nn.Module:
        """``Wav2Vec2BertForCTC`` or ``Wav2Vec2BertForMultilevelCTC``."""
        config = checkpoint.config
        return build(lambda: _stock_class(config)(config), checkpoint.folder, checkpoint.random_seed, _OPTIONAL)

    def deployable(self, stock: nn.Module, checkpoint: Checkpoint) -> CTCModel:
        """See ``deployable``."""
        levels = {level: len(vocabulary.tokens) for level, vocabulary in checkpoint.levels.items()}
        return deployable(stock, levels, checkpoint.front_end)

    def stock_layers(self, model: CTCModel) -> Iterator[StockLayer]:
        """See ``write_back.stock_layers``."""
        return write_back.stock_layers(_own(model))

    def other_weights(self, model: CTCModel) -> dict[str, Tensor]:
        """See ``write_back.other_weights``."""
        return write_back.other_weights(_own(model))

    def remote_code(self, config: Any) -> RemoteCode | None:
        """The class of several heads."""
        if config.model_type != _MULTI_LEVEL:
            return None
        from ...recitation import multilevel

        return RemoteCode(
            Path(multilevel.__file__),
            multilevel.MultiLevelCTCConfig.__name__,
            multilevel.Wav2Vec2BertForMultilevelCTC.__name__,
        )

    def stock_config(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Without SpecAugment, whose embedding the deployable model does not have."""
        return {**stored, "mask_time_prob": 0.0, "mask_feature_prob": 0.0}


def check_supported(config: Any) -> None:
    """Raise UnsupportedModelError for a configuration whose computation the rewrites do not cover."""
    positions = config.position_embeddings_type
    if positions not in (None, "relative_key"):
        raise UnsupportedModelError(
            f"position_embeddings_type {positions!r} is not supported; qasr deploys relative_key and null"
        )
    if getattr(config, "use_intermediate_ffn_before_adapter", False):
        raise UnsupportedModelError("use_intermediate_ffn_before_adapter is not supported")


def deployable(stock: Any, levels: Mapping[str, int], front_end: FrontEnd) -> Wav2Vec2BertCTC:
    """Rewrite a stock model; ``levels`` holds vocabulary sizes, the transcript's level first.

    The result shares what it can with the stock model, whose own layers are released one by one, so that the peak
    memory is that of one model and one layer. Raises UnsupportedModelError.
    """
    config = stock.config
    check_supported(config)
    encoder = stock.wav2vec2_bert
    stock_layers = encoder.encoder.layers
    layers = []
    for index in range(len(stock_layers)):
        layers.append(rewrite_layer(stock_layers[index]))
        stock_layers[index] = nn.Identity()
    heads = stock.level_to_lm_head if hasattr(stock, "level_to_lm_head") else {next(iter(levels)): stock.lm_head}
    relative = config.position_embeddings_type == "relative_key"
    model = Wav2Vec2BertCTC(
        projection_norm=encoder.feature_projection.layer_norm,
        projection=encoder.feature_projection.projection,
        layers=layers,
        adapter=None if encoder.adapter is None else rewrite_adapter(encoder.adapter),
        heads=fuse_heads({level: heads[level] for level in levels}),
        levels=levels,
        front_end=front_end,
        distances=(config.left_max_position_embeddings, config.right_max_position_embeddings) if relative else None,
    )
    return model.eval().requires_grad_(False)


def _stock_class(config: Any) -> Any:
    if config.model_type == _MULTI_LEVEL:
        from ...recitation.multilevel import Wav2Vec2BertForMultilevelCTC

        return Wav2Vec2BertForMultilevelCTC
    from transformers import Wav2Vec2BertForCTC

    return Wav2Vec2BertForCTC


def _own(model: CTCModel) -> Wav2Vec2BertCTC:
    if not isinstance(model, Wav2Vec2BertCTC):
        raise TypeError(f"{type(model).__name__} is not a model of this family")
    return model


ARCHITECTURE = Wav2Vec2Bert()
