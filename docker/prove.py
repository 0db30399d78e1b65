"""Run an image's steps without Docker: ``python docker/prove.py cpu``, for any service of compose.yaml.

The RUN lines that fill /opt/qasr are run as they stand, in a copy of the build context, with /opt/qasr under a folder
of its own; then the health check; then, with ``--artifacts``, the entry point of a bench image, or with arguments after
``--`` that of any other. What this cannot show is the base image and the isolation of the container.
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
RUN_HALF_HAS_NO = ("torch", "transformers", "onnx", "onnxscript", "pip", "setuptools")


@dataclass(frozen=True)
class Stage:
    """A stage of the Dockerfile: what it stands on, and its instructions."""

    parent: str
    instructions: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Service:
    """An image of compose.yaml."""

    target: str
    arguments: Mapping[str, str]


def services() -> dict[str, Service]:
    """Every service by its name."""
    listed = yaml.safe_load((HERE / "compose.yaml").read_text(encoding="utf-8"))["services"]
    return {name: Service(one["build"]["target"], one["build"]["args"]) for name, one in listed.items()}


def stages() -> dict[str, Stage]:
    """Every stage of the Dockerfile by its name."""
    found: dict[str, Stage] = {}
    current: Stage | None = None
    for keyword, value in _instructions((HERE / "Dockerfile").read_text(encoding="utf-8")):
        if keyword == "FROM":
            parent, _, name = value.partition(" AS ")
            current = found[name] = Stage(parent)
        elif current is not None:  # before the first stage stand arguments of FROM
            current.instructions.append((keyword, value))
    return found


def chain(target: str) -> list[tuple[str, str]]:
    """The instructions of a stage after those of the stages that it stands on."""
    stage = stages().get(target)
    return [] if stage is None else [*chain(stage.parent), *stage.instructions]


def last(target: str, keyword: str) -> str:
    """The instruction of a kind that holds in ``target``: the last one."""
    return [value for one, value in chain(target) if one == keyword][-1]


def build(service: Service, root: Path) -> Path:
    """Run the steps that fill /opt/qasr into ``root``; the folder that stands for it."""
    (source,) = (
        value.split()[0].partition("=")[2]
        for keyword, value in stages()[service.target].instructions
        if keyword == "COPY" and PREFIX in value
    )
    context = root / "source"
    _copy_context(context)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    for keyword, value in chain(source):
        if keyword == "ARG":
            name, _, default = value.partition("=")
            given = service.arguments.get(name, default)
            if given:
                environment[name] = given
        elif keyword == "RUN":
            command = value.replace(PREFIX, f"{root}{PREFIX}")
            subprocess.run(["bash", "-euc", command], cwd=context, env=environment, check=True)
    return Path(f"{root}{PREFIX}")


def megabytes(folder: Path) -> float:
    """Disk space of all files below ``folder``, in units of 10^6 bytes."""
    files = (path.lstat() for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
    return sum(status.st_blocks * 512 for status in files) / 1e6


def entry_point(target: str, mounts: Mapping[str, Path]) -> list[str]:
    """The command of the image's ENTRYPOINT, with folders of this machine in the place of those that it mounts."""
    words: list[str] = json.loads(last(target, "ENTRYPOINT"))
    for mounted, folder in mounts.items():
        words = [re.sub(rf"(?<![\w/]){mounted}\b", str(folder.resolve()), word) for word in words]
    return words


def modules(environment: Path) -> set[str]:
    """Top-level modules and packages installed there."""
    (packages,) = environment.glob("lib/python3*/site-packages")
    return {path.name.partition(".")[0] for path in packages.iterdir() if not path.name.endswith(".dist-info")}


def run(environment: Path, command: list[str], home: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """A command as the image runs it: its environment's programs, and nothing of this machine's but variables given."""
    variables = {"PATH": f"{environment}/bin:/usr/bin:/bin", "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    variables |= more
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
    """Those before ``--`` and those behind it, which would follow the image's name."""
    place = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:place], arguments[place + 1 :]


def _copy_context(target: Path) -> None:
    """What .dockerignore lets in: it shuts everything out, then names what may enter."""
    rules = (SOURCE / ".dockerignore").read_text(encoding="utf-8").splitlines()
    target.mkdir(parents=True)
    for name in (rule[1:] for rule in rules if rule.startswith("!")):
        path = SOURCE / name
        if not path.exists():  # Docker says nothing of it either
            continue
        if path.is_dir():
            shutil.copytree(path, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(path, target / name)


def main() -> None:
    """Prove the service named, and print what its environment takes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("service", choices=services())
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE", help="as docker build's")
    parser.add_argument("--artifacts", type=Path, help="in the place of /artifacts")
    parser.add_argument("--report", type=Path, help="in the place of /report")
    own, arguments = _split(sys.argv[1:])
    given = parser.parse_args(own)
    service = services()[given.service]
    changed = dict(one.split("=", 1) for one in given.build_arg)
    service = Service(service.target, {**service.arguments, **changed})
    with tempfile.TemporaryDirectory(prefix="qasr-image-") as scratch:
        root = Path(scratch)
        environment = build(service, root)
        done = run(environment, health_check(service.target), root)
        if done.returncode != 0:
            raise SystemExit(f"the health check failed: {done.stderr.strip()}")
        if service.target == "run":
            surplus = sorted(modules(environment) & set(RUN_HALF_HAS_NO))
            if surplus:
                raise SystemExit(f"the image holds {', '.join(surplus)}, which it does not need")
        said = f"{megabytes(environment):.0f} MB, health check: {done.stdout.strip()}"
        sys.stdout.write(f"{given.service} [{service.arguments['EXTRAS']}]: {said}\n")
        mounts = {"/artifacts": given.artifacts, "/report": given.report}
        mounts = {mounted: folder for mounted, folder in mounts.items() if folder is not None}
        if mounts or arguments:
            done = run(environment, [*entry_point(service.target, mounts), *arguments], root)
            sys.stdout.write(done.stdout)
            sys.stderr.write(done.stderr)
            raise SystemExit(done.returncode)


if __name__ == "__main__":
    main()
