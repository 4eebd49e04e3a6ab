"""Builds what an upgrade leads through: batond 0.1.0 from the repository's own history, and one of a version to come."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "build/upgrade"
COMMIT_010 = "063c5eb"  # the release
SECONDS = 600


class Versions(NamedTuple):
    old: Path  # 0.1.0
    this: Path
    next: Path  # this one, which reads one level more


def _run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=SECONDS)  # fmt: skip
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-4000:]}"


def _compile(source: Path, build: Path, *options: str) -> Path:
    if not (build / "build.ninja").exists():
        _run("meson", "setup", *options, str(build), str(source))
    _run("nice", "ninja", "-C", str(build), "src/cmd/batond")
    return build / "src/cmd/batond"


def _build_old() -> Path:
    """Once: the commit never changes."""
    kept = OUT / "batond-0.1.0"
    if kept.exists():
        return kept
    found = subprocess.run(["git", "cat-file", "-e", f"{COMMIT_010}^{{commit}}"], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, (
        f"commit {COMMIT_010}, version 0.1.0, is not in this clone: {found.stderr.strip()}\n"
        "these tests build it from the repository's history: git fetch --unshallow"
    )
    source = OUT / "source-0.1.0"
    source.mkdir(parents=True, exist_ok=True)
    _run("sh", "-c", f"git archive {COMMIT_010} | tar -x -C '{source}'")
    os.replace(_compile(source, OUT / "0.1.0"), kept)
    return kept


def build() -> Versions:
    this = Path(os.environ.get("BATON_BUILD", ROOT / "build")) / "batond"
    following = _compile(ROOT, OUT / "next", "-Dc_args=-DBATON_LEVELS_AHEAD=1")
    return Versions(old=_build_old(), this=this, next=following)
