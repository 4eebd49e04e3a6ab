"""A node's process: signals at any time, and limits."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path

from harness import Cluster, wait_for

MIB = 1 << 20


def TestClusterHangupAtTheStart(empty_cluster: Cluster, tmp_path: Path) -> None:
    """SIGHUP asks for the certificates to be read again; it must not end a node that is still recovering its log."""
    library, told, busy = tmp_path / "slow_disk.so", tmp_path / "told", tmp_path / "busy"
    source = Path(__file__).with_name("slow_disk.c")
    subprocess.run(["cc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    node = empty_cluster["n1"]
    node.environment.update(LD_PRELOAD=str(library), SLOW_DISK_MS="400", SLOW_DISK_WHILE=str(busy), SLOW_DISK_TOLD=str(told))
    busy.touch()
    node.start()
    wait_for(told.exists, "the log is being made")
    node.signal(signal.SIGHUP)
    busy.unlink()
    wait_for(lambda: "batond is up" in node.log(), "the node is up")
    empty_cluster.start("n2", "n3")
    empty_cluster.leader()


def TestClusterClientsLeaveTheLogItsFiles(empty_cluster: Cluster) -> None:
    """More clients than the node may open files: it refuses some, and can still open the log's next segments."""
    for node in empty_cluster.nodes.values():
        node._command[3:3] = ["prlimit", "--nofile=64:64"]
    empty_cluster.start()
    leader = empty_cluster.lead_by("n1")
    assert "few open files are allowed" in leader.log()
    with ExitStack() as held:
        for _ in range(100):
            idle = held.enter_context(socket.socket())
            idle.connect((leader.place.host, 7400))
        wait_for(lambda: "too many connections" in leader.log(), "clients are refused")
        assert leader.get("/livez")[0] == 200
        assert "\nprocess_max_fds 64\n" in leader.get("/metrics")[2]
        value = os.urandom(MIB - 1000)
        for number in range(70):  # a segment, and some
            leader.call("Put", timeout=10, key=b"%d" % number, value=value)
        segments = list((leader.data / "wal").glob("*.jsonl"))
        assert len(segments) > 1
    empty_cluster.leader()
