"""Worker: runs a session over gRPC on a background thread.

Two threads belong to a started worker. One makes the calls: it sleeps on its mailbox, where finished calls and stop requests
arrive, and steps the session. The other runs the program's callbacks, in order, so that a slow callback delays the next
callback and never a heartbeat.

Fork: a child inherits neither thread. In it the worker is not valid and stop() does nothing, so that a child cannot
deregister its parent; start workers after forking.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
import uuid
from types import TracebackType
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Type, Union

import grpc

from ._proto import worker_pb2_grpc
from .config import Config
from .names import Names, NameUnknown
from .session import LEAVE_BUDGET, Call, EpochRaised, Event, Lost, Registered, Session, State
from .tls import Credentials, Tls

log = logging.getLogger("baton_worker")

CALLBACKS_GRACE = 0.3  # how long stop() waits for callbacks still running

_CHANNEL_OPTIONS: List[Tuple[str, Union[int, str]]] = [
    ("grpc.keepalive_time_ms", 4000),  # below the heartbeat interval: closes a dead leader's connection
    ("grpc.keepalive_timeout_ms", 2000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.client_idle_timeout_ms", 60000),  # closes idle connections to followers
    ("grpc.use_local_subchannel_pool", 1),  # so that closing a channel closes its connection
    ("grpc.enable_http_proxy", 0),
]


def clock() -> float:
    """Monotonic seconds. Includes suspend where the system can: a lease must not outlive a suspended host."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class _NotMade(grpc.RpcError):  # type: ignore[misc]
    """The future of a call that could not even be sent."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self._message = message

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE

    def details(self) -> str:
        return self._message

    def exception(self) -> _NotMade:
        return self

    def cancelled(self) -> bool:
        return False

    def cancel(self) -> bool:
        return False


class Channels:
    """One channel for each node, as long as the node is known and replies.

    gRPC reconnects after a pause of its own, and meanwhile fails every call at once; worse, it looks after a connection being
    made only while a call waits, and otherwise every 5 s. When to try again is the session's decision, so the channel of a node
    that was not reached is closed, and the next call connects again. Names are looked up here (names.py), not by gRPC, whose
    lookup ends with its channel.
    """

    def __init__(self, credentials: Optional[Credentials] = None, names: Optional[Names] = None) -> None:
        """In plaintext without credentials."""
        self._credentials = credentials
        self._names = names or Names()
        self._open: Dict[str, Any] = {}
        self._versions: Dict[str, Any] = {}  # of the credentials that a channel was made with

    def start(self, call: Call, done: Callable[[Any], None]) -> Any:
        """Begins the call; `done` gets the finished future, in one of gRPC's threads, or before this returns."""
        if call.address not in self._open:
            try:
                self._open[call.address] = self._connect(call.address)
            except NameUnknown as error:
                failed = _NotMade(str(error))
                done(failed)
                return failed
        stub = worker_pb2_grpc.WorkerServiceStub(self._open[call.address])  # type: ignore[no-untyped-call]
        future = getattr(stub, call.method).future(call.request, timeout=call.timeout)
        future.add_done_callback(done)
        return future

    def failed(self, address: str, code: str, message: str) -> None:
        """A connection that broke needs no help, gRPC makes another for the next call, with the credentials that it has; one
        that could not be made, or whose credentials are not today's, does."""
        unreachable = code == "DEADLINE_EXCEEDED" or message.startswith("failed to connect")
        if self._credentials is not None and code == "UNAVAILABLE":
            self._credentials.refresh()
            unreachable = unreachable or self._versions.get(address) != self._credentials.version
        if unreachable:
            self._close(address)

    def keep(self, addresses: Sequence[str]) -> None:
        for address in [address for address in self._open if address not in addresses]:
            self._close(address)
        self._names.keep(addresses)

    def _connect(self, address: str) -> Any:
        target = self._names.target(address)
        # The node's certificate names what is called, not the address that was found for it.
        options = [*_CHANNEL_OPTIONS, ("grpc.default_authority", address)]
        if self._credentials is None:
            return grpc.insecure_channel(target, options=options)
        self._credentials.refresh()
        self._versions[address] = self._credentials.version
        return grpc.secure_channel(target, self._credentials.current, options=options)

    def _close(self, address: str) -> None:
        if address in self._open:
            self._open.pop(address).close()


