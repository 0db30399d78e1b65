"""What can go wrong in a comparison."""

from __future__ import annotations

from ...errors import QasrError


class PeersError(QasrError):
    """A comparison that cannot be made."""


class CandidateError(QasrError):
    """A candidate that could not be built, crashed, or gave something else than logits: a failed row, never a time."""
