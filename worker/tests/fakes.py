"""Nodes for workers to talk to: real gRPC servers on loopback whose behaviour a test scripts."""

from __future__ import annotations

import threading
import time
from concurrent import futures
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional

import grpc

from baton_worker._proto import worker_pb2 as pb
from baton_worker._proto import worker_pb2_grpc

DEADLINE = 30.0  # for what should take milliseconds: a busy machine must not fail a test

REPLIES = {
    "RegisterWorker": pb.RegisterWorkerResponse,
    "Heartbeat": pb.HeartbeatResponse,
    "DeregisterWorker": pb.DeregisterWorkerResponse,
}


@dataclass
class Seen:
    """One call as a node received it."""

    method: str
    request: Any
    at: float
    peer: str


class Refuse(Exception):
    """What a script raises to answer with a gRPC status."""

    def __init__(self, code: grpc.StatusCode, message: str = "scripted") -> None:
        self.code = code
        self.message = message


Script = Callable[["Node", str, Any], Any]


class Node(worker_pb2_grpc.WorkerServiceServicer):
    """Leads by default: accepts everything with epoch 1 and a heartbeat interval of 50 ms."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.script: Script = leads
        self.epoch = 1
        self.tells_epoch = True  # in answers to heartbeats; version 0.1.0 does not
        self.interval_ms = 50
        self.members: List[str] = []
        self.seen: List[Seen] = []
        self._news = threading.Condition()
        self._hung = threading.Event()
        self.port = 0
        self._server: Optional[grpc.Server] = None
        self.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Also after stop(), on the same port."""
        options = [("grpc.so_reuseport", 0), ("grpc.http2.min_ping_interval_without_data_ms", 10)]
        self._hung.clear()
        self._server = grpc.server(futures.ThreadPoolExecutor(8), options=options)
        worker_pb2_grpc.add_WorkerServiceServicer_to_server(self, self._server)
        port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        assert port, f"port {self.port} is taken"
        self.port = port
        self._server.start()

    def stop(self) -> None:
        if self._server is not None:
            self._hung.set()
            self._server.stop(grace=None).wait()
            self._server = None

    def hang(self, _node: Node, _method: str, _request: Any) -> Any:
        """A script: answers nothing until the node stops."""
        self._hung.wait()
        raise Refuse(grpc.StatusCode.UNAVAILABLE)

    def reply(self, method: str, accepted: bool, leader: Optional[Node] = None) -> Any:
        reply = REPLIES[method](accepted=accepted)
        if leader is not None:
            reply.redirect.leader_id = leader.name
            reply.redirect.leader_address = leader.address
        reply.redirect.member_addresses.extend(self.members)
        if accepted and method != "DeregisterWorker":
            reply.heartbeat_interval_ms = self.interval_ms
        if accepted and (method == "RegisterWorker" or (method == "Heartbeat" and self.tells_epoch)):
            reply.epoch = self.epoch
        return reply

    def _call(self, method: str, request: Any, context: grpc.ServicerContext) -> Any:
        with self._news:
            self.seen.append(Seen(method, request, time.monotonic(), context.peer()))
            self._news.notify_all()
        try:
            return self.script(self, method, request)
        except Refuse as refused:
            context.abort(refused.code, refused.message)

    def RegisterWorker(self, request: Any, context: grpc.ServicerContext) -> Any:
        return self._call("RegisterWorker", request, context)

    def Heartbeat(self, request: Any, context: grpc.ServicerContext) -> Any:
        return self._call("Heartbeat", request, context)

    def DeregisterWorker(self, request: Any, context: grpc.ServicerContext) -> Any:
        return self._call("DeregisterWorker", request, context)

    def calls(self, method: str) -> List[Seen]:
        return [seen for seen in self.seen if seen.method == method]

    def wait_for(self, method: str, count: int = 1) -> List[Seen]:
        """Until it has received that many calls in all."""
        with self._news:
            reached = self._news.wait_for(lambda: len(self.calls(method)) >= count, DEADLINE)
        assert reached, f"{self.name} has seen {[seen.method for seen in self.seen]}, not {count} x {method}"
        return self.calls(method)


def leads(node: Node, method: str, _request: Any) -> Any:
    return node.reply(method, accepted=True, leader=node)


def follows(leader: Node) -> Script:
    return lambda node, method, _request: node.reply(method, accepted=False, leader=leader)


def refuses(code: grpc.StatusCode, message: str = "scripted", method: Optional[str] = None, times: int = 10**9) -> Script:
    """Answers with the code, `times` times and where only `method` is named only that; otherwise it leads."""
    left = [times]

    def script(node: Node, called: str, request: Any) -> Any:
        if method in (None, called) and left[0] > 0:
            left[0] -= 1
            raise Refuse(code, message)
        return leads(node, called, request)

    return script


class Told:
    """Callbacks that remember what they were told."""

    def __init__(self) -> None:
        self.events: List[Any] = []
        self._news = threading.Condition()

    def _tell(self, *event: Any) -> None:
        with self._news:
            self.events.append(event)
            self._news.notify_all()

    def callbacks(self) -> Dict[str, Callable[..., None]]:
        return {
            "on_registered": lambda epoch: self._tell("registered", epoch),
            "on_epoch": lambda epoch: self._tell("epoch", epoch),
            "on_lost": lambda reason: self._tell("lost", reason),
            "on_replaced": lambda: self._tell("replaced"),
        }

    def wait_for(self, *kinds: str) -> List[Any]:
        """Until the events are of exactly these kinds, or begin so."""
        with self._news:
            reached = self._news.wait_for(lambda: len(self.events) >= len(kinds), DEADLINE)
        assert reached and [event[0] for event in self.events[: len(kinds)]] == list(kinds), self.events
        return self.events

    def wait_for_last(self, kind: str) -> None:
        """Until the newest event is of this kind; on a busy machine a short lease may end, and begin again, before."""
        with self._news:
            reached = self._news.wait_for(lambda: bool(self.events) and self.events[-1][0] == kind, DEADLINE)
        assert reached, self.events