class _Answer(NamedTuple):
    call: Call
    future: Any


class _View(NamedTuple):
    """The session as other threads see it: replaced as a whole, so that reading needs no lock."""

    state: State = State.NEW
    epoch: int = 0
    leader: str = ""
    lease_until: float = 0.0
    error: str = ""


class Worker:
    """Registers with a baton cluster and stays registered until stop().

        with Worker("w1", "10.0.0.7:9000", "gcp", ["n1:7400", "n2:7400", "n3:7400"]) as worker:
            ...

    on_registered(epoch) is called when a leader has accepted the worker, and again after it was lost or forgotten;
    on_epoch(epoch) when the cluster had declared the worker offline and it is back: `epoch` has risen, and what was begun under
    the one before may have gone to another worker (if the lease had ended too, on_registered follows);
    on_lost(reason) when the lease has ended without an answer, or the cluster does not know or does not accept the worker;
    on_replaced() when another instance has registered the same id: this one has stopped then. Exceptions in them are logged.
    Each is called in one thread of the worker's own, never in the caller's.
    """

    def __init__(
        self,
        id: str,
        address: str,
        cloud: str,
        endpoints: Sequence[str],
        *,
        slots: int = 1,
        labels: Optional[Mapping[str, str]] = None,
        tls: Optional[Tls] = None,
        on_registered: Optional[Callable[[int], object]] = None,
        on_epoch: Optional[Callable[[int], object]] = None,
        on_lost: Optional[Callable[[str], object]] = None,
        on_replaced: Optional[Callable[[], object]] = None,
    ) -> None:
        """Raises ConfigError (a ValueError) for values that no cluster would accept."""
        self.config = Config(id, address, cloud, tuple(endpoints), slots, dict(labels or {}))
        self.instance_id = uuid.uuid4().hex
        self._credentials = None if tls is None else Credentials(tls)
        self._on_registered = on_registered
        self._on_epoch = on_epoch
        self._on_lost = on_lost
        self._on_replaced = on_replaced
        self._view = _View()
        self._pid = 0  # 0: not started
        # SimpleQueue.put is reentrant: a signal handler may stop a worker.
        self._mailbox: queue.SimpleQueue[Optional[_Answer]] = queue.SimpleQueue()
        self._events: queue.SimpleQueue[Optional[Event]] = queue.SimpleQueue()
        self._finished = threading.Event()
        self._caller = threading.Thread(target=self._run, name=f"baton-worker-{id}", daemon=True)
        self._notifier = threading.Thread(target=self._notify, name=f"baton-worker-{id}-callbacks", daemon=True)

    def start(self) -> Worker:
        """Starts the threads and returns at once. A Worker starts only once; create another to start again."""
        if self._pid:
            raise RuntimeError("this worker was started before; make a new one")
        self._pid = os.getpid()
        self._notifier.start()
        self._caller.start()
        return self

    def stop(self) -> None:
        """Deregisters the worker, so that it is offline at once, and ends both threads. Returns within 2 s in any case.

        Does nothing in a forked child, before start(), and the second time.
        """
        if self._pid != os.getpid():
            return
        self._mailbox.put(None)
        for thread, seconds in ((self._caller, LEAVE_BUDGET + 0.2), (self._notifier, CALLBACKS_GRACE)):
            if thread is not threading.current_thread():
                thread.join(seconds)

    def wait(self, timeout: Optional[float] = None) -> bool:
        """Blocks until the worker has ended: stopped, replaced or rejected. False if it has not within `timeout` seconds."""
        return self._finished.wait(timeout)

    def __enter__(self) -> Worker:
        return self.start()

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.stop()

    @property
    def id(self) -> str:
        return self.config.id

    @property
    def state(self) -> State:
        return self._view.state

    @property
    def epoch(self) -> int:
        """The fencing token: send it with what you write elsewhere, and refuse there what comes with a lower one.

        It rises when the worker returns after the cluster had declared it offline. So read it when you begin a piece of work,
        and send that value with its results. 0 until the worker is registered, and while the cluster does not know it.
        """
        return self._view.epoch

    @property
    def leader(self) -> str:
        """The node id of the leader that replied last; empty if none is known."""
        return self._view.leader

    @property
    def error(self) -> str:
        """Why the worker ended without stop(): replaced, rejected, or an internal error. Empty otherwise."""
        return self._view.error

    def is_valid(self, now: Optional[float] = None) -> bool:
        """Whether the lease holds: a leader has acknowledged what was sent less than three intervals ago.

        It is computed at the call, so that it is right even in a process that was stopped for a while. `now` is a time of
        baton_worker.worker.clock().
        """
        view = self._view
        in_this_process = self._pid == os.getpid()
        return in_this_process and view.state is State.REGISTERED and (clock() if now is None else now) < view.lease_until

    # The caller's thread.

    def _run(self) -> None:
        session = Session(self.config, self.instance_id)
        channels = Channels(self._credentials)
        answer: Optional[_Answer] = None
        try:
            session.start(clock())
            while not session.state.final:
                answer = self._step(session, channels, answer)
        except Exception:
            log.exception("the worker's thread failed", extra={"fields": {"state": session.state.value}})
            self._view = _View(State.STOPPED, error="internal error, see the log")
        finally:
            if answer is not None:
                answer.future.cancel()
            channels.keep(())
            self._events.put(None)
            self._finished.set()

    def _step(self, session: Session, channels: Channels, current: Optional[_Answer]) -> Optional[_Answer]:
        """Polls the session, acts on it, and sleeps until something happens. Returns the call in flight."""
        step = session.poll(clock())
        if current is not None and current.call is not session.in_flight:
            current.future.cancel()
            current = None
        if step.call is not None:
            channels.keep((*session.known_addresses(), session.leader_address, step.call.address))
            current = self._begin(step.call, channels)
        self._publish(session)
        if session.state.final:
            return current
        try:
            seconds = max(0.0, step.wake_at - clock())
            message = self._mailbox.get(timeout=min(seconds, threading.TIMEOUT_MAX))
        except queue.Empty:
            return current
        if message is None:
            session.leave(clock())
        else:
            _feed(session, channels, message)
        self._publish(session)
        return current

    def _begin(self, call: Call, channels: Channels) -> _Answer:
        return _Answer(call, channels.start(call, lambda future: self._mailbox.put(_Answer(call, future))))

    def _publish(self, session: Session) -> None:
        self._view = _View(session.state, session.epoch, session.leader_id, session.lease_until, session.error)
        for event in session.take_events():
            self._events.put(event)

    # The callbacks' thread.

    def _notify(self) -> None:
        for event in iter(self._events.get, None):
            try:
                if isinstance(event, Registered):
                    if self._on_registered:
                        self._on_registered(event.epoch)
                elif isinstance(event, EpochRaised):
                    if self._on_epoch:
                        self._on_epoch(event.epoch)
                elif isinstance(event, Lost):
                    if self._on_lost:
                        self._on_lost(event.reason)
                elif self._on_replaced:
                    self._on_replaced()
            except Exception:
                log.exception("a callback failed", extra={"fields": {"event": type(event).__name__}})


def _feed(session: Session, channels: Channels, answer: _Answer) -> None:
    if answer.future.cancelled():
        return
    error = answer.future.exception()
    reply = answer.future.result() if error is None else None
    if reply is not None:
        session.replied(answer.call, reply, clock())
    elif error is None:  # OK without a message: no node of ours says so
        session.failed(answer.call, "INTERNAL", "the reply has no message", clock())
    else:
        code, message = error.code().name, error.details() or ""
        channels.failed(answer.call.address, code, message)
        session.failed(answer.call, code, message, clock())
