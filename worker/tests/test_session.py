"""The session's decisions, on simulated time and without a network."""

from __future__ import annotations

import random
from typing import Any, List, Optional

import pytest

from baton_worker import Config, State
from baton_worker import session as s
from baton_worker._proto import worker_pb2 as pb

N1, N2, N3 = "n1:7400", "n2:7400", "n3:7400"


class Driver:
    """A session and its clock."""

    def __init__(self, *endpoints: str, seed: int = 1) -> None:
        print(f"seed {seed}")
        self.now = 1000.0
        config = Config("w1", "h:1", "gcp", endpoints or (N1, N2, N3), 2, {"zone": "a"})
        self.session = s.Session(config, "instance", random.Random(seed))
        self.session.start(self.now)

    def call(self) -> s.Call:
        """The call in flight, or else the next one, advancing the time to it."""
        if self.session.in_flight:
            return self.session.in_flight
        for _ in range(3):
            step = self.session.poll(self.now)
            if step.call:
                return step.call
            assert step.wake_at < float("inf"), self.session.state
            self.now = step.wake_at
        raise AssertionError("no call")

    def accept(self, call: s.Call, epoch: int = 1, leader: str = "n1", members: Any = (), interval_ms: int = 5000,
               cluster: str = "") -> None:  # fmt: skip
        redirect = pb.Redirect(
            leader_id=leader, leader_address=call.address, member_addresses=members, cluster_id=cluster
        )
        reply: Any
        if call.method == "RegisterWorker":
            reply = pb.RegisterWorkerResponse(
                accepted=True, epoch=epoch, heartbeat_interval_ms=interval_ms, redirect=redirect
            )
        elif call.method == "Heartbeat":
            reply = pb.HeartbeatResponse(
                accepted=True, epoch=epoch, heartbeat_interval_ms=interval_ms, redirect=redirect
            )
        else:
            reply = pb.DeregisterWorkerResponse(accepted=True, redirect=redirect)
        self.session.replied(call, reply, self.now)

    def redirect(self, call: s.Call, to: str) -> None:
        reply = pb.HeartbeatResponse(accepted=False, redirect=pb.Redirect(leader_id="x", leader_address=to))
        self.session.replied(call, reply, self.now)

    def fail(self, call: s.Call, code: str = "UNAVAILABLE", after: float = 0.0) -> None:
        self.now += after
        self.session.failed(call, code, "scripted", self.now)

    def register(self, **reply: Any) -> s.Call:
        call = self.call()
        assert call.method == "RegisterWorker"
        self.accept(call, **reply)
        return call

    def events(self) -> List[s.Event]:
        return self.session.take_events()


def TestWorkerRegistersWithAllItIs() -> None:
    driver = Driver()
    request = driver.call().request
    assert request == pb.RegisterWorkerRequest(
        worker_id="w1", instance_id="instance", address="h:1", cloud="gcp", slots=2, labels={"zone": "a"}
    )


def TestWorkerHeartbeatsDoNotDrift() -> None:
    driver = Driver()
    sent = driver.register().sent_at
    for _ in range(1000):
        call = driver.call()
        assert call.method == "Heartbeat" and call.sent_at == pytest.approx(sent + 5.0)
        sent = call.sent_at
        driver.now += 0.4  # the answer's way must not add up
        driver.accept(call)


def TestWorkerIntervalComesFromTheLeader() -> None:
    driver = Driver()
    first = driver.register(interval_ms=1200)
    call = driver.call()
    assert call.sent_at == pytest.approx(first.sent_at + 1.2)
    driver.accept(call, interval_ms=0)  # a leader that does not say: as before
    call = driver.call()
    assert call.sent_at == pytest.approx(first.sent_at + 2.4)
    driver.accept(call, interval_ms=2**32 - 1)  # a leader that talks nonsense
    assert driver.call().sent_at == pytest.approx(first.sent_at + 62.4)


