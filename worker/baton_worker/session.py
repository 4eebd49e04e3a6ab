"""The worker's protocol as pure decisions, with the time and the replies as arguments.

    step = session.poll(now)          a call to make (or none), and when to ask again
    session.replied(call, reply, now) / session.failed(call, code, message, now)
    session.take_events()             events for the program's callbacks

At most one call is in flight. A round asks every known node once: the leader first, if known, then the members that nodes
have named, in random order, then what else the configuration lists; a reply that names the leader moves it to the front,
once a round. A round without success is followed by a random backoff whose range doubles (0.2 to 5 s), so that many workers
do not retry in step.

Members come and go; every reply names them, so one living member in the configuration suffices. The first cluster that
accepts this worker is its cluster: what a node of another one says counts for nothing.

Fencing. A lease runs from the time when an acknowledged request was sent. The leader counts from when it received the
request, so a worker's lease always ends before the leader declares the worker offline, whatever the network does. When the
heartbeat of a worker that was declared offline is accepted, its registration is the same under a higher epoch.
"""

from __future__ import annotations

import enum
import logging
import random
from dataclasses import dataclass
from typing import List, Mapping, NamedTuple, Optional, Tuple, Union

from ._proto import worker_pb2 as pb
from .config import ENDPOINTS_MAX, Config, ConfigError, check_address

CALL_TIMEOUT = 2.0  # a node that does not reply in time is skipped; two fit into one heartbeat interval
INTERVAL = 5.0  # between heartbeats, until the leader sets another
INTERVAL_MIN, INTERVAL_MAX = 0.05, 60.0  # bounds for the leader's value
MISSED_MAX = 3  # the leader declares a worker offline after this many intervals
PAUSE_MIN, PAUSE_MAX = 0.2, 5.0
ROUND_MAX = 2 * ENDPOINTS_MAX  # nodes asked in one round, including those of redirects
LEAVE_BUDGET = 1.4  # for deregistering in all
LEAVE_TIMEOUT = 0.7  # for one node's reply to it, so that a second one can be asked

log = logging.getLogger("baton_worker")

Request = Union[pb.RegisterWorkerRequest, pb.HeartbeatRequest, pb.DeregisterWorkerRequest]
Reply = Union[pb.RegisterWorkerResponse, pb.HeartbeatResponse, pb.DeregisterWorkerResponse]


class State(enum.Enum):
    """The state of the registration."""

    NEW = "new"  # not started
    REGISTERING = "registering"  # no leader has accepted it yet, or the cluster has dropped it
    REGISTERED = "registered"  # the lease is valid
    LOST = "lost"  # the lease has expired without a reply; still trying
    LEAVING = "leaving"  # deregistering
    # The end of a session:
    STOPPED = "stopped"  # after deregistering
    REPLACED = "replaced"  # another instance has taken this id
    REJECTED = "rejected"  # the cluster rejects the registration

    @property
    def final(self) -> bool:
        return self in (State.STOPPED, State.REPLACED, State.REJECTED)


@dataclass(frozen=True)
class Call:
    """One RPC to make. A reply is matched with its call by object identity."""

    method: str
    address: str
    request: Request
    sent_at: float
    timeout: float

    __hash__ = object.__hash__
    __eq__ = object.__eq__


class Step(NamedTuple):
    call: Optional[Call]
    wake_at: float  # poll again then at the latest, or after a reply


class Registered(NamedTuple):
    epoch: int


class EpochRaised(NamedTuple):
    epoch: int


class Lost(NamedTuple):
    reason: str


class Replaced(NamedTuple):
    pass


Event = Union[Registered, EpochRaised, Lost, Replaced]


