"""Folders of what can be computed again."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from qasr.caches import cache_folder


@pytest.mark.skipif(sys.platform != "linux", reason="conventions of Linux")
def test_folders(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "qasr"
    assert cache_folder("mixed") == tmp_path / "qasr" / "mixed"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == Path(tmp_path / "home" / ".cache" / "qasr")
    assert list(tmp_path.iterdir()) == []