def TestWorkerFailedHeartbeatGoesElsewhereAtOnce() -> None:
    driver = Driver()
    leader = driver.register().address
    asked = []
    for _ in range(3):
        call = driver.call()
        asked.append(call)
        driver.fail(call)
    assert asked[0].address == leader and {call.address for call in asked} == {N1, N2, N3}
    assert len({call.sent_at for call in asked}) == 1, "no pause within a round"


@pytest.mark.parametrize("seed", range(20))
def TestWorkerBacksOffBetweenRounds(seed: int) -> None:
    driver = Driver(seed=seed)
    pauses, last = [], driver.now
    for _ in range(40):
        for _ in range(3):
            call = driver.call()
            driver.fail(call)
        pauses.append(driver.call().sent_at - last)
        last = driver.now
    assert all(0.2 <= pause <= 5.0 + 1e-6 for pause in pauses), pauses
    assert pauses[0] <= 0.4 + 1e-6 and max(pauses) > 2.0 and len({round(pause, 6) for pause in pauses}) > 30, pauses


def TestWorkerPausesAreShortAgainAfterSuccess() -> None:
    driver = Driver()
    for _ in range(30):
        driver.fail(driver.call())
    driver.register()
    for _ in range(3):
        driver.fail(driver.call())
    failed_at = driver.now
    assert driver.call().sent_at - failed_at <= 0.4 + 1e-6


def TestWorkerFollowsRedirect() -> None:
    driver = Driver(N1)
    driver.redirect(driver.call(), N3)
    call = driver.call()
    assert call.address == N3 and call.sent_at == driver.now == 1000.0
    driver.accept(call, leader="n3")
    assert (driver.session.leader_id, driver.session.leader_address) == ("n3", N3)
    assert driver.call().address == N3, "the leader is asked first from now on"


def TestWorkerRedirectsInACircleEndTheRound() -> None:
    driver = Driver(N1, N2)
    first = driver.call()
    other = N2 if first.address == N1 else N1
    driver.redirect(first, other)
    driver.redirect(driver.call(), first.address)
    assert driver.call().sent_at >= 1000.2


def TestWorkerEndlessRedirectsEndTheRound() -> None:
    driver = Driver(N1)
    for number in range(s.ROUND_MAX):
        call = driver.call()
        assert call.sent_at == 1000.0
        driver.redirect(call, f"h{number}:1")
    assert driver.call().sent_at >= 1000.2


@pytest.mark.parametrize("address", ["", "nonsense", "h:0", "h:99999", "unix:/tmp/x", "h:1\n", "x" * 300 + ":1"])
def TestWorkerIgnoresMalformedAddresses(address: str) -> None:
    driver = Driver(N1)
    driver.redirect(driver.call(), address)
    assert driver.call().address == N1
    driver.accept(driver.session.in_flight, members=[address, N2])  # type: ignore[arg-type]
    assert driver.session.known_addresses() == [N1, N2]


def TestWorkerAsksLearnedMembers() -> None:
    driver = Driver(N1)
    driver.register(members=[N1, N2, N3])
    asked = set()
    for _ in range(3):
        call = driver.call()
        asked.add(call.address)
        driver.fail(call)
    assert asked == {N1, N2, N3}


def TestWorkerOutlivesTheMembersItWasGiven() -> None:
    """All three are replaced, one after the other; then the leader fails, and no time is lost on those that have gone."""
    driver = Driver(N1, N2, N3)
    driver.register(members=[N1, N2, N3])
    driver.accept(driver.call(), members=["n4:7400", N2, N3])
    driver.accept(driver.call(), members=["n4:7400", "n5:7400", N3])
    driver.accept(driver.call(), members=["n4:7400", "n5:7400", "n6:7400"])
    driver.fail(driver.call())
    asked = []
    for _ in range(3):
        asked.append(driver.call().address)
        driver.fail(driver.call())
    assert set(asked) == {"n4:7400", "n5:7400", "n6:7400"}


