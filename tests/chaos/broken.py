"""Builds that are broken on purpose: a patch of broken/ applied to a copy of the tree. Each must be caught, or chaos is worth
nothing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import List

import programs

PATCHES = Path(__file__).with_name("broken")
OUT = programs.OUT / "broken"
COPIED = ("src", "proto", "tests", "VERSION", "meson.build", "meson_options.txt", "deploy", "worker", "docs")


def names() -> List[str]:
    return sorted(patch.stem for patch in PATCHES.glob("*.patch"))


def build(name: str) -> Path:
    """Its batond, with batonctl beside it. The build is made from scratch, but for what ccache knows."""
    directory = OUT / name
    source, made = directory / "source", directory / "build"
    shutil.rmtree(directory, ignore_errors=True)
    source.mkdir(parents=True)
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=programs.ROOT, check=True, capture_output=True).stdout
    for path in filter(None, tracked.decode().split("\0")):
        if path.split("/")[0] in COPIED and (programs.ROOT / path).is_file():
            (source / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(programs.ROOT / path, source / path)
    patch = str(PATCHES / f"{name}.patch")
    programs.run(source, "patch", "-p1", "--fuzz=0", "--no-backup-if-mismatch", "-i", patch)
    programs.run(source, "meson", "setup", str(made), str(source))
    programs.run(source, "nice", "ninja", "-C", str(made), "-j", "2", "src/cmd/batond", "src/cmd/batonctl")
    return made / "src/cmd/batond"
