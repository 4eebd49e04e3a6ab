"""The package as it is shipped: types, generated code, and what pip makes of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import baton_worker
import pytest
from google.protobuf.internal import api_implementation

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
    generated = sorted(path.name for path in (tmp_path / "baton_worker/_proto").iterdir())
    assert generated == ["worker_pb2.py", "worker_pb2.pyi", "worker_pb2_grpc.py"]
    for name in generated:
        committed = (PACKAGE / "baton_worker/_proto" / name).read_text()
        fresh = (tmp_path / "baton_worker/_proto" / name).read_text()
        assert committed == fresh, f"{name} is not what proto/baton/v1/worker.proto gives: run worker/tools/generate"


@pytest.mark.parametrize("implementation", sorted({"python", api_implementation.Type()}))
@pytest.mark.parametrize("order", ["ours, theirs", "theirs, ours"])
def TestWorkerStubsBesideAnother(tmp_path: Path, implementation: str, order: str) -> None:
    """A program with its own stubs of baton.v1, from a later version of the files: both work in either order of import."""
    if not shutil.which("protoc"):
        pytest.skip("protoc is not installed")
    shutil.copytree(PACKAGE.parent / "proto", tmp_path / "proto")
    worker = tmp_path / "proto/baton/v1/worker.proto"
    worker.write_text(worker.read_text().replace("message Redirect {", "message Redirect {\n  string later = 99;", 1))
    files = [worker.with_name(f"{name}.proto") for name in ("options", "raft", "worker", "control")]
    run("protoc", f"-I{tmp_path / 'proto'}", f"--python_out={tmp_path}", *files)
    imports = {"ours": "import baton_worker._proto.worker_pb2_grpc", "theirs": "import baton.v1.control_pb2, baton.v1.worker_pb2"}
    program = f"""
{imports[order.split(", ")[0]]}
{imports[order.split(", ")[1]]}
ours, theirs = baton_worker._proto.worker_pb2, baton.v1.worker_pb2
theirs = theirs.RegisterWorkerResponse(epoch=3, redirect=theirs.Redirect(leader_id="n1", later="x"))
print(ours.RegisterWorkerResponse.FromString(theirs.SerializeToString()).redirect.leader_id)
"""
    path = os.pathsep.join((str(PACKAGE), str(tmp_path)))
    said = run(sys.executable, "-c", program, PYTHONPATH=path, PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=implementation)
    assert said == "n1\n"


def TestWorkerPipInstall(tmp_path: Path) -> None:
    source = tmp_path / "source"  # pip builds inside the source folder
    shutil.copytree(PACKAGE, source, ignore=shutil.ignore_patterns("tests", "build", "*.egg-info", "__pycache__"))
    run(sys.executable, "-m", "venv", "--system-site-packages", tmp_path / "venv")
    python = tmp_path / "venv/bin/python"
    run(python, "-m", "pip", "install", "--quiet", "--no-index", "--no-build-isolation", "--no-deps", source)
    script = tmp_path / "venv/bin/baton-worker"
    assert "--endpoints" in run(script, "--help", PYTHONPATH="") and baton_worker.__version__ in run(script, "--version", PYTHONPATH="")
    where = run(python, "-I", "-c", "import baton_worker; print(baton_worker.__file__)")
    assert where.startswith(str(tmp_path / "venv"))
    installed = Path(where.strip()).parent
    assert (installed / "py.typed").exists() and (installed / "_proto/worker_pb2.pyi").exists()
    assert not (installed.parent / "baton").exists()  # no name of anybody else's
