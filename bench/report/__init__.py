"""A report in the terminal, as an HTML page, and as JSON and CSV."""

from __future__ import annotations

from .files import write_report
from .terminal import print_report

__all__ = ["print_report", "write_report"]
