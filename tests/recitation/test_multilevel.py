"""The multi-level class: saved and loaded as Hugging Face does, its loss the weighted sum of CTC losses."""

from __future__ import annotations

import json

import pytest
import torch

from qasr.recitation.multilevel import MultiLevelCTCConfig, Wav2Vec2BertForMultilevelCTC


def make(**changes) -> Wav2Vec2BertForMultilevelCTC:
    torch.manual_seed(0)
    fields = {
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "level_to_vocab_size": {"phonemes": 6, "ghonna": 3},
        "level_to_loss_weight": {"phonemes": 0.4, "ghonna": 0.6},
        "pad_token_id": 0,
        "final_dropout": 0.0,
    }
    return Wav2Vec2BertForMultilevelCTC(MultiLevelCTCConfig(**(fields | changes))).eval()


def test_round_trip(tmp_path):
    model = make()
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["model_type"] == "multi_level_ctc"
    assert config["architectures"] == ["Wav2Vec2BertForMultilevelCTC"]
    assert config["level_to_vocab_size"] == {"phonemes": 6, "ghonna": 3}
    again = Wav2Vec2BertForMultilevelCTC.from_pretrained(tmp_path).eval()
    features = torch.randn(2, 20, 160)
    with torch.inference_mode():
        for level, logits in model(features).logits.items():
            assert torch.equal(again(features).logits[level], logits)
    names = set(model.state_dict())
    assert {"level_to_lm_head.ghonna.weight", "level_to_lm_head.phonemes.bias"} <= names
    assert all(name.startswith(("wav2vec2_bert.", "level_to_lm_head.")) for name in names)


def test_loss_is_the_weighted_sum():
    model = make(ctc_loss_reduction="sum")
    features = torch.randn(2, 30, 160)
    mask = torch.ones(2, 30, dtype=torch.long)
    mask[1, 20:] = 0
    labels = {"phonemes": torch.tensor([[1, 2, 3], [4, 5, -100]]), "ghonna": torch.tensor([[1, 2], [2, -100]])}
    with torch.inference_mode():
        output = model(features, attention_mask=mask, labels=labels)
    expected = 0.0
    for level, weight in (("phonemes", 0.4), ("ghonna", 0.6)):
        for row, length in enumerate((30, 20)):
            target = labels[level][row]
            target = target[target >= 0]
            scores = output.logits[level][row, :length].log_softmax(-1)
            expected += weight * torch.nn.functional.ctc_loss(
                scores[:, None], target[None], torch.tensor([length]), torch.tensor([len(target)]), reduction="sum"
            )
    torch.testing.assert_close(output.loss, torch.as_tensor(expected), rtol=1e-5, atol=1e-5)


def test_levels_without_a_weight_share_the_rest():
    labels = {"phonemes": torch.tensor([[1, 2, 3]]), "ghonna": torch.tensor([[1]])}
    features = torch.randn(1, 20, 160)
    with torch.inference_mode():
        losses = [
            make(level_to_loss_weight=weights)(features, labels=labels).loss
            for weights in ({"phonemes": 0.4, "ghonna": 0.6}, {"phonemes": 0.4})
        ]
    torch.testing.assert_close(*losses)


def test_training_lowers_the_loss():
    model = make().train()
    features = torch.randn(2, 30, 160)
    labels = {"phonemes": torch.tensor([[1, 2, 3], [4, 5, -100]]), "ghonna": torch.tensor([[1, 2], [2, -100]])}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(10):
        loss = model(features, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_levels_are_required():
    with pytest.raises(ValueError, match="must name at least one level"):
        make(level_to_vocab_size={})
