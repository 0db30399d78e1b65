"""What can go wrong between a quantized model and its artifact."""

from __future__ import annotations

from ..errors import QasrError


class ExportError(QasrError):
    """An export that failed; nothing is left behind."""


class ParityError(ExportError):
    """The artifact as built does not compute what the torch model computes."""


class UnknownTargetError(ExportError, ValueError):
    """No target, or no method of a target, by that name."""
