"""What a training makes small: CTC against labels, and the divergence from the fp32 model's posteriors."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .data import Batch

Logits = Mapping[str, Tensor]
"""Level to (B, T, V)."""


def ctc(logits: Logits, batch: Batch, blank: int, weights: Mapping[str, float]) -> Tensor:
    """Weighted sum over labelled levels of CTC losses (Graves et al. 2006), each the mean over clips of nats a label.

    Clips too short for their labels count for nothing.
    """
    losses = []
    for level in batch.ids[0]:
        labels = [torch.tensor(ids[level], dtype=torch.long) for ids in batch.ids]
        losses.append(
            weights[level]
            * nn.functional.ctc_loss(
                logits[level].float().log_softmax(-1).transpose(0, 1),
                torch.cat(labels).to(logits[level].device),
                batch.lengths,
                torch.tensor([len(label) for label in labels]),
                blank=blank,
                zero_infinity=True,
            )
        )
    return torch.stack(losses).sum()


def distillation(
    logits: Logits, teacher: Logits, valid: Tensor, weights: Mapping[str, float], temperature: float
) -> Tensor:
    """Weighted sum over levels of KL(teacher ‖ student) in nats, the mean over frames that are ``valid`` (B, T) bool.

    Both posteriors are softened by ``temperature``, and its square makes up for the smaller gradients (Hinton et al.
    2015, arXiv:1503.02531).
    """
    losses = []
    for level, weight in weights.items():
        expected = (teacher[level][valid].float() / temperature).log_softmax(-1)
        found = (logits[level][valid].float() / temperature).log_softmax(-1)
        divergence = nn.functional.kl_div(found, expected, log_target=True, reduction="sum") / len(expected)
        losses.append(weight * temperature**2 * divergence)
    return torch.stack(losses).sum()
