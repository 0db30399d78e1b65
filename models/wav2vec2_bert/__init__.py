"""Wav2Vec2-BERT, with or without its adapter, with one CTC head or several."""

from __future__ import annotations

from .architecture import ARCHITECTURE

__all__ = ["ARCHITECTURE"]
