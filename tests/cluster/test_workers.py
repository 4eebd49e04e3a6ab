"""Workers in a cluster: real baton-worker processes."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Any, Dict, List

import grpc
from harness import WORKERS, Cluster, Node, wait_for

OFFLINE_FIRST, OFFLINE_LAST = 15.0, 20.0


def wall_seconds(text: str) -> float:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc).timestamp()


def offline_changes(cluster: Cluster) -> List[Any]:
    """Every change to offline in the log."""
    from baton.v1 import command_pb2

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
    """It is given a single node, which does not lead."""
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


def TestClusterWorkerReturnsUnderANewEpoch(cluster: Cluster) -> None:
    """A worker that is stopped, not killed, continues as the same instance, and its new epoch fences what it wrote before."""
    worker = cluster.worker("w1")
    cluster.wait_online("w1")
    leader = cluster.leader()
    first = leader.workers()["w1"]
    worker.pause()
    wait_for(lambda: leader.workers()["w1"]["status"] == "offline", "w1 is offline", OFFLINE_LAST + 10)
    assert leader.workers()["w1"]["epoch"] == first["epoch"]
    worker.resume()
    cluster.wait_online("w1")
    again = leader.workers()["w1"]
    assert again["epoch"] > first["epoch"] and again["instance_id"] == first["instance_id"] and not again["reason"]

    line = f'msg="returned under a new epoch" epoch={again["epoch"]} before={first["epoch"]}'
    wait_for(lambda: line in worker.log(), "its log says so")
    wait_for(lambda: worker.log().count('msg="registered"') == 2, "it is registered again")
    assert worker.log().count("returned under a new epoch") == 1 and worker.running

    # The same heartbeat, as if its answer had been lost.
    for epoch in (first["epoch"], again["epoch"]):
        reply = leader.call_worker_service("Heartbeat", worker_id="w1", instance_id=again["instance_id"], epoch=epoch)
        assert reply.accepted and reply.epoch == again["epoch"]
    assert leader.workers()["w1"]["epoch"] == again["epoch"]
    # Every node has applied the same.
    for node in cluster.nodes.values():
        wait_for(lambda: node.workers()["w1"]["epoch"] == again["epoch"], f"{node.name} has it, too")


def TestClusterWorkerSaysGoodbye(cluster: Cluster) -> None:
    worker = cluster.worker("w3")
    cluster.wait_online("w3")
    assert worker.stop() < 2.0
    left = cluster.leader().workers()["w3"]
    assert (left["status"], left["reason"]) == ("offline", "left"), "DeregisterWorker is answered when it is applied"
    worker.start()
    cluster.wait_online("w3")


def TestClusterWorkerIsReplaced(cluster: Cluster) -> None:
    """Two processes with one id: the later one replaces the first."""
    first = cluster.worker("w1")
    cluster.wait_online("w1")
    epoch = cluster.leader().workers()["w1"]["epoch"]
    first.expected_exit = 4
    second = cluster.worker("w1")
    assert first.wait() == 4
    wait_for(lambda: cluster.leader().workers()["w1"]["epoch"] > epoch, "the second instance's epoch")
    assert cluster.leader().workers()["w1"]["status"] == "online" and second.running


def TestClusterLeaderChangeKeepsWorkersOnline(cluster: Cluster) -> None:
    """The leader is killed, and for longer than the liveness timeout every reply says online."""
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
    assert {name: worker["epoch"] for name, worker in new.workers().items()} == epochs, "no worker had to register again"
    assert all(worker["last_seen"] for worker in new.workers().values())


def TestClusterNewLeaderKnowsWhenWorkersWereSeen(cluster: Cluster) -> None:
    """From its first reply on, from its predecessor's report; from its own once it has heard them."""
    workers = {name: cluster.worker(name) for name in WORKERS}
    cluster.wait_online(*WORKERS)
    old = cluster.leader()

    def seen_by(leader: Node) -> Dict[str, float]:
        return {name: wall_seconds(worker["last_seen"]) for name, worker in leader.workers().items()}

    registered = seen_by(old)

    def heard_again() -> bool:  # so that the log is no longer the newest to know
        return all(at > registered[name] + 1 for name, at in seen_by(old).items())

    wait_for(heard_again, "every worker's second heartbeat")
    time.sleep(2.0)  # the nodes ask each other for their Status every second
    for worker in workers.values():
        worker.pause()
    heard = seen_by(old)
    old.kill()
    new = cluster.leader(other_than=old.name)
    shown: Dict[str, List[str]] = {name: [] for name in WORKERS}

    def all_are(source: str) -> bool:
        for name, worker in new.workers().items():
            assert worker["status"] == "online" and worker["last_seen"] is not None, worker
            at = wall_seconds(worker["last_seen"])
            if worker["last_seen_source"] == "predecessor":
                assert registered[name] < at <= heard[name] + 0.1, (worker, registered, heard)
            else:
                assert worker["last_seen_source"] == "leader" and at > heard[name], (worker, heard)
            shown[name] += [worker["last_seen_source"]] if worker["last_seen_source"] not in shown[name] else []
        return all(sources[-1:] == [source] for sources in shown.values())

    wait_for(lambda: all_are("predecessor"), "the first answer")
    for worker in workers.values():
        worker.resume()
    wait_for(lambda: all_are("leader"), "the new leader has heard all workers")
    assert shown == {name: ["predecessor", "leader"] for name in WORKERS}


def TestClusterUnknownWorkerRegistersAgain(cluster: Cluster) -> None:
    """A heartbeat of an unknown worker is NOT_FOUND."""
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
