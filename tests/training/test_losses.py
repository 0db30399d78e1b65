"""Losses by hand, and as the checkpoint's own class computes them."""

from __future__ import annotations

import math

import pytest
import torch

from qasr.models import open_checkpoint
from qasr.recitation.multilevel import loss_weights
from qasr.training import losses
from qasr.training.data import labelled


def test_ctc_is_the_checkpoints_own(make_data, tmp_path):
    with open_checkpoint("reference") as checkpoint:
        stock, model = checkpoint.stock(), checkpoint.deployable()
        data = labelled(make_data(), checkpoint.levels, tmp_path, checkpoint.front_end)
        batch = data.batch([0, 7, 11], checkpoint.front_end)
        weights = loss_weights(checkpoint.config, list(model.levels))
    with torch.inference_mode():
        logits = dict(zip(model.levels, model(batch.inputs, batch.lengths), strict=True))
        actual = losses.ctc(logits, model.output_lengths(batch.lengths), batch.ids, 0, weights)
        labels = {
            level: torch.nn.utils.rnn.pad_sequence(
                [torch.tensor(ids[level]) for ids in batch.ids], batch_first=True, padding_value=-100
            )
            for level in model.levels
        }
        mask = torch.arange(batch.inputs.shape[1])[None, :] < model.output_lengths(batch.lengths)[:, None]
        expected = stock(batch.inputs, attention_mask=mask.long(), labels=labels).loss
    assert float(actual) == pytest.approx(float(expected), rel=1e-3)


def test_a_clip_in_which_nothing_is_said():
    """CTC of no label is the probability of blanks alone."""
    logits = {"a": torch.zeros(2, 3, 2)}
    ids = ({"a": ()}, {"a": ()})
    assert float(losses.ctc(logits, torch.tensor([3, 3]), ids, 0, {"a": 1.0})) == pytest.approx(3 * math.log(2.0))


def test_distillation_by_hand():
    logits, teacher = {"a": torch.zeros(1, 2, 2)}, {"a": torch.tensor([[[math.log(3.0), 0.0], [9.0, 0.0]]])}
    valid = torch.tensor([[True, False]])
    actual = losses.distillation(logits, teacher, valid, {"a": 0.5}, 1.0)
    expected = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert float(actual) == pytest.approx(0.5 * expected)
    assert float(losses.distillation(teacher, teacher, valid, {"a": 1.0}, 2.0)) == pytest.approx(0.0, abs=1e-6)


def test_levels_without_a_weight_share_the_rest():
    class Config:
        level_to_loss_weight = {"a": 0.4}  # noqa: RUF012

    assert loss_weights(Config, ["a", "b", "c"]) == pytest.approx({"a": 0.4, "b": 0.3, "c": 0.3})
    assert loss_weights(object(), ["text"]) == {"text": 1.0}


def test_a_clip_too_short_counts_for_nothing():
    logits = {"a": torch.zeros(1, 2, 3)}
    ids = ({"a": (1, 2, 1, 2)},)
    assert float(losses.ctc(logits, torch.tensor([2]), ids, 0, {"a": 1.0})) == 0.0
