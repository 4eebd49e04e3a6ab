"""The tasks of docs/tasks.md, each done by the command that stands there, word for word."""

from __future__ import annotations

import os
import re
import select
import subprocess
from pathlib import Path
from typing import Dict

import pytest
from harness import BUILD, DEADLINE, SANITIZERS, Cluster, Node, wait_for
from test_members import new_node

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "tasks.md").read_text()
COMMANDS: Dict[str, str] = {}  # by task
for _row in re.findall(r"^\| ([a-z].*?) \| `(.*?)` \|", PAGE, re.M):
    if _row[0] != "task":
        COMMANDS[_row[0]] = _row[1]


class Refused(Exception):
    """A command that failed, and what it said."""


class Desk:
    """Where an operator works: a directory, the programs, the addresses of the nodes."""

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("BATON_")}
        endpoints = ",".join(node.address for node in cluster.nodes.values())
        self.environment = {**clean, **SANITIZERS, "BATON_ENDPOINTS": endpoints, "PATH": f"{BUILD}:{os.environ['PATH']}"}
        self.cluster, self.directory = cluster, directory

    def start(self, task: str) -> "subprocess.Popen[str]":
        command = ["bash", "-c", "exec " + COMMANDS[task]]
        return subprocess.Popen(command, env=self.environment, cwd=self.directory, stdout=subprocess.PIPE, text=True)

    def do(self, task: str, config: str = "n1.conf") -> str:
        """With another node's configuration, if one is named."""
        command = ["bash", "-c", COMMANDS[task].replace("n1.conf", config)]
        done = subprocess.run(
            command, env=self.environment, cwd=self.directory, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=4 * DEADLINE,
        )  # fmt: skip
        if done.returncode != 0:
            raise Refused(done.stderr)
        return done.stdout

    def configure(self, node: Node, *without: str) -> None:
        """NAME.conf, with the node's flags."""
        words = node._command[4:]
        lines = []
        for i, word in enumerate(words):
            if word.startswith("--") and word not in without:
                value = words[i + 1] if i + 1 < len(words) and not words[i + 1].startswith("--") else "true"
                lines.append(f"BATON_{word[2:].upper().replace('-', '_')}={value}\n")
        (self.directory / f"{node.name}.conf").write_text("".join(lines))


@pytest.fixture
def desk(cluster: Cluster, tmp_path: Path) -> Desk:
    return Desk(cluster, tmp_path)


def TestTaskKeys(desk: Desk) -> None:
    assert "revision" in desk.do("write a key")
    assert desk.do("read a key") == "todo"
    assert "jobs/1" in desk.do("list keys")
    desk.do("take a lock")
    with pytest.raises(Refused, match="nothing was written"):
        desk.do("take a lock")  # it is taken
    watch = desk.start("follow changes")
    past = desk.start("follow them from a revision on")
    assert past.stdout is not None and "jobs/1" in past.stdout.readline()
    assert "revision" in desk.do("delete a key")
    assert "jobs/1" in past.stdout.readline()
    with watch:
        watch.terminate()
    with past:
        past.terminate()
    assert "jobs/1" not in desk.do("list keys")


def TestTaskFollow(desk: Desk) -> None:
    with desk.start("follow changes") as watch:
        assert watch.stdout is not None
        output = watch.stdout.fileno()

        def seen() -> bool:
            desk.do("write a key")  # until the watch has begun
            return bool(select.select([output], [], [], 0.1)[0])

        wait_for(seen, "the watch sees a write")
        assert b"jobs/1" in os.read(output, 65536)
        watch.terminate()


def TestTaskSee(desk: Desk) -> None:
    leader = desk.cluster.leader().name
    assert all(name in desk.do("see whether all nodes are well") for name in desk.cluster.nodes)
    assert set(desk.do("name the leader in a script").split()) == {leader}
    worker = desk.cluster.worker("w1")
    desk.cluster.wait_online("w1")
    assert "w1" in desk.do("list workers")
    worker.pause()
    wait_for(lambda: "is offline since" in desk.do("find out why a worker is offline"), "w1 is lost", deadline=60)
    assert "had not heard it for" in desk.do("find out why a worker is offline")
    worker.resume()
    assert "CALL" in desk.do("check the latency")
    assert "No write took long" in desk.do("find out why writes are slow")