def TestWorkerBelievesOneClusterAlone() -> None:
    driver = Driver(N1, N2)
    first = driver.register(cluster="prod", epoch=3).address
    driver.accept(driver.call(), cluster="prod", epoch=3)
    call = driver.call()
    driver.accept(call, cluster="other", epoch=9, members=["stranger:1"])
    session = driver.session
    assert (session.epoch, session.state, session.leader_address) == (3, State.REGISTERED, "")
    assert "stranger:1" not in session.known_addresses()
    assert session.lease_until < call.sent_at + 15.0, "the stranger's answer renews nothing"
    other = driver.call()
    assert other.address != first and other.sent_at == call.sent_at
    driver.accept(other)  # a node of 0.1.0, which does not say
    assert session.leader_address == other.address


def TestWorkerLeaseRunsFromTheSending() -> None:
    driver = Driver()
    call = driver.call()
    driver.now += 1.5
    driver.accept(call)
    assert driver.session.lease_until == call.sent_at + 15.0


def TestWorkerIsLostAfterThreeIntervals() -> None:
    driver = Driver()
    sent = driver.register(epoch=7).sent_at
    assert driver.events() == [s.Registered(7)]
    while driver.session.state is State.REGISTERED:
        assert driver.now <= sent + 15.0
        step = driver.session.poll(driver.now)
        if step.call:
            driver.fail(step.call, "DEADLINE_EXCEEDED", after=min(2.0, sent + 15.0 - driver.now))
        else:
            driver.now = step.wake_at
    assert driver.now == sent + 15.0
    assert driver.events() == [s.Lost("no heartbeat acknowledged for 15 s")]
    call = driver.session.in_flight or driver.call()
    assert call.method == "Heartbeat", "the epoch may still be the one the cluster knows"
    driver.accept(call)
    assert driver.events() == [s.Registered(7)] and driver.session.state is State.REGISTERED


def TestWorkerIsLostDuringACall() -> None:
    driver = Driver()
    driver.register()
    driver.now += 14.0
    call = driver.call()
    step = driver.session.poll(driver.now)
    assert step == s.Step(None, 1015.0)
    driver.session.poll(1015.0)
    assert driver.session.state is State.LOST and driver.session.in_flight is call


def TestWorkerUnknownRegistersAgainAtOnce() -> None:
    driver = Driver()
    driver.register(epoch=3)
    beat = driver.call()
    driver.fail(beat, "NOT_FOUND")
    assert driver.session.epoch == 0 and driver.session.state is State.REGISTERING
    call = driver.call()
    assert (call.method, call.address, call.sent_at) == ("RegisterWorker", beat.address, beat.sent_at)
    driver.accept(call, epoch=4)
    assert driver.events() == [s.Registered(3), s.Lost("the cluster does not know this worker"), s.Registered(4)]


def TestWorkerUnknownToANewLeaderRegistersThere() -> None:
    for seed in range(20):
        driver = Driver(seed=seed)
        driver.register()
        driver.fail(driver.call())
        new_leader = driver.call().address
        driver.fail(driver.call(), "NOT_FOUND")
        assert (driver.call().method, driver.call().address) == ("RegisterWorker", new_leader)


def TestWorkerIsLostOnce() -> None:
    driver = Driver()
    driver.register()
    driver.now += 20.0
    driver.fail(driver.call(), "NOT_FOUND")
    assert [type(event) for event in driver.events()] == [s.Registered, s.Lost]


def TestWorkerForgetsALeaderThatFails() -> None:
    driver = Driver()
    driver.register(leader="n2")
    assert driver.session.leader_id == "n2"
    driver.fail(driver.call())
    assert (driver.session.leader_id, driver.session.leader_address) == ("", "")


