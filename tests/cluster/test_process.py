"""What surrounds a node's process: signals at any moment."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from harness import Cluster, wait_for


def TestClusterHangupAtTheStart(empty_cluster: Cluster, tmp_path: Path) -> None:
    """SIGHUP asks for the certificates to be read again; while a node is still at its log it is no reason to end."""
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
