"""A toy family: samples in, a convolution, two feed-forward blocks, one head. CONTRIBUTING.md walks through it."""

from __future__ import annotations

from .architecture import ARCHITECTURE

__all__ = ["ARCHITECTURE"]