def TestWorkersBeginWithDifferentNodes() -> None:
    assert {Driver(seed=seed).call().address for seed in range(20)} == {N1, N2, N3}


def TestWorkerReplacedEnds() -> None:
    driver = Driver()
    driver.register()
    driver.fail(driver.call(), "ABORTED")
    assert driver.session.state is State.REPLACED and driver.session.poll(driver.now).call is None
    assert driver.events()[-1] == s.Replaced()
    driver.session.leave(driver.now)
    assert driver.session.state is State.REPLACED, "must not deregister: the id is another instance's"


def TestWorkerRejectedEnds() -> None:
    driver = Driver()
    driver.fail(driver.call(), "INVALID_ARGUMENT")
    assert driver.session.state is State.REJECTED and driver.session.error == "scripted"
    assert driver.events() == [s.Lost("the cluster rejects this worker: scripted")]


@pytest.mark.parametrize("code", ["UNIMPLEMENTED", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "INTERNAL", "UNKNOWN"])
def TestWorkerGoesOnAfterOtherErrors(code: str) -> None:
    driver = Driver()
    driver.fail(driver.call(), code)
    driver.register()
    assert driver.session.state is State.REGISTERED


def TestWorkerEpochFollowsAHeartbeat() -> None:
    driver = Driver()
    driver.register(epoch=3)
    driver.accept(driver.call(), epoch=3)
    assert driver.events() == [s.Registered(3)]
    call = driver.call()
    driver.accept(call, epoch=8)
    assert driver.events() == [s.EpochRaised(8)] and driver.session.state is State.REGISTERED
    assert driver.session.epoch == 8 and driver.session.lease_until == call.sent_at + 15.0
    assert driver.call().request.epoch == 8


@pytest.mark.parametrize("epoch", [0, 7, 8])
def TestWorkerEpochNeverFalls(epoch: int) -> None:
    """A node of version 0.1.0 says no epoch, which is 0."""
    driver = Driver()
    driver.register(epoch=8)
    driver.accept(driver.call(), epoch=epoch)
    assert driver.events() == [s.Registered(8)] and driver.session.epoch == 8
    assert driver.call().request.epoch == 8


def TestWorkerReturnsUnderANewEpoch() -> None:
    """A process that was stopped: its lease has ended, and the cluster has called it offline."""
    driver = Driver()
    driver.register(epoch=3)
    driver.now += 30.0
    call = driver.call()
    assert (call.method, call.request.epoch) == ("Heartbeat", 3)
    driver.accept(call, epoch=8)
    lost, *back = driver.events()[1:]
    assert isinstance(lost, s.Lost) and back == [s.EpochRaised(8), s.Registered(8)]
    assert driver.session.epoch == 8


def TestWorkerRefusedHeartbeatKeepsTheEpoch() -> None:
    driver = Driver(N1)
    driver.register(epoch=3)
    reply = pb.HeartbeatResponse(accepted=False, epoch=8, redirect=pb.Redirect(leader_address=N2))
    driver.session.replied(driver.call(), reply, driver.now)
    assert driver.session.epoch == 3 and driver.events() == [s.Registered(3)]


def TestWorkerStaleAnswersChangeNothing() -> None:
    driver = Driver()
    first = driver.register()
    beat = driver.call()
    driver.accept(first, epoch=99)
    driver.fail(first, "ABORTED")
    assert driver.session.epoch == 1 and driver.session.in_flight is beat


def TestWorkerSaysGoodbyeToTheLeaderFirst() -> None:
    driver = Driver()
    leader = driver.register(epoch=5).address
    driver.session.leave(driver.now)
    call = driver.call()
    assert (call.method, call.address) == ("DeregisterWorker", leader)
    assert call.request == pb.DeregisterWorkerRequest(worker_id="w1", instance_id="instance", epoch=5)
    driver.accept(call)
    assert driver.session.state is State.STOPPED


