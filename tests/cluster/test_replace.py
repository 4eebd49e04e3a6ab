"""batonctl member add and replace, as an operator uses them: the new node is started by the line that they print, and the command
may be stopped at any point and run again."""

from __future__ import annotations

import json
import os
import pty
import shlex
import signal
import subprocess
import time
from typing import List

from harness import BUILD, DEADLINE, SANITIZERS, Cluster, Node, Process, wait_for
from test_members import NewNode, change, member, new_node, take_in

PORT = 7401


def endpoints_of(nodes: List[Node]) -> str:
    return ",".join(node.address for node in nodes)


class Replacement:
    """A `batonctl member replace` that runs."""

    def __init__(self, endpoints: str, old: str, new: str, terminal: bool = False) -> None:
        command = [str(BUILD / "batonctl"), "member", "replace", old, new, "--endpoints", endpoints]
        self._screen, errors = pty.openpty() if terminal else (-1, subprocess.PIPE)
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True)
        if terminal:
            os.close(errors)

    def read_line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def interrupt(self) -> str:
        """^C; returns what it says."""
        self.process.send_signal(signal.SIGINT)
        _, errors = self.process.communicate(timeout=DEADLINE)
        assert self.process.returncode == -signal.SIGINT
        return errors

    def finish(self) -> str:
        said, errors = self.process.communicate(timeout=DEADLINE)
        assert self.process.returncode == 0, (said, errors)
        return said

    def screen(self) -> str:
        """What the terminal was sent."""
        shown = b""
        try:
            while True:
                shown += os.read(self._screen, 65536)
        except OSError:  # the other end is closed
            os.close(self._screen)
        return shown.decode()


def replace(endpoints: str, old: str, new: str) -> str:
    return Replacement(endpoints, old, new).finish()


def members_of(node: Node) -> List[str]:
    return [member.id if member.voter else f"{member.id} learns" for member in node.status().members]


def node_by_line(cluster: Cluster, name: str, line: str) -> NewNode:
    """The node that the printed line starts, but for the directory, on n1's host."""
    words = shlex.split(line)
    assert words[0] == "batond"
    words[0] = str(BUILD / "batond")
    words[words.index("--data-dir") + 1] = str(cluster.directory / name)
    return new_node(cluster, name, PORT, words)


def write_ms(cluster: Cluster, *words: str) -> float:
    """What a write would cost after this change; 0: not known yet."""
    status, said = member(cluster, *words, "--dry-run", "-o", "json")
    return json.loads(said)["write_ms"] or 0 if status == 0 else 0


def TestReplaceTheLineThatAddPrints(cluster: Cluster) -> None:
    """The fourth node is at a third site, and starts as it is told."""
    cluster.lead_by("n1")
    place = f"n4=198.18.1.1:{PORT}/third-site"
    planned = json.loads(change(cluster, "add", place, "--dry-run", "-o", "json"))
    assert planned["clouds_that_may_be_lost"] == ["aws"] and planned["dry_run"] and len(members_of(cluster["n1"])) == 3
    n4 = node_by_line(cluster, "n4", json.loads(change(cluster, "add", place, "-o", "json"))["start"])
    wait_for(lambda: member(cluster, "promote", "n4")[0] == 0, "n4 has caught up and is promoted")
    (told,) = [each for each in n4.status().members if each.id == "n4"]
    assert told.voter and told.cloud == "third-site"
    # Four of three places: each may be lost but the one with two.
    kept = json.loads(change(cluster, "update", place.split("/")[0], "--dry-run", "-o", "json"))
    assert kept["voters"] == 4 and kept["clouds_that_may_be_lost"] == ["aws", "third-site"]
    # Led from n3 a write crosses the link. Without n3 its successor is near a majority, whatever n3's own round trips are.
    cluster.lead_by("n3")
    wait_for(lambda: write_ms(cluster, "update", place.split("/")[0]) > 40, "a write costs a round trip to the other cloud")
    wait_for(lambda: 0 < write_ms(cluster, "remove", "n3") < 25, "without n3 it costs one within a cloud")


