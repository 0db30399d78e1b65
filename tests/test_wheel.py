"""The wheel contains every package and its data, and building it leaves nothing in the checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOT_PACKAGED = ("tests/", "tools/", "docker/", "docs/", "setup.py")


def git(*arguments, folder):
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def tracked(pattern="."):
    """Files of the checkout that belong to the repository, also those that are not committed yet."""
    listed = git("ls-files", "--cached", "--others", "--exclude-standard", "--", pattern, folder=ROOT).splitlines()
    return [name for name in dict.fromkeys(listed) if (ROOT / name).is_file() and not (ROOT / name).is_symlink()]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A copy of the repository's files, committed."""
    folder = tmp_path_factory.mktemp("checkout") / "qasr"
    for name in tracked():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    git("init", "-q", folder=folder)
    git("add", "-A", folder=folder)
    git("-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "-q", "-m", "all", folder=folder)
    return folder


@pytest.fixture(scope="module")
def wheel(checkout, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(checkout)]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = folder.glob("qasr-*.whl")
    return built


def test_wheel_holds_every_package_and_the_data(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {f"qasr/{name}" for name in tracked("*.py") if not name.startswith(NOT_PACKAGED)}
    assert {name for name in names if name.endswith(".py")} == expected
    assert {"qasr/py.typed", "qasr/reference/README.md"} <= names
    assert {"qasr/bench/report/assets/page.css", "qasr/bench/report/assets/page.js"} <= names
    for name in ("checkpoint/model.safetensors", "checkpoint/vocab.json", "evaluation/manifest.jsonl"):
        assert f"qasr/reference/{name}" in names
    assert sum(name.endswith(".flac") for name in names) == 160 + 64
    (metadata,) = {name.split("/")[0] for name in names if ".dist-info/" in name}
    assert {name.split("/")[0] for name in names} == {"qasr", metadata}


def test_a_build_leaves_nothing_in_the_checkout(checkout, wheel):
    """Not even ignored files: a second copy of the package confuses editors, type checkers and searches."""
    assert git("status", "--porcelain", "--ignored", folder=checkout) == ""


def test_every_folder_with_modules_is_a_package():
    """A folder without ``__init__.py`` would be missing from the wheel."""
    folders = {Path(name).parent for name in tracked("*.py") if not name.startswith(NOT_PACKAGED)}
    assert [str(folder) for folder in sorted(folders) if not (ROOT / folder / "__init__.py").is_file()] == []
