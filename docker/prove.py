"""Test an image without Docker: ``python docker/prove.py cpu``, for any service of compose.yaml.

The RUN instructions that fill /opt/qasr run unchanged in a copy of the build context, with a temporary folder in the
place of /opt/qasr. Then the health check runs and, with ``--artifacts`` or arguments after ``--``, the entry point. The
base image and the isolation of the container are not tested.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

HERE = Path(__file__).parent
SOURCE = HERE.parent
PREFIX = "/opt/qasr"
NOT_IN_RUN_IMAGES = ("torch", "transformers", "onnx", "onnxscript", "pip", "setuptools")


@dataclass(frozen=True)
class Stage:
    """A stage of the Dockerfile: its parent, and its instructions as (keyword, value)."""

    parent: str
    instructions: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Service:
    """A service of compose.yaml: the target of its build, and the build arguments."""

    target: str
    arguments: Mapping[str, str]


def services() -> dict[str, Service]:
    """All services by name."""
    entries = yaml.safe_load((HERE / "compose.yaml").read_text(encoding="utf-8"))["services"]
    return {name: Service(entry["build"]["target"], entry["build"]["args"]) for name, entry in entries.items()}


def stages() -> dict[str, Stage]:
    """All stages of the Dockerfile by name."""
    result: dict[str, Stage] = {}
    current: Stage | None = None
    for keyword, value in _instructions((HERE / "Dockerfile").read_text(encoding="utf-8")):
        if keyword == "FROM":
            parent, _, name = value.partition(" AS ")
            current = result[name] = Stage(parent)
        elif current is not None:  # before the first stage there are only arguments of FROM
            current.instructions.append((keyword, value))
    return result


def chain(target: str) -> list[tuple[str, str]]:
    """The instructions of a stage, after those of its parent stages."""
    stage = stages().get(target)
    return [] if stage is None else [*chain(stage.parent), *stage.instructions]


def last(target: str, keyword: str) -> str:
    """The value of the last instruction ``keyword`` of ``target``, which is the one in effect."""
    return [value for name, value in chain(target) if name == keyword][-1]


def build(service: Service, root: Path) -> Path:
    """Run the steps that fill /opt/qasr, below ``root``. Returns the folder in the place of /opt/qasr."""
    (source,) = (
        value.split()[0].partition("=")[2]
        for keyword, value in stages()[service.target].instructions
        if keyword == "COPY" and PREFIX in value
    )
    context = root / "source"
    copy_context(context)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    for keyword, value in chain(source):
        if keyword == "ARG":
            name, _, default = value.partition("=")
            argument = service.arguments.get(name, default)
            if argument:
                environment[name] = argument
        elif keyword == "RUN":
            command = value.replace(PREFIX, f"{root}{PREFIX}")
            subprocess.run(["bash", "-euc", command], cwd=context, env=environment, check=True)
    return Path(f"{root}{PREFIX}")


def megabytes(folder: Path) -> float:
    """Disk space of all files below ``folder``, in MB (10^6 bytes)."""
    files = (path.lstat() for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
    return sum(status.st_blocks * 512 for status in files) / 1e6


def entry_point(target: str, mounts: Mapping[str, Path]) -> list[str]:
    """The command of the image's ENTRYPOINT, with mounted folders replaced by folders of this machine."""
    words: list[str] = json.loads(last(target, "ENTRYPOINT"))
    for mounted, folder in mounts.items():
        words = [re.sub(rf"(?<![\w/]){mounted}\b", str(folder.resolve()), word) for word in words]
    return words


def modules(environment: Path) -> set[str]:
    """Top-level modules and packages installed in ``environment``."""
    (packages,) = environment.glob("lib/python3*/site-packages")
    return {path.name.partition(".")[0] for path in packages.iterdir() if not path.name.endswith(".dist-info")}


def run(environment: Path, command: list[str], home: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run a command as the image does: with its programs, and without this machine's environment variables."""
    variables = {"PATH": f"{environment}/bin:/usr/bin:/bin", "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    variables |= extra
    return subprocess.run(command, cwd=home, env=variables, capture_output=True, text=True, check=False)


def health_check(target: str) -> list[str]:
    """The command of the image's HEALTHCHECK."""
    command: list[str] = json.loads(last(target, "HEALTHCHECK").partition("CMD ")[2])
    return command


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines():
        keyword, _, value = line.partition(" ")
        yield keyword, value.strip()


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The arguments before ``--``, and those after it, which docker would pass to the image."""
    index = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:index], arguments[index + 1 :]


def copy_context(target: Path) -> None:
    """Copy the build context: .dockerignore excludes everything, then lists the exceptions after ``!``."""
    rules = (SOURCE / ".dockerignore").read_text(encoding="utf-8").splitlines()
    target.mkdir(parents=True)
    for path in (path for rule in rules if rule.startswith("!") for path in SOURCE.glob(rule[1:])):
        if path.is_dir():
            shutil.copytree(path, target / path.name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(path, target / path.name)


def main() -> None:
    """Test a service, and print the size of its environment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("service", choices=services())
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE", help="as for docker build")
    parser.add_argument("--artifacts", type=Path, help="folder to use as /artifacts")
    parser.add_argument("--report", type=Path, help="folder to use as /report")
    own, arguments = _split(sys.argv[1:])
    options = parser.parse_args(own)
    service = services()[options.service]
    changed = dict(argument.split("=", 1) for argument in options.build_arg)
    service = Service(service.target, {**service.arguments, **changed})
    with tempfile.TemporaryDirectory(prefix="qasr-image-") as scratch:
        root = Path(scratch)
        environment = build(service, root)
        # The health check of a server needs one that runs.
        check = ["qserve", "--version"] if service.target == "serve" else health_check(service.target)
        result = run(environment, check, root)
        if result.returncode != 0:
            raise SystemExit(f"the health check failed: {result.stderr.strip()}")
        if service.target in ("run", "serve"):
            surplus = sorted(modules(environment) & set(NOT_IN_RUN_IMAGES))
            if surplus:
                raise SystemExit(f"the image contains {', '.join(surplus)}, which it does not need")
        summary = f"{megabytes(environment):.0f} MB, health check: {result.stdout.strip()}"
        sys.stdout.write(f"{options.service} [{service.arguments['EXTRAS']}]: {summary}\n")
        mounts = {"/artifacts": options.artifacts, "/report": options.report}
        mounts = {mounted: folder for mounted, folder in mounts.items() if folder is not None}
        if mounts or arguments:
            result = run(environment, [*entry_point(service.target, mounts), *arguments], root)
            sys.stdout.write(result.stdout)
            sys.stderr.write(result.stderr)
            raise SystemExit(result.returncode)


if __name__ == "__main__":
    main()