def TestWorkerGoodbyeFollowsRedirect() -> None:
    driver = Driver(N1)
    driver.register()
    driver.session.leave(driver.now)
    driver.redirect(driver.call(), N2)
    call = driver.call()
    assert call.address == N2 and call.timeout <= s.LEAVE_TIMEOUT
    driver.accept(call)
    assert driver.session.state is State.STOPPED


@pytest.mark.parametrize("code", ["NOT_FOUND", "ABORTED"])
def TestWorkerGoodbyeEndsWhereNothingIsOurs(code: str) -> None:
    driver = Driver()
    driver.register()
    driver.session.leave(driver.now)
    driver.fail(driver.call(), code)
    assert driver.session.state is State.STOPPED


def TestWorkerGoodbyeGivesUp() -> None:
    driver = Driver()
    driver.register()
    driver.session.leave(driver.now)
    began, methods = driver.now, []
    while not driver.session.state.final:
        step = driver.session.poll(driver.now)
        if step.call:
            methods.append(step.call.method)
            driver.fail(step.call, "DEADLINE_EXCEEDED", after=step.call.timeout)
    assert methods == ["DeregisterWorker"] * 2 and driver.now - began == pytest.approx(s.LEAVE_BUDGET)


def TestWorkerLeavingDropsAHeartbeatUnderWay() -> None:
    driver = Driver()
    driver.register()
    beat = driver.call()
    driver.session.leave(driver.now)
    assert driver.session.in_flight is None
    driver.accept(beat)
    assert driver.session.state is State.LEAVING


def TestWorkerLeavingAwaitsARegistrationUnderWay() -> None:
    driver = Driver()
    call = driver.call()
    driver.session.leave(driver.now)
    assert driver.session.poll(driver.now) == s.Step(None, driver.now + s.LEAVE_BUDGET - s.LEAVE_TIMEOUT)
    driver.accept(call, epoch=9)
    goodbye = driver.call()
    assert (goodbye.method, goodbye.address, goodbye.request.epoch) == ("DeregisterWorker", call.address, 9)


def TestWorkerLeavingGivesUpOnARegistrationUnderWay() -> None:
    driver = Driver()
    driver.call()
    driver.session.leave(driver.now)
    driver.session.poll(driver.session.poll(driver.now).wake_at)
    assert driver.session.state is State.STOPPED and driver.session.in_flight is None


def TestWorkerEndsFromAnySequence() -> None:
    """Random replies, then leave(): it ends within the budget, and every poll has a time to wake at."""
    for seed in range(300):
        rng = random.Random(seed)
        driver = Driver(seed=seed)
        for _ in range(rng.randrange(60)):
            _anything(driver, rng)
        left_at = driver.now
        driver.session.leave(left_at)
        for _ in range(100):
            step = driver.session.poll(driver.now)
            if driver.session.state.final:
                break
            if step.call and rng.random() < 0.5:
                driver.fail(step.call, after=rng.random() * step.call.timeout)
            else:
                driver.now = min(step.wake_at, driver.now + 1.0)
        assert driver.session.state.final and driver.now - left_at <= s.LEAVE_BUDGET + 1e-6, seed


def _anything(driver: Driver, rng: random.Random) -> None:
    step = driver.session.poll(driver.now)
    call: Optional[s.Call] = driver.session.in_flight
    if call is None:
        if not driver.session.state.final:
            assert step.wake_at < float("inf"), driver.session.state
            driver.now = max(driver.now, step.wake_at)
        return
    driver.now += rng.random() * 2.5
    what = rng.randrange(4)
    if what == 0:
        driver.accept(call, epoch=rng.randrange(1, 5))
    elif what == 1:
        driver.redirect(call, rng.choice([N1, N2, N3, "n4:1", "bad"]))
    else:
        driver.fail(call, rng.choice(["UNAVAILABLE", "DEADLINE_EXCEEDED", "NOT_FOUND", "INTERNAL"]))
