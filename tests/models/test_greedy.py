"""Greedy decoding on torch tensors."""

from __future__ import annotations

import pytest
import torch

from qasr.models.greedy import greedy


@pytest.mark.parametrize(("blank", "expected"), [(0, [[1, 1, 2], [2]]), (2, [[1, 0, 1, 0], [0]])])
def test_greedy(blank, expected):
    """Repeats are merged, blanks left out, padding does not count."""
    logits = torch.nn.functional.one_hot(torch.tensor([[1, 1, 0, 1, 2, 2, 0], [0, 2, 2, 2, 1, 1, 1]]), 3).float()
    assert greedy(logits, torch.tensor([7, 4]), blank) == expected
