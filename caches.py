"""Where qasr keeps what it can compute again."""

from __future__ import annotations

from pathlib import Path

import platformdirs


def cache_folder(name: str | None = None) -> Path:
    """The user's cache folder of qasr, or the folder ``name`` in it; neither is created.

    Follows the system's conventions: ``$XDG_CACHE_HOME/qasr`` or ``~/.cache/qasr`` on Linux.
    """
    folder = Path(platformdirs.user_cache_dir("qasr", appauthor=False))
    return folder if name is None else folder / name
