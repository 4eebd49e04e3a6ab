"""The programs that a run needs besides those of `make`: the load and the judge in Go, built into build/chaos from copies, so
that nothing generated is in the tree; and batond and batonctl of the next version, for upgrades."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import harness

ROOT = harness.ROOT
HERE = Path(__file__).resolve().parent
OUT = harness.BUILD / "chaos"
LOAD, JUDGE = OUT / "chaosload", OUT / "judge"
SECONDS = 1200


def run(directory: Path, *command: str) -> None:
    environment = {**os.environ, "GOFLAGS": "-buildvcs=false", "PATH": f"{harness.BUILD / 'tools'}:{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=SECONDS)  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-4000:]}")


def build_next() -> Path:
    """A batond that reads one level more; its batonctl is beside it."""
    directory = OUT / "next"
    if not (directory / "build.ninja").exists():
        run(ROOT, "meson", "setup", "-Dc_args=-DBATON_LEVELS_AHEAD=1", str(directory), str(ROOT))
    run(ROOT, "nice", "ninja", "-C", str(directory), "-j", "2", "src/cmd/batond", "src/cmd/batonctl")
    return directory / "src/cmd/batond"


def build() -> None:
    run(ROOT, "deploy/tools", "protoc-gen-go", "protoc-gen-go-grpc")
    sources = OUT / "source" / "tests" / "chaos"
    shutil.rmtree(sources.parents[1], ignore_errors=True)
    for name, program in (("load", LOAD), ("judge", JUDGE)):
        shutil.copytree(HERE / name, sources / name, ignore=shutil.ignore_patterns("gen"))
        if name == "load":
            (sources.parents[1] / "proto").symlink_to(ROOT / "proto")
            run(sources / name, "go", "generate")
        run(sources / name, "nice", "go", "build", "-p", "2", "-o", str(program))
