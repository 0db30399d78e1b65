"""Training: AdamW with warm-up and cosine decay on length-sorted batches, bfloat16 autocast, resumable."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import torch

from qasr.recitation.labels import vocabulary
from qasr.recitation.multilevel import MultiLevelCTCConfig, Wav2Vec2BertForMultilevelCTC

from .batches import Corpus
from .evaluate import error_rates

_PEAK_RATE = 1.5e-3
_WARM_UP = 400
_CHECK_EVERY = 500
# From this epoch on, half of the batches contain joined utterances, which resemble long recordings.
_JOIN_FROM_EPOCH = 8


def build_config() -> MultiLevelCTCConfig:
    """3.5 M parameters; widths are multiples of 64, so that every group size divides them."""
    levels = {level: len(tokens) for level, tokens in vocabulary().items()}
    # 0.4, and ten equal parts of the rest, rounded down because quran-muaalem refuses a sum above 1.
    weights = {level: 0.4 if level == "phonemes" else 0.0599 for level in levels}
    return MultiLevelCTCConfig(
        level_to_vocab_size=levels,
        level_to_loss_weight=weights,
        hidden_size=192,
        num_hidden_layers=4,
        num_attention_heads=3,
        intermediate_size=768,
        output_hidden_size=192,
        initializer_range=0.06,
        pad_token_id=0,
        final_dropout=0.0,
        layerdrop=0.0,
        conformer_conv_dropout=0.0,
        apply_spec_augment=False,
        mask_time_prob=0.0,
        ctc_loss_reduction="mean",
        ctc_zero_infinity=True,
    )


def train(work: Path, *, steps: int, seed: int = 0, resume: bool = False) -> Path:
    """Train on the training split in ``work``, and print held-out error rates. Returns the file of the weights."""
    torch.manual_seed(seed)
    torch.set_flush_denormal(True)
    corpus, held_out = Corpus.read(work, "train"), Corpus.read(work, "evaluation")
    model = Wav2Vec2BertForMultilevelCTC(build_config()).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=_PEAK_RATE, weight_decay=0.01, betas=(0.9, 0.98))
    file = work / "weights.pt"
    step = epoch = 0
    if resume and file.exists():
        state = torch.load(file, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step, epoch = state["step"], state["epoch"]
    started = time.monotonic()
    while step < steps:
        # An interrupted epoch restarts; its order depends on the seed and the epoch only.
        rng = np.random.default_rng((seed, epoch))
        for indices in corpus.batches(rng):
            for group in optimizer.param_groups:
                group["lr"] = _PEAK_RATE * rate(step, steps)
            join = epoch >= _JOIN_FROM_EPOCH and rng.random() < 0.5
            features, mask, labels = corpus.joined(indices, rng) if join else corpus.batch(indices)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = model(features, attention_mask=mask, labels=labels).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            step += 1
            if step % 50 == 0:
                print(f"step {step} epoch {epoch} loss {loss:.3f} {time.monotonic() - started:.0f} s", flush=True)
            if step % _CHECK_EVERY == 0 or step == steps:
                rates = error_rates(model, held_out)
                shown = " ".join(f"{voice} {levels['phonemes']:.2%}" for voice, levels in rates.items())
                print(f"step {step} held-out phoneme error rates: {shown}", flush=True)
                state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "epoch": epoch}
                torch.save(state, file.with_suffix(".partial"))
                file.with_suffix(".partial").replace(file)
            if step == steps:
                break
        epoch += 1
    return file


def rate(step: int, steps: int) -> float:
    """Fraction of the peak learning rate at a step: linear warm-up, then cosine decay to zero."""
    if step < _WARM_UP:
        return (step + 1) / _WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (step - _WARM_UP) / max(1, steps - _WARM_UP)))
