"""examples/go, as a client in another language: on stubs that protoc generates here, against three nodes and a worker."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import grpc
import pytest
from harness import ROOT, tool, wait_until
from test_interop_tls import three

sys.path.insert(0, str(ROOT / "worker"))
from baton.v1 import control_pb2 as pb  # noqa: E402
from baton.v1 import control_pb2_grpc  # noqa: E402
from baton_worker import Worker  # noqa: E402


@pytest.fixture(scope="module")
def go_client(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The example, built in a copy: what is generated stays out of the tree."""
    if shutil.which("go") is None:
        pytest.skip("there is no Go to build examples/go with")
    plugins = {os.path.dirname(tool(name)) for name in ("protoc-gen-go", "protoc-gen-go-grpc")}
    directory = tmp_path_factory.mktemp("go")
    example = directory / "examples" / "go"
    shutil.copytree(ROOT / "examples" / "go", example, ignore=shutil.ignore_patterns("gen"))
    (directory / "proto").symlink_to(ROOT / "proto")

    def go(*arguments: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join((*plugins, os.environ["PATH"]))
        return subprocess.run(["go", *arguments], cwd=example, env={**os.environ, "PATH": path, "GOFLAGS": "-buildvcs=false"},
                              capture_output=True, text=True, timeout=300)  # fmt: skip

    fetched = go("mod", "download")
    if fetched.returncode != 0:
        pytest.skip(f"Go's modules for examples/go cannot be fetched: {fetched.stderr.strip()[-200:]}")
    for step in (("generate",), ("vet",), ("build", "-p", "2", "-o", "client")):
        done = go(*step)
        assert done.returncode == 0, f"go {' '.join(step)}: {done.stdout}{done.stderr}"
    return example / "client"


def test_interop_go(go_client: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Put at the leader and at a follower, which names the leader; Watch tells of it, and ListWorkers has the worker."""
    with three(None, tmp_path) as nodes:
        wait_until("a leader", lambda: any(node.leads() for node in nodes.values()))
        leader = next(node for node in nodes.values() if node.leads())
        follower = next(node for node in nodes.values() if node is not leader)
        with Worker("w1", "h:1", "gcp", [follower.listen]) as worker:
            wait_until("w1 is online, as the follower has it",
                       lambda: [one["status"] for one in follower.web("/cluster-state")] == ["online"])
            for node, redirect in ((leader, ""), (follower, f"the leader is at {leader.listen}\n")):
                # Watch begins after what the node asked has applied, and a follower applies what was put a little later.
                wait_until(f"{node.node} has applied what {leader.node} has",
                           lambda: node.web("/status")["last_applied"] >= leader.web("/status")["last_applied"])
                value = f"asked {node.node}"
                done = subprocess.run([go_client, "-key", "k", "-value", value, node.listen], capture_output=True, text=True,
                                      timeout=30)  # fmt: skip
                assert done.returncode == 0, done.stdout + done.stderr
                print(done.stdout)
                revision = re.search("put k at revision ([0-9]+)\n", done.stdout)
                start = re.match("watching k after revision ([0-9]+)\n", done.stdout)
                assert revision is not None and start is not None and int(start[1]) < int(revision[1]), done.stdout
                assert done.stdout == (
                    f"{start[0]}{redirect}put k at revision {revision[1]}\n"
                    f"PUT k = {value} at revision {revision[1]}\n"
                    f"worker w1 in gcp at h:1: online, epoch {worker.epoch}\n"
                )
                with grpc.insecure_channel(leader.listen) as channel:
                    held = control_pb2_grpc.ControlServiceStub(channel).Get(pb.GetRequest(key=b"k"), timeout=10)
                assert (held.value, held.revision) == (value.encode(), int(revision[1]))


def test_interop_go_waits_for_a_leader(go_client: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """A majority is stopped when it asks: it retries, and writes once they are back."""
    with three(None, tmp_path) as nodes:
        wait_until("a leader", lambda: any(node.leads() for node in nodes.values()))
        follower = next(node for node in nodes.values() if not node.leads())
        others = [node for node in nodes.values() if node is not follower]
        for node in others:
            node.process.send_signal(signal.SIGSTOP)
        try:
            wait_until("the follower misses its leader", lambda: not follower.web("/status")["leader"])
            client = subprocess.Popen([go_client, follower.listen], stdout=subprocess.PIPE, text=True)
            assert client.stdout is not None and client.stdout.readline() == "waiting for a leader\n"
        finally:
            for node in others:
                node.process.send_signal(signal.SIGCONT)
        said, _ = client.communicate(timeout=30)
        assert client.returncode == 0 and "PUT greeting = hello at revision" in said, said
