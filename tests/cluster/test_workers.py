"""Workers as the cluster sees them: real baton-worker processes."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Any, List

import grpc
from harness import WORKERS, Cluster, wait_for

OFFLINE_FIRST, OFFLINE_LAST = 15.0, 20.0


def wall_seconds(text: str) -> float:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc).timestamp()


def offline_changes(cluster: Cluster) -> List[Any]:
    """Every change to offline that the log holds."""
    import command_pb2

    changes = []
    for entry in cluster.leader().log_entries():
        if entry.type == 1:  # a command
            command = command_pb2.Command.FromString(entry.command)
            changes += [change for change in command.change_workers.changes if not change.online]
    return changes


def TestClusterWorkersRegister(cluster: Cluster) -> None:
    for name in WORKERS:
        cluster.worker(name)
    cluster.wait_online(*WORKERS)
    leader = cluster.leader()
    for node in cluster.nodes.values():  # a follower relays the leader's answer
        # A node that has just started learns a moment later where the leader's pages are.
        wait_for(lambda: node.get("/cluster-state")[0] == 200, f"{node.name} answers for the leader")
        assert node is leader or node.get("/cluster-state")[1]["Baton-Leader"] == leader.name
        for name, worker in node.workers().items():
            assert (worker["cloud"], worker["address"]) == (WORKERS[name].cloud, f"{WORKERS[name].host}:9000")
            assert worker["status"] == "online" and worker["epoch"] >= 1 and not worker["reason"]
            assert abs(time.time() - wall_seconds(worker["last_seen"])) < 10


def TestClusterWorkerFollowsRedirect(cluster: Cluster) -> None:
    """It is told of one node alone, which does not lead."""
    leader, follower = cluster.leader(), cluster.followers()[0]
    worker = cluster.worker("w1", [follower.address])
    cluster.wait_online("w1")
    assert f"leader={leader.name}" in worker.log()


def TestClusterKilledWorkerIsOfflineInTime(cluster: Cluster) -> None:
    worker = cluster.worker("w1")
    cluster.wait_online("w1")
    first = cluster.leader().workers()["w1"]
    worker.kill()
    leader = cluster.leader()
    # A heartbeat sent just before the kill is received a moment after it.
    last = wall_seconds(leader.workers()["w1"]["last_seen"])
    seen = first

    def offline() -> bool:
        nonlocal seen, last
        seen = leader.workers()["w1"]
        last = max(last, wall_seconds(seen["last_seen"]))
        return seen["status"] == "offline"

    wait_for(offline, "w1 is offline", OFFLINE_LAST + 10)
    after = time.time() - last
    print(f"offline {after:.2f} s after the last heartbeat")
    assert OFFLINE_FIRST <= after <= OFFLINE_LAST and seen["reason"] == "missed-heartbeats"

    worker.start()
    cluster.wait_online("w1")
    again = leader.workers()["w1"]
    assert again["epoch"] > first["epoch"] and not again["reason"]


def TestClusterWorkerSaysGoodbye(cluster: Cluster) -> None:
    worker = cluster.worker("w3")
    cluster.wait_online("w3")
    assert worker.stop() < 2.0
    left = cluster.leader().workers()["w3"]
    assert (left["status"], left["reason"]) == ("offline", "left"), "the goodbye is answered when it is applied"
    worker.start()
    cluster.wait_online("w3")


def TestClusterWorkerIsReplaced(cluster: Cluster) -> None:
    """Two processes with one id: the later one stays."""
    first = cluster.worker("w1")
    cluster.wait_online("w1")
    epoch = cluster.leader().workers()["w1"]["epoch"]
    first.expected_exit = 4
    second = cluster.worker("w1")
    assert first.wait() == 4
    wait_for(lambda: cluster.leader().workers()["w1"]["epoch"] > epoch, "the second instance's epoch")
    assert cluster.leader().workers()["w1"]["status"] == "online" and second.running


def TestClusterLeaderChangeKeepsWorkersOnline(cluster: Cluster) -> None:
    """The leader is killed, and for longer than the new one's patience lasts every answer says: online."""
    for name in WORKERS:
        cluster.worker(name)
    cluster.wait_online(*WORKERS)
    epochs = {name: worker["epoch"] for name, worker in cluster.leader().workers().items()}
    old = cluster.leader()
    old.kill()
    new = cluster.leader(other_than=old.name)
    until = time.monotonic() + OFFLINE_LAST + 2

    def patience_is_over() -> bool:
        workers = new.workers()
        states = {name: worker["status"] for name, worker in workers.items()}
        assert states == dict.fromkeys(WORKERS, "online"), states
        return time.monotonic() >= until

    wait_for(patience_is_over, "the new leader's patience has ended", OFFLINE_LAST + 30)
    assert offline_changes(cluster) == []
    assert {name: worker["epoch"] for name, worker in new.workers().items()} == epochs, "nobody had to register anew"
    assert all(worker["last_seen"] for worker in new.workers().values())


def TestClusterUnknownWorkerRegistersAgain(cluster: Cluster) -> None:
    """A heartbeat of somebody the cluster does not know is NOT_FOUND."""
    import grpc

    leader = cluster.leader()

    def refused() -> bool:
        try:
            leader.call_worker_service("Heartbeat", worker_id="nobody", instance_id="i", epoch=1)
        except grpc.RpcError as error:
            return error.code() == grpc.StatusCode.NOT_FOUND
        return False

    wait_for(refused, "NOT_FOUND")


def TestClusterInvalidWorkersAreRefused(cluster: Cluster) -> None:
    import grpc

    good = {"worker_id": "w9", "instance_id": "i", "address": "h:1", "cloud": "gcp"}
    wrong = [
        ("worker_id", ""),
        ("worker_id", "x" * 65),
        ("worker_id", "a b"),
        ("worker_id", "nul\0"),
        ("instance_id", ""),
        ("address", ""),
        ("address", "h" * 300 + ":1"),
        ("cloud", "azure"),
        ("cloud", ""),
    ]
    leader = cluster.leader()
    for field, value in wrong:
        try:
            leader.call_worker_service("RegisterWorker", **{**good, field: value})
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, f"{field}={value!r}: {error}"
            assert field in error.details(), f"{field}={value!r}: {error.details()}"
        else:
            raise AssertionError(f"{field}={value!r} was accepted")
    assert leader.workers() == {}
