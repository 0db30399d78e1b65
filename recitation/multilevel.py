"""Wav2Vec2-BERT with several CTC heads: the model of ``obadx/muaalem-model-v3_0`` (``model_type`` multi_level_ctc).

Weights and configuration have the layout of the package ``quran-muaalem``, so each loads the other's checkpoints.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import Wav2Vec2BertConfig
from transformers.modeling_outputs import CausalLMOutput
from transformers.models.wav2vec2_bert.modeling_wav2vec2_bert import Wav2Vec2BertModel, Wav2Vec2BertPreTrainedModel


class MultiLevelCTCConfig(Wav2Vec2BertConfig):  # type: ignore[misc]
    """Wav2Vec2-BERT's configuration with a vocabulary size and a loss weight per level, in the order of the heads."""

    model_type = "multi_level_ctc"
    level_to_vocab_size: dict[str, int] | None = None
    level_to_loss_weight: dict[str, float] | None = None


def loss_weights(config: Any, levels: list[str]) -> dict[str, float]:
    """Loss weights by level. Levels without a configured weight share the rest of 1 equally, as in quran-muaalem."""
    configured = dict(getattr(config, "level_to_loss_weight", None) or {})
    others = [level for level in levels if level not in configured]
    return configured | {level: (1 - sum(configured.values())) / len(others) for level in others}


class Wav2Vec2BertForMultilevelCTC(Wav2Vec2BertPreTrainedModel):  # type: ignore[misc]
    """The encoder ``wav2vec2_bert`` with one linear head for each level."""

    config_class = MultiLevelCTCConfig

    def __init__(self, config: MultiLevelCTCConfig) -> None:
        super().__init__(config)
        if not config.level_to_vocab_size:
            raise ValueError("config.level_to_vocab_size must name at least one level")
        width = config.output_hidden_size if config.add_adapter else config.hidden_size
        self.wav2vec2_bert = Wav2Vec2BertModel(config)
        self.dropout = nn.Dropout(config.final_dropout)
        self.level_to_lm_head = nn.ModuleDict(
            {level: nn.Linear(width, size) for level, size in config.level_to_vocab_size.items()}
        )
        self.post_init()

    def forward(
        self,
        input_features: Tensor,
        attention_mask: Tensor | None = None,
        labels: dict[str, Tensor] | None = None,
        **kwargs: Any,
    ) -> CausalLMOutput:
        """``input_features`` (B, T, F), ``attention_mask`` (B, T), ``labels`` level to (B, S) ids padded with −100.

        The output's ``logits`` map each level to (B, T', V); ``loss`` is the weighted sum of their CTC losses.
        """
        outputs = self.wav2vec2_bert(input_features, attention_mask=attention_mask, **kwargs)
        hidden = self.dropout(outputs[0])
        logits = {level: head(hidden) for level, head in self.level_to_lm_head.items()}
        loss = None
        if labels is not None:
            if attention_mask is None:
                attention_mask = input_features.new_ones(input_features.shape[:2], dtype=torch.long)
            lengths = self._get_feat_extract_output_lengths(attention_mask.sum(-1)).to(torch.long)
            weights = loss_weights(self.config, list(self.level_to_lm_head))
            loss = torch.stack(
                [weights[level] * self._ctc(logits[level], labels[level], lengths) for level in labels]
            ).sum()
        return CausalLMOutput(loss=loss, logits=logits, hidden_states=outputs.get("hidden_states"))

    def _ctc(self, logits: Tensor, labels: Tensor, lengths: Tensor) -> Tensor:
        present = labels >= 0
        return nn.functional.ctc_loss(
            logits.log_softmax(-1, dtype=torch.float32).transpose(0, 1),
            labels.masked_select(present),
            lengths,
            present.sum(-1),
            blank=self.config.pad_token_id,
            reduction=self.config.ctc_loss_reduction,
            zero_infinity=self.config.ctc_zero_infinity,
        )
