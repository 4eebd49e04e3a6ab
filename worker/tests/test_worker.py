"""The Worker class against real gRPC servers."""

from __future__ import annotations

import os
import queue
import threading
import time
from typing import Any, Callable, Iterator

import grpc
import pytest
from fakes import DEADLINE, Node, Told, follows, leads, refuses

from baton_worker import ConfigError, State, Worker
from baton_worker import session as session_module
from baton_worker._proto import worker_pb2 as pb
from baton_worker.session import Call
from baton_worker.worker import Channels, clock

MakeNode = Callable[[str], Node]


@pytest.fixture
def make_worker(told: Told) -> Iterator[Callable[..., Worker]]:
    workers = []

    def make(*nodes: Node, **arguments: Any) -> Worker:
        endpoints = [node.address for node in nodes]
        worker = Worker("w1", "h:1", "gcp", endpoints, **{**told.callbacks(), **arguments})
        workers.append(worker)
        return worker.start()

    yield make
    for worker in workers:
        worker.stop()
        assert worker.wait(DEADLINE)


MakeWorker = Callable[..., Worker]


def TestWorkerRegistersAndBeats(node: Node, make_worker: MakeWorker, told: Told) -> None:
    node.epoch = 7
    worker = make_worker(node, slots=3, labels={"a": "b"})
    told.wait_for("registered")
    seen = node.wait_for("Heartbeat", 3)
    assert told.events == [("registered", 7)]
    assert (worker.epoch, worker.leader, worker.state, worker.is_valid()) == (7, "n1", State.REGISTERED, True)
    assert {(s.request.worker_id, s.request.instance_id, s.request.epoch) for s in seen} == {("w1", worker.instance_id, 7)}
    registered = node.calls("RegisterWorker")[0].request
    assert (registered.slots, dict(registered.labels)) == (3, {"a": "b"})


def TestWorkerReusesItsConnection(node: Node, make_worker: MakeWorker) -> None:
    make_worker(node)
    node.wait_for("Heartbeat", 5)
    assert len({seen.peer for seen in node.seen}) == 1


def TestWorkerIsFollowingALeaderNamedByAFollower(make_node: MakeNode, make_worker: MakeWorker, told: Told) -> None:
    leader, follower = make_node("n1"), make_node("n2")
    follower.script = follows(leader)
    worker = make_worker(follower)
    leader.wait_for("Heartbeat", 2)
    assert worker.leader == "n1" and [seen.method for seen in follower.seen] == ["RegisterWorker"]


def TestWorkerFollowsALeadersChange(make_node: MakeNode, make_worker: MakeWorker, told: Told) -> None:
    old, new = make_node("n1"), make_node("n2")
    new.script = follows(old)
    worker = make_worker(old, new)
    old.wait_for("Heartbeat")
    old.script, new.script = follows(new), leads
    new.wait_for("Heartbeat", 2)
    assert worker.leader == "n2" and told.events == [("registered", 1)], "the epoch stays, and the program is not disturbed"


def TestWorkerSurvivesADeadLeader(make_node: MakeNode, make_worker: MakeWorker, told: Told) -> None:
    old, new = make_node("n1"), make_node("n2")
    old.interval_ms = new.interval_ms = 500
    new.script = follows(old)
    old.members = [old.address, new.address]
    worker = make_worker(old)  # knows the other one from replies alone
    old.wait_for("Heartbeat")
    new.script = leads
    old.stop()
    new.wait_for("Heartbeat", 2)
    assert worker.leader == "n2" and told.events == [("registered", 1)]


def TestWorkerOutlivesARestartOfItsOnlyNode(node: Node, make_worker: MakeWorker, told: Told) -> None:
    worker = make_worker(node)
    node.wait_for("Heartbeat")
    node.stop()
    told.wait_for_last("lost")
    assert not worker.is_valid() and worker.state is State.LOST
    node.start()
    told.wait_for_last("registered")
    assert worker.is_valid()


def TestWorkerUnavailableIsAskedAgain(node: Node, make_worker: MakeWorker, told: Told) -> None:
    node.script = refuses(grpc.StatusCode.UNAVAILABLE, times=3)
    make_worker(node)
    told.wait_for("registered")
    assert len(node.calls("RegisterWorker")) == 4


def TestWorkerReachesANodeTheMomentItIsBack(node: Node) -> None:
    """Every call to a node that has failed makes a new connection, without gRPC's own backoff."""
    channels, answers = Channels(), queue.SimpleQueue[Any]()

    def call() -> Any:
        request = pb.HeartbeatRequest(worker_id="w1", instance_id="i", epoch=1)
        channels.start(Call("Heartbeat", node.address, request, 0.0, 5.0), answers.put)
        future = answers.get(timeout=DEADLINE)
        if future.exception():
            channels.failed(node.address, future.code().name, future.details())
        return future

    assert call().result().accepted
    node.stop()
    for _ in range(5):
        assert call().exception().code() == grpc.StatusCode.UNAVAILABLE
    node.start()
    assert call().result().accepted
    channels.keep(())


