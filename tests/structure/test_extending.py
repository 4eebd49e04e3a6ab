"""docs/extending.md: its example of a new call, applied to a copy of the source, builds and answers."""

import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import time
import urllib.request

import grpc
import pytest
from test_structure import ROOT, tracked

PAGE = ROOT / "docs/extending.md"


def section(title):
    return re.search(rf"^## {title}$(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)[1]


def patch():
    return re.search(r"^```diff\n(.*?)^```$", section("A new call"), re.MULTILINE | re.DOTALL)[1]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def run(command, directory, **options):
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout[-6000:]}{done.stderr[-6000:]}"


def test_the_example_touches_what_its_table_lists():
    listed = set(re.findall(r"^\| `([^`]+)` \|", section("A new call").split("```diff")[0], re.MULTILINE))
    assert set(re.findall(r"^\+\+\+ b/(\S+)$", patch(), re.MULTILINE)) == listed


def test_listed_files_exist():
    """But for those of the examples."""
    missing = []
    for title in ("A new command", "A new field", "A new flag", "A new metric"):
        for row in re.findall(r"^\| (`.*?) \|", section(title), re.MULTILINE):
            for path in re.findall(r"`([^`]+)`", row):
                folders = [ROOT, ROOT / "worker/baton_worker", ROOT / "worker/baton_worker/_proto"]
                if path != "src/verbs/txn.c" and not any((folder / path).exists() for folder in folders):
                    missing.append(f"{title}: {path}")
    assert not missing, missing


@pytest.fixture(scope="module")
def batond(tmp_path_factory):
    """A batond that knows Echo."""
    copy = tmp_path_factory.mktemp("echo")
    for path in tracked("proto", "src", "tests", "deploy", "VERSION", "meson*"):
        target = copy / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    run(["patch", "-p1", "--fuzz=0", "--no-backup-if-mismatch"], copy, input=patch())
    run(["meson", "setup", "build", "--buildtype=plain", "-Dwerror=true"], copy)
    tests = ["node-calls", "wire-codec", "wire-messages"]  # of what all calls and messages have in common
    run(["ninja", "-C", "build", "src/cmd/batond", *(f"tests/unit/test-{name}" for name in tests)], copy)
    for name in tests:
        run([copy / f"build/tests/unit/test-{name}"], copy / "build/tests/unit")
    return copy / "build/src/cmd/batond"


@pytest.fixture
def node(batond, tmp_path):
    """A cluster of one, leading."""
    listen, http = (f"127.0.0.1:{free_port()}" for _ in range(2))
    command = [batond, "--node-id", "n1", "--cluster-id", "echo", "--cloud", "gcp", "--data-dir", tmp_path / "n1", "--listen",
               listen, "--http", http, "--peers", f"n1={listen}/gcp", "--bootstrap"]  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BATON_")}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        role = None
        while role != "leader":
            assert process.poll() is None and time.monotonic() < deadline, f"role {role}, status {process.poll()}"
            try:
                with urllib.request.urlopen(f"http://{http}/status", timeout=5) as response:
                    role = json.load(response)["role"]
            except OSError as error:
                role = str(error)
                time.sleep(0.05)  # between two questions
        yield listen
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_extending_echo(node):
    """The messages are written out, so that the test needs no stubs of the copy: field 1 is the text, field 2 the node."""
    with grpc.insecure_channel(node) as channel:
        echo = channel.unary_unary("/baton.v1.ControlService/Echo")
        assert echo(b"\x0a\x05hello", timeout=30) == b"\x0a\x05hello\x12\x02n1"
        with pytest.raises(grpc.RpcError) as refused:
            echo(b"", timeout=30)
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert refused.value.details() == "text: is empty; 1 to 64 bytes are allowed"
