"""Losses of training: CTC against labels, and the divergence from the fp32 model's posteriors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

Logits = Mapping[str, Tensor]
"""(B, T, V) by level."""


def ctc(
    logits: Logits,
    lengths: Tensor,
    ids: Sequence[Mapping[str, Sequence[int]]],
    blank: int,
    weights: Mapping[str, float],
) -> Tensor:
    """Weighted sum over labelled levels of CTC losses (Graves et al. 2006), each the mean over clips of nats per label.

    ``lengths`` (B,): frames of logits; ``ids``: labels of each clip by level. Clips too short for their labels have no
    loss.
    """
    losses = []
    for level in ids[0]:
        labels = [torch.tensor(one[level], dtype=torch.long) for one in ids]
        losses.append(
            weights[level]
            * nn.functional.ctc_loss(
                logits[level].float().log_softmax(-1).transpose(0, 1),
                torch.cat(labels).to(logits[level].device),
                lengths,
                torch.tensor([len(label) for label in labels]),
                blank=blank,
                zero_infinity=True,
            )
        )
    return torch.stack(losses).sum()


def distillation(
    logits: Logits, teacher: Logits, valid: Tensor, weights: Mapping[str, float], temperature: float
) -> Tensor:
    """Weighted sum over levels of KL(teacher ‖ student) in nats, each the mean over ``valid`` (B, T) bool frames.

    Both posteriors are softened by ``temperature``; its square compensates the smaller gradients (Hinton et al. 2015,
    arXiv:1503.02531).
    """
    losses = []
    for level, weight in weights.items():
        expected = (teacher[level][valid].float() / temperature).log_softmax(-1)
        student = (logits[level][valid].float() / temperature).log_softmax(-1)
        divergence = nn.functional.kl_div(student, expected, log_target=True, reduction="sum") / len(expected)
        losses.append(weight * temperature**2 * divergence)
    return torch.stack(losses).sum()