class Session:
    """One run of one worker. Not thread-safe: a single thread uses it."""

    def __init__(self, config: Config, instance_id: str, rng: Optional[random.Random] = None) -> None:
        self.config = config
        self.instance_id = instance_id
        self.state = State.NEW
        self.epoch = 0  # 0: never accepted
        self.cluster_id = ""  # of the cluster that has accepted it; nodes of version 0.1.0 do not tell
        self.leader_id = ""
        self.leader_address = ""
        self.lease_until = 0.0
        self.interval = INTERVAL
        self.error = ""  # why the session ended, if not by leave()
        self.in_flight: Optional[Call] = None
        self._rng = rng or random.Random()
        self._members: Tuple[str, ...] = ()  # learned from replies
        self._due = 0.0  # when the next call is to be sent
        self._round: List[str] = []  # nodes not asked yet, in this round
        self._asked: List[str] = []
        self._rounds_failed = 0
        self._leave_until = 0.0
        self._events: List[Event] = []

    def start(self, now: float) -> None:
        assert self.state is State.NEW
        self.state = State.REGISTERING
        self._due = now
        self._new_round()

    def leave(self, now: float) -> None:
        """Deregisters and ends within LEAVE_BUDGET, with or without a reply."""
        if self.state.final or self.state is State.LEAVING:
            return
        registering = self.in_flight is not None and self.in_flight.method == "RegisterWorker"
        self.state = State.LEAVING
        self._leave_until = now + LEAVE_BUDGET
        self._new_round()
        if not registering:
            self.in_flight = None
        # Otherwise its reply is awaited for a moment: a registration still in flight would outlive this session.

    def poll(self, now: float) -> Step:
        if self.state.final or self.state is State.NEW:
            return Step(None, float("inf"))
        if self.state is State.LEAVING:
            return self._poll_leaving(now)
        if self.state is State.REGISTERED and now >= self.lease_until:
            self._lose(f"no heartbeat acknowledged for {self.interval * MISSED_MAX:g} s")
        if self.in_flight is None and now >= self._due:
            self._send(now, "Heartbeat" if self.epoch else "RegisterWorker", CALL_TIMEOUT)
            return Step(self.in_flight, self._wake_at())
        return Step(None, self._wake_at())

    def replied(self, call: Call, reply: Reply, now: float) -> None:
        if call is not self.in_flight:
            return
        self.in_flight = None
        if self._is_strange(reply.redirect):
            self._stranger(call, reply.redirect, now)
            return
        self._learn(reply.redirect)
        if not reply.accepted:
            self._redirected(call, reply.redirect, now)
        elif self.state is State.LEAVING:
            self._left(call, reply)
        else:
            self._accepted(call, reply)

    def failed(self, call: Call, code: str, message: str, now: float) -> None:
        """The call ended with a gRPC status other than OK."""
        if call is not self.in_flight:
            return
        self.in_flight = None
        fields = {"address": call.address, "call": call.method, "code": code, "error": message}
        if self.state is State.LEAVING:
            _log(logging.DEBUG, "could not deregister", fields)
            if code in ("ABORTED", "NOT_FOUND"):
                self.state = State.STOPPED  # there is nothing to deregister
        elif code == "ABORTED":
            self.state = State.REPLACED
            self.error = message or "another instance has registered this worker's id"
            self._events.append(Replaced())
            _log(logging.ERROR, "replaced by another instance of this worker", fields)
        elif code == "INVALID_ARGUMENT":
            self.state = State.REJECTED
            self.error = message or code
            self._events.append(Lost(f"the cluster rejects this worker: {self.error}"))
            _log(logging.ERROR, "the cluster rejects this worker", fields)
        elif code == "NOT_FOUND" and call.method == "Heartbeat":
            # Only a leader says this; it is the one to register with.
            self.epoch = 0
            self._lose("the cluster does not know this worker")
            self.state = State.REGISTERING
            self._due = now
            self._new_round(first=call.address)
        else:
            _log(logging.WARNING, "a node did not take the call", fields)
            if call.address == self.leader_address:
                self.leader_id = self.leader_address = ""
            self._retry(now)

    def take_events(self) -> List[Event]:
        events, self._events = self._events, []
        return events

    # Replies.

    def _is_strange(self, redirect: pb.Redirect) -> bool:
        return bool(self.cluster_id and redirect.cluster_id) and redirect.cluster_id != self.cluster_id

    def _stranger(self, call: Call, redirect: pb.Redirect, now: float) -> None:
        fields = {"address": call.address, "found": redirect.cluster_id, "cluster": self.cluster_id}
        _log(logging.ERROR, "a node of another cluster answers; restart this worker if it is to move there", fields)
        if call.address == self.leader_address:
            self.leader_id = self.leader_address = ""
        if self.state is not State.LEAVING:
            self._retry(now)

    def _accepted(self, call: Call, reply: Reply) -> None:
        self.cluster_id = self.cluster_id or reply.redirect.cluster_id
        if call.method == "RegisterWorker":
            self.epoch = reply.epoch
        elif reply.epoch > self.epoch:  # 0 from a node of version 0.1.0
            _log(logging.WARNING, "returned under a new epoch", {"epoch": reply.epoch, "before": self.epoch})
            self.epoch = reply.epoch
            self._events.append(EpochRaised(self.epoch))
        leader = reply.redirect.leader_id or call.address
        if leader != self.leader_id:
            _log(logging.INFO, "following the leader", {"leader": leader, "address": call.address})
        self.leader_id, self.leader_address = leader, call.address
        if reply.heartbeat_interval_ms:
            self.interval = min(max(reply.heartbeat_interval_ms / 1000, INTERVAL_MIN), INTERVAL_MAX)
        self.lease_until = call.sent_at + self.interval * MISSED_MAX
        self._due = call.sent_at + self.interval
        self._rounds_failed = 0
        self._new_round()
        if self.state is not State.REGISTERED:
            self.state = State.REGISTERED
            self._events.append(Registered(self.epoch))
            _log(logging.INFO, "registered", {"leader": leader, "epoch": self.epoch, "interval_s": self.interval})

    def _left(self, call: Call, reply: Reply) -> None:
        if call.method == "RegisterWorker":
            self.epoch = reply.epoch
            self.leader_address = call.address
            self._new_round()
            return
        self.state = State.STOPPED
        _log(logging.INFO, "left", {"leader": self.leader_id or call.address, "epoch": self.epoch})

    def _redirected(self, call: Call, redirect: pb.Redirect, now: float) -> None:
        leader = redirect.leader_address
        if leader in self._asked or len(self._asked) >= ROUND_MAX or not _well_formed(leader):
            _log(logging.DEBUG, "a node does not lead and names no other leader", {"address": call.address, "leader": leader})
            self._retry(now)
            return
        _log(logging.DEBUG, "redirected", {"address": call.address, "leader": redirect.leader_id, "to": leader})
        self._round = [leader] + [address for address in self._round if address != leader]
        self._due = now

    def _learn(self, redirect: pb.Redirect) -> None:
        members = [address for address in redirect.member_addresses[:ENDPOINTS_MAX] if _well_formed(address)]
        if members:
            self._members = tuple(members)

    def _retry(self, now: float) -> None:
        """Tries the next node at once, or backs off after the last one."""
        self._due = now
        if not self._round:
            self._rounds_failed += 1
            most = min(PAUSE_MAX, PAUSE_MIN * 2.0 ** min(self._rounds_failed, 16))
            self._due = now + self._rng.uniform(PAUSE_MIN, most)
            self._new_round()

    def _lose(self, reason: str) -> None:
        if self.state is State.REGISTERED:
            self.state = State.LOST
            self._events.append(Lost(reason))
            _log(logging.WARNING, "lost", {"reason": reason, "epoch": self.epoch})

    # Requests.

    def known_addresses(self) -> List[str]:
        return list(dict.fromkeys((*self.config.endpoints, *self._members)))

    def _new_round(self, first: str = "") -> None:
        members, configured = list(self._members), list(self.config.endpoints)
        self._rng.shuffle(members)
        self._rng.shuffle(configured)  # some of these may have been removed: they come last
        order = [address for address in (first, self.leader_address) if address]
        self._round = list(dict.fromkeys(order + members + configured))
        self._asked = []

    def _send(self, now: float, method: str, timeout: float) -> None:
        address = self._round.pop(0)
        self._asked.append(address)
        self.in_flight = Call(method, address, self._request(method), now, timeout)

    def _request(self, method: str) -> Request:
        config = self.config
        if method == "RegisterWorker":
            return pb.RegisterWorkerRequest(instance_id=self.instance_id, **config.registration())
        if method == "Heartbeat":
            return pb.HeartbeatRequest(worker_id=config.id, instance_id=self.instance_id, epoch=self.epoch)
        return pb.DeregisterWorkerRequest(worker_id=config.id, instance_id=self.instance_id, epoch=self.epoch)

    def _poll_leaving(self, now: float) -> Step:
        if self.in_flight is not None and self.in_flight.method == "RegisterWorker":
            if now < self._leave_until - LEAVE_TIMEOUT:
                return Step(None, self._leave_until - LEAVE_TIMEOUT)
            self.in_flight = None
        if self.in_flight is not None and now < self._leave_until:
            return Step(None, self._leave_until)
        if self.epoch and self._round and now < self._leave_until and self.in_flight is None:
            self._send(now, "DeregisterWorker", min(LEAVE_TIMEOUT, self._leave_until - now))
            return Step(self.in_flight, self._leave_until)
        self.in_flight = None
        self.state = State.STOPPED
        if self.epoch:
            _log(logging.WARNING, "left, but no leader acknowledged it", {"epoch": self.epoch})
        else:
            _log(logging.INFO, "left before it was registered", {})
        return Step(None, float("inf"))

    def _wake_at(self) -> float:
        times = [] if self.in_flight else [self._due]
        if self.state is State.REGISTERED:
            times.append(self.lease_until)
        return min(times, default=float("inf"))


def _well_formed(address: str) -> bool:
    try:
        check_address(address)
    except ConfigError:
        return False
    return True


def _log(level: int, message: str, fields: Mapping[str, Union[str, int, float]]) -> None:
    log.log(level, message, extra={"fields": fields})