def TestReplaceADeadNode(cluster: Cluster) -> None:
    """Under writes, stopped while the new node is still to be started, and run again; twice is as good as once."""
    cluster.lead_by("n1")
    endpoints = endpoints_of([cluster["n1"], cluster["n2"], cluster["n3"]])
    new = f"n4=198.18.1.1:{PORT}/gcp"
    with cluster.load() as acknowledged:
        cluster["n2"].kill()
        planned = ""

        def plan() -> bool:
            nonlocal planned
            status, planned = member(cluster, "replace", "n2", new, "--dry-run")
            assert status == 0 or "too few voters can be reached" in planned or "no majority" in planned, planned
            return status == 0

        wait_for(plan, "a majority is seen by the leader")  # it misses others for moments, too, on a busy machine
        assert planned.index("add n4") < planned.index("promote n4") < planned.index("remove n2")
        first = Replacement(endpoints, "n2", new)
        assert first.read_line() == "n4 is a learner now\n"
        first.read_line()
        line = first.read_line()
        assert "the same command goes on from here" in first.interrupt()
        assert members_of(cluster["n1"]) == ["n1", "n2", "n3", "n4 learns"]
        second = Replacement(endpoints, "n2", new, terminal=True)
        node_by_line(cluster, "n4", line)
        said = second.finish()
        assert "n4 is a voter now" in said and "n2 is no member any more" in said and "n4 has replaced n2" in said
        assert "n4 is not reached yet" in (shown := second.screen()) and "\r\033[K" in shown, shown
        so_far = len(acknowledged)
        wait_for(lambda: len(acknowledged) > so_far, "writes go on")
    assert members_of(cluster["n1"]) == ["n1", "n3", "n4"]
    assert "n4 has replaced n2" in replace(endpoints, "n2", new)
    assert members_of(cluster["n1"]) == ["n1", "n3", "n4"]
    for key, value in list(acknowledged.items())[:: max(1, len(acknowledged) // 100)]:
        assert cluster.get(key) == value
    status, said = member(cluster, "replace", "n9", "n8=198.18.1.1:7408/gcp")
    assert status == 1 and "n9 is no member" in said
    status, said = member(cluster, "replace", "n1", "n4=198.18.1.1:7409/gcp")
    assert status == 1 and "n4 is a member already, at another address" in said


def TestReplaceGoesOnFromAnyStep(cluster: Cluster) -> None:
    """Here all but the removal was done before."""
    cluster.lead_by("n1")
    n4 = take_in(cluster, "n4", PORT)
    cluster["n2"].expected_exit = 0
    status, planned = member(cluster, "replace", "n2", f"n4={n4.address}/gcp", "--dry-run")
    assert status == 0 and "remove n2" in planned and "add" not in planned and "promote" not in planned
    assert "n4 is a voter now" not in replace(cluster["n3"].address, "n2", f"n4={n4.address}/gcp")
    assert members_of(n4) == ["n1", "n3", "n4"]


def TestReplaceTheLeader(cluster: Cluster) -> None:
    """By a batonctl that knows no other node than the one that goes."""
    n1 = cluster.lead_by("n1")
    n1.expected_exit = 0
    n4 = new_node(cluster, "n4", PORT)
    assert "n4 has replaced n1" in replace(n1.address, "n1", f"n4={n4.address}/gcp")
    assert n1.wait() == 0
    assert members_of(n4) == ["n2", "n3", "n4"]
    cluster.wait_applied(cluster.put("after", "1"), "n2", "n3", "n4")


def TestReplaceAllThree(cluster: Cluster) -> None:
    """One after the other. Who was given the first three goes on: a worker, a watch, and batonctl if one of its list lives."""
    worker = cluster.worker("w1")
    cluster.wait_online("w1")
    cluster.lead_by("n1")
    before = cluster["n2"].workers()["w1"]
    watch = Process("w2", cluster.directory / "watch.log",
                    [str(BUILD / "batonctl"), "watch", "--from", "1", "--endpoints", cluster["n1"].address], SANITIZERS)  # fmt: skip
    watch.start()
    cluster.put("first", "1")
    wait_for(lambda: " put first 1" in watch.log(), "the watch shows a change")
    removed: List[Node] = []
    for number, old in enumerate(("n1", "n2", "n3")):
        new = new_node(cluster, f"n{number + 4}", PORT + number)
        cluster[old].expected_exit = 0
        replace(endpoints_of(list(cluster.nodes.values())), old, f"{new.name}={new.address}/gcp")
        assert cluster[old].wait() == 0
        removed.append(cluster.nodes.pop(old))  # so that it does not count
        removed[-1].close()

        gone = time.monotonic()

        def heard() -> bool:
            since_ms = (time.monotonic() - gone) * 1000
            seen = new.workers()["w1"]
            return seen["last_seen_source"] == "leader" and seen["last_seen_ago_ms"] < since_ms

        wait_for(heard, f"the worker is heard once more after {old} has gone")
    assert members_of(cluster["n6"]) == ["n4", "n5", "n6"]
    cluster.put("last", "2")
    wait_for(lambda: " put last 2" in watch.log(), "the watch goes on", 10)
    watch.kill()
    cluster.leader().kill()
    cluster.leader()
    living = next(node for name, node in cluster.nodes.items() if node.running)
    wait_for(lambda: living.workers()["w1"]["last_seen_source"] == "leader", "the next leader has heard the worker")
    after = living.workers()["w1"]
    assert (after["status"], after["epoch"]) == ("online", before["epoch"]) and 'msg="lost"' not in worker.log()
    told = living.call_worker_service("RegisterWorker", worker_id="w9", instance_id="i", address="h:1", cloud="aws")
    assert told.redirect.cluster_id == "test", "so that a worker knows a stranger"
    old_list = endpoints_of([*removed[:2], living])
    for words in (["put", "k", "v"], ["get", "k"], ["member", "list"], ["status"]):
        done = subprocess.run([str(BUILD / "batonctl"), *words, "--endpoints", old_list], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=DEADLINE)  # fmt: skip
        assert done.returncode == 0, (words, done.stdout, done.stderr)
