"""Errors of a comparison."""

from __future__ import annotations

from ...errors import QasrError


class PeersError(QasrError):
    """A comparison that cannot be run."""


class CandidateError(QasrError):
    """A candidate that could not be built, crashed, or returned wrong output: a failed row without times."""
