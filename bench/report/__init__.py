"""A report for people: in the terminal, as a page, and as files."""

from __future__ import annotations

from .files import write_report
from .terminal import print_report

__all__ = ["print_report", "write_report"]