def TestWorkerKeepsTheConnectionOfANodeThatRefuses(node: Node, make_worker: MakeWorker, told: Told) -> None:
    node.script = refuses(grpc.StatusCode.UNAVAILABLE, times=3)
    make_worker(node)
    told.wait_for("registered")
    assert len({seen.peer for seen in node.seen}) == 1


def TestWorkerUnknownToTheClusterRegistersAgain(node: Node, make_worker: MakeWorker, told: Told) -> None:
    worker = make_worker(node)
    node.wait_for("Heartbeat")
    node.epoch = 2
    node.script = refuses(grpc.StatusCode.NOT_FOUND, method="Heartbeat", times=1)
    told.wait_for("registered", "lost", "registered")
    assert told.events[-1] == ("registered", 2) and worker.epoch == 2


def TestWorkerEpochRises(node: Node, make_worker: MakeWorker, told: Told) -> None:
    seen = []
    worker: Worker = make_worker(node, on_epoch=lambda epoch: seen.append((epoch, worker.epoch, worker.is_valid())))
    node.wait_for("Heartbeat")
    node.epoch = 9
    node.wait_for("Heartbeat", len(node.calls("Heartbeat")) + 3)
    assert worker.epoch == 9 and node.calls("Heartbeat")[-1].request.epoch == 9
    assert seen == [(9, 9, True)], "once, and with the property already risen"
    assert told.events == [("registered", 1)], "it was not lost"
    worker.stop()
    assert node.calls("DeregisterWorker")[0].request.epoch == 9


def TestWorkerReturnsUnderANewEpoch(node: Node, make_worker: MakeWorker, told: Told) -> None:
    worker = make_worker(node)
    node.wait_for("Heartbeat")
    node.script = refuses(grpc.StatusCode.UNAVAILABLE)
    told.wait_for("registered", "lost")
    assert not worker.is_valid()
    node.epoch = 9
    node.script = leads
    told.wait_for("registered", "lost", "epoch", "registered")
    assert told.events[2:4] == [("epoch", 9), ("registered", 9)]


def TestWorkerOfANodeThatTellsNoEpoch(node: Node, make_worker: MakeWorker, told: Told) -> None:
    node.epoch, node.tells_epoch = 7, False
    worker = make_worker(node)
    node.wait_for("Heartbeat", 3)
    assert worker.epoch == 7 and worker.is_valid() and told.events == [("registered", 7)]


def TestWorkerReplacedStops(node: Node, make_worker: MakeWorker, told: Told) -> None:
    worker = make_worker(node)
    node.wait_for("Heartbeat")
    node.script = refuses(grpc.StatusCode.ABORTED, "replaced by instance x")
    told.wait_for("registered", "replaced")
    assert worker.wait(DEADLINE) and worker.state is State.REPLACED and not worker.is_valid()
    worker.stop()
    assert node.calls("DeregisterWorker") == [] and "instance x" in worker.error


def TestWorkerRejectedStops(node: Node, make_worker: MakeWorker, told: Told) -> None:
    node.script = refuses(grpc.StatusCode.INVALID_ARGUMENT, "cloud: one of aws, gcp")
    worker = make_worker(node)
    assert worker.wait(DEADLINE) and worker.state is State.REJECTED
    told.wait_for("lost")
    assert "cloud: one of aws, gcp" in worker.error and "cloud: one of aws, gcp" in told.events[0][1]


def TestWorkerHungNodeBlocksNobody(make_node: MakeNode, make_worker: MakeWorker, told: Told) -> None:
    hung, leader = make_node("n1"), make_node("n2")
    hung.script = hung.hang
    began = time.monotonic()
    worker = make_worker(hung, leader)
    assert worker.state in State and worker.epoch in (0, 1)
    assert time.monotonic() - began < 1.0, "start and properties do not wait for a node"
    told.wait_for("registered")


def TestWorkerIsLostWhileACallHangs(node: Node, make_worker: MakeWorker, told: Told) -> None:
    worker = make_worker(node)
    node.wait_for("Heartbeat")
    node.script = node.hang
    told.wait_for("registered", "lost")
    assert not worker.is_valid() and worker.epoch == 1


def TestWorkerGoodbye(node: Node, make_worker: MakeWorker) -> None:
    node.epoch = 4
    worker = make_worker(node)
    node.wait_for("Heartbeat")
    worker.stop()
    request = node.wait_for("DeregisterWorker")[0].request
    assert (request.worker_id, request.instance_id, request.epoch) == ("w1", worker.instance_id, 4)
    assert worker.state is State.STOPPED and not worker.is_valid()
    worker.stop()
    assert len(node.calls("DeregisterWorker")) == 1


