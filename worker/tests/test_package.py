"""The package as it is shipped: types, generated code, and what pip makes of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent


def run(*command: object, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=PACKAGE,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def TestWorkerTypes(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    run(sys.executable, "-m", "mypy", "--cache-dir", tmp_path)


def TestWorkerStubsAreCurrent(tmp_path: Path) -> None:
    if not shutil.which("protoc") or not shutil.which("grpc_python_plugin"):
        pytest.skip("protoc or grpc_python_plugin is not installed")
    if "libprotoc 3.21" not in run("protoc", "--version"):
        pytest.skip("the stubs were made with protoc 3.21, and another one writes them differently")
    run("tools/generate", tmp_path)
    generated = sorted(path.name for path in tmp_path.iterdir())
    assert generated == ["raft_pb2.py", "raft_pb2.pyi", "raft_pb2_grpc.py"]
    for name in generated:
        committed = (PACKAGE / "baton_worker/_proto" / name).read_text()
        assert committed == (tmp_path / name).read_text(), f"{name} is not what proto/raft.proto gives: run worker/tools/generate"


def TestWorkerPipInstall(tmp_path: Path) -> None:
    source = tmp_path / "source"  # pip builds inside the source folder
    shutil.copytree(PACKAGE, source, ignore=shutil.ignore_patterns("tests", "build", "*.egg-info", "__pycache__"))
    run(sys.executable, "-m", "venv", "--system-site-packages", tmp_path / "venv")
    python = tmp_path / "venv/bin/python"
    run(python, "-m", "pip", "install", "--quiet", "--no-index", "--no-build-isolation", "--no-deps", source)
    script = tmp_path / "venv/bin/baton-worker"
    assert "--endpoints" in run(script, "--help", PYTHONPATH="") and "0.1.0" in run(script, "--version", PYTHONPATH="")
    where = run(python, "-I", "-c", "import baton_worker; print(baton_worker.__file__)")
    assert where.startswith(str(tmp_path / "venv"))
    installed = Path(where.strip()).parent
    assert (installed / "py.typed").exists() and (installed / "_proto/raft_pb2.pyi").exists()