def TestTaskLeadership(desk: Desk) -> None:
    desk.cluster.lead_by("n1")
    desk.do("move leadership")
    assert desk.cluster.leader().name == "n2"
    assert "n1 handed leadership over: an operator asked for it." in desk.do("find out why the leader changed")


def TestTaskMembers(desk: Desk) -> None:
    cluster = desk.cluster
    wait_for(lambda: all(member.reachable for member in cluster.leader().status().members), "the leader reaches all")
    assert "n2" in desk.do("see what a change of members would mean")
    assert "n4" in desk.do("add a member")
    new_node(cluster, "n4", 7401)

    def promoted() -> bool:
        try:
            desk.do("make a learner a voter")
        except Refused as refused:
            assert "try again" in str(refused) or "another change" in str(refused), refused
            return False
        return True

    wait_for(promoted, "n4 has caught up")
    cluster["n2"].expected_exit = 0
    desk.do("remove a member")
    assert cluster["n2"].wait() == 0
    cluster["n2"].close()
    del cluster.nodes["n2"]
    assert {member.id for member in cluster.leader().status().members} == {"n1", "n3", "n4"}


def TestTaskReplace(desk: Desk) -> None:
    cluster = desk.cluster
    cluster["n2"].kill()
    replacing = desk.start("replace a dead member")
    new_node(cluster, "n4", 7401)
    with replacing:
        assert replacing.wait(4 * DEADLINE) == 0
    wait_for(lambda: {member.id for member in cluster.leader().status().members} == {"n1", "n3", "n4"}, "n2 is replaced")
    cluster["n2"].close()
    del cluster.nodes["n2"]


def TestTaskBackup(desk: Desk) -> None:
    cluster = desk.cluster
    cluster.wait_applied(cluster.put("kept", "1"))
    assert all(name in desk.do("compact the log now") for name in cluster.nodes)
    desk.do("back up")
    assert "keys" in desk.do("verify a backup")
    assert desk.do("gather all for who helps").endswith("reports of 3 nodes\n")
    cluster.kill_all()
    desk.configure(cluster["n1"], "--bootstrap")
    assert "valid" in desk.do("check a configuration")
    assert cluster["n1"].dump_wal(1) and '"index":1,' in desk.do("read a node's log offline")
    # A majority is lost for ever.
    desk.do("go on alone when a majority is lost")
    alone = cluster["n1"]
    alone.start()
    wait_for(lambda: alone.call("Get", key=b"kept").value == b"1", "n1 leads alone, and has kept all")


def TestTaskRestore(desk: Desk) -> None:
    cluster = desk.cluster
    cluster.wait_applied(cluster.put("kept", "1"))  # any node may give the backup
    desk.do("back up")
    cluster.kill_all()
    for node in cluster.nodes.values():
        subprocess.run(["rm", "-rf", node.data], check=True)
        desk.configure(node, "--bootstrap")
        desk.do("begin a cluster from a backup", f"{node.name}.conf")
    cluster.start()
    assert cluster.get("kept") == "1"


def TestTaskCertificates(empty_cluster: Cluster, tmp_path: Path) -> None:
    node = empty_cluster["n1"]
    make = [str(ROOT / "deploy" / "tls" / "make-certs"), "--days", "30", str(tmp_path), "node/n1"]
    subprocess.run(make, check=True, capture_output=True)
    for kind in (".pem", "-key.pem"):
        (tmp_path / f"n1{kind}").rename(tmp_path / f"old{kind}")
    subprocess.run(make, check=True, capture_output=True)
    for kind in (".pem", "-key.pem"):
        (tmp_path / f"n1{kind}").rename(tmp_path / f"n1-new{kind}")
        (tmp_path / f"old{kind}").rename(tmp_path / f"n1{kind}")
    node._command.remove("--insecure")
    for name, file in (("cert", "n1.pem"), ("key", "n1-key.pem"), ("ca", "ca.pem")):
        node._command += [f"--tls-{name}", str(tmp_path / file)]
    node.start()
    wait_for(lambda: "event=up" in node.log(), "n1 is up")
    Desk(empty_cluster, tmp_path).do("rotate certificates")
    wait_for(lambda: "read the certificates again" in node.log(), "n1 has the new certificate")


def TestTasksAreAllDone() -> None:
    done = set(re.findall(r'(?:\.do|\.start)\("([a-z].*? .*?)"', Path(__file__).read_text()))
    assert set(COMMANDS) == done and len(COMMANDS) >= 20