def TestWorkerGoodbyeToAHungNodeEnds(node: Node, make_worker: MakeWorker) -> None:
    worker = make_worker(node)
    node.wait_for("Heartbeat")
    node.script = node.hang
    began = time.monotonic()
    worker.stop()
    assert worker.wait(0) and time.monotonic() - began < session_module.LEAVE_BUDGET + 1.0


def TestWorkerContextManager(node: Node) -> None:
    with Worker("w1", "h:1", "aws", [node.address]) as worker:
        node.wait_for("Heartbeat")
    assert worker.state is State.STOPPED and len(node.calls("DeregisterWorker")) == 1


def TestWorkerSlowCallbackDelaysNoHeartbeat(node: Node, make_worker: MakeWorker) -> None:
    blocked, release = threading.Event(), threading.Event()

    def slow(_epoch: int) -> None:
        blocked.set()
        release.wait(DEADLINE)

    make_worker(node, on_registered=slow)
    assert blocked.wait(DEADLINE)
    node.wait_for("Heartbeat", len(node.calls("Heartbeat")) + 5)
    release.set()


def TestWorkerCallbackThatFailsIsLogged(
    node: Node, make_worker: MakeWorker, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_epoch: int) -> None:
        raise RuntimeError("the program's own fault")

    make_worker(node, on_registered=fails)
    node.wait_for("Heartbeat", 3)
    assert "a callback failed" in caplog.text and "the program's own fault" in caplog.text


def TestWorkerStopsInsideItsCallback(node: Node, told: Told) -> None:
    worker = Worker("w1", "h:1", "gcp", [node.address], on_registered=lambda _epoch: worker.stop())
    worker.start()
    assert worker.wait(DEADLINE) and worker.state is State.STOPPED


def TestWorkerStartsOnce(node: Node, make_worker: MakeWorker) -> None:
    worker = make_worker(node)
    with pytest.raises(RuntimeError, match="make a new one"):
        worker.start()


def TestWorkerInstancesDiffer() -> None:
    made = [Worker("w1", "h:1", "gcp", ["h:2"]) for _ in range(100)]
    assert len({worker.instance_id for worker in made}) == 100
    made[0].stop()  # never started: nothing to do
    assert made[0].state is State.NEW and not made[0].is_valid()


def TestWorkerIsValidAtAGivenTime(node: Node, make_worker: MakeWorker, told: Told) -> None:
    node.interval_ms = 5000
    worker = make_worker(node)
    told.wait_for("registered")
    assert worker.is_valid(clock() + 10) and not worker.is_valid(clock() + 15.1)


def TestWorkerForkedChildTakesNoLeave(node: Node, make_worker: MakeWorker, told: Told) -> None:
    worker = make_worker(node)
    told.wait_for("registered")
    child = os.fork()
    if child == 0:
        worker.stop()
        os._exit(3 if worker.is_valid() else 0)
    assert os.waitpid(child, 0)[1] == 0
    node.wait_for("Heartbeat", len(node.calls("Heartbeat")) + 3)
    assert worker.is_valid() and node.calls("DeregisterWorker") == []


def TestWorkerLeavesNoThread(node: Node) -> None:
    for _ in range(5):
        with Worker("w1", "h:1", "gcp", [node.address]):
            node.wait_for("Heartbeat", len(node.calls("Heartbeat")) + 1)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("baton-worker")]


def TestWorkerFaultOfItsOwnEndsIt(
    node: Node, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_arguments: object) -> None:
        raise AssertionError("planted")

    monkeypatch.setattr(session_module.Session, "_accepted", broken)
    worker = Worker("w1", "h:1", "gcp", [node.address]).start()
    assert worker.wait(DEADLINE)
    assert worker.state is State.STOPPED and "internal error" in worker.error and "planted" in caplog.text


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("id", {"id": ""}),
        ("id", {"id": "x" * 65}),
        ("id", {"id": "a b"}),
        ("id", {"id": "w1\n"}),
        ("address", {"address": "nowhere"}),
        ("address", {"address": "h:70000"}),
        ("address", {"address": "h:0"}),
        ("address", {"address": "h" * 255 + ":1"}),
        ("cloud", {"cloud": "azure"}),
        ("endpoints", {"endpoints": []}),
        ("endpoints", {"endpoints": ["h"]}),
        ("slots", {"slots": -1}),
        ("labels", {"labels": {"": "x"}}),
        ("labels", {"labels": {"\udcff": "x"}}),
        ("labels", {"labels": {"x": "a\0b"}}),
        ("labels", {"labels": {str(i): "" for i in range(33)}}),
    ],
)
def TestWorkerNamesTheWrongField(field: str, arguments: Any) -> None:
    good = {"id": "w1", "address": "h:1", "cloud": "gcp", "endpoints": ["h:2"]}
    with pytest.raises(ConfigError, match=f"^{field}: "):
        Worker(**{**good, **arguments})
