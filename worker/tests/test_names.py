"""Names: a lookup outlasts the call that wanted it, and a name that fails keeps its addresses."""

from __future__ import annotations

import queue
import socket
import threading
import time
from typing import Any, Dict, List

import pytest
from fakes import DEADLINE, Node

from baton_worker._proto import worker_pb2 as pb
from baton_worker.names import Names, NameUnknown, is_literal, system_look_up, target_of
from baton_worker.session import Call
from baton_worker.worker import Channels


class Service:
    """A name service whose answers a test scripts."""

    def __init__(self) -> None:
        self.answers: Dict[str, Any] = {}  # addresses, or an error
        self.hangs: Dict[str, threading.Event] = {}
        self.asked: List[str] = []

    def look_up(self, host: str, port: int) -> List[str]:
        self.asked.append(host)
        if host in self.hangs:
            assert self.hangs[host].wait(DEADLINE)
        if isinstance(self.answers[host], Exception):
            raise self.answers[host]
        return list(self.answers[host])


def eventually(names: Names, address: str) -> str:
    until = time.monotonic() + DEADLINE
    while True:
        try:
            return names.target(address)
        except NameUnknown:
            assert time.monotonic() < until


def TestNamesHangingLookupOutlastsThoseWhoWait() -> None:
    service = Service()
    service.answers = {"slow": ["10.0.0.1"], "quick": ["10.0.0.2"]}
    service.hangs["slow"] = threading.Event()
    names = Names(service.look_up)
    for _ in range(3):
        with pytest.raises(NameUnknown, match="no address of slow is known: it is being looked up"):
            names.target("slow:7400")
        assert names.target("quick:7400") == "ipv4:10.0.0.2:7400"  # it delays no other
    assert service.asked.count("slow") == 1
    service.hangs["slow"].set()
    assert eventually(names, "slow:7400") == "ipv4:10.0.0.1:7400"


def TestNamesFailingLookupKeepsTheLastAddresses() -> None:
    service = Service()
    names = Names(service.look_up)
    service.answers["n1"] = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    with pytest.raises(NameUnknown, match="no address of n1 is known: .*Temporary failure"):
        names.target("n1:7400")
    service.answers["n1"] = ["10.0.0.1", "10.0.0.2"]
    assert names.target("n1:7400") == "ipv4:10.0.0.1:7400,10.0.0.2:7400"
    for failure in (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), UnicodeError("label empty"), []):
        service.answers["n1"] = failure
        assert names.target("n1:7400") == "ipv4:10.0.0.1:7400,10.0.0.2:7400"
    service.hangs["n1"] = threading.Event()
    assert names.target("n1:7400") == "ipv4:10.0.0.1:7400,10.0.0.2:7400"
    service.hangs.pop("n1").set()
    names.keep(())
    with pytest.raises(NameUnknown):
        names.target("n1:7400")


def TestNamesMoved() -> None:
    service = Service()
    names = Names(service.look_up)
    for address in ("10.0.0.1", "10.0.0.2"):
        service.answers["n1"] = [address]
        assert names.target("n1:7400") == f"ipv4:{address}:7400"


def TestNamesNotForAddresses() -> None:
    service = Service()
    names = Names(service.look_up)
    for address in ("127.0.0.1:7400", "[::1]:7400", "[fd00::7]:1"):
        assert names.target(address) == address
    assert not service.asked
    assert not is_literal("n1") and not is_literal("127.0.0.1.example")


def TestNamesOfBothFamilies() -> None:
    assert target_of(["::1", "127.0.0.1"], 7400) == "ipv6:[::1]:7400,[::ffff:127.0.0.1]:7400"
    assert target_of(["fe80::1%lo"], 7400) == "ipv6:[fe80::1]:7400"
    assert "127.0.0.1" in system_look_up("localhost", 7400)


def call(channels: Channels, address: str) -> Any:
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
    request = pb.RegisterWorkerRequest(worker_id="w1", instance_id="i", address="10.0.0.7:9000", cloud="gcp", slots=1)
    channels.start(Call("RegisterWorker", address, request, 0.0, 2.0), answers.put)
    return answers.get(timeout=DEADLINE)


def TestNamesLookupLongerThanACall(node: Node) -> None:
    """Each call while the name is looked up fails; none begins the lookup anew."""
    service = Service()
    service.answers["n1.test"] = ["::1", "127.0.0.1"]  # nobody listens on the first
    service.hangs["n1.test"] = threading.Event()
    channels = Channels(names=Names(service.look_up))
    for _ in range(3):
        error = call(channels, f"n1.test:{node.port}").exception()
        assert error.code().name == "UNAVAILABLE" and "is being looked up" in error.details()
        channels.failed(f"n1.test:{node.port}", error.code().name, error.details())
    assert service.asked == ["n1.test"]
    service.hangs["n1.test"].set()
    deadline = time.monotonic() + DEADLINE
    while call(channels, f"n1.test:{node.port}").exception() is not None:
        assert time.monotonic() < deadline
    assert service.asked == ["n1.test"]
    channels.keep(())
