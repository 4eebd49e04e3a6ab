"""Lists in pages: all pages of one version of the state, whatever is written meanwhile."""

from __future__ import annotations

import threading
from typing import Any, Dict, List

import grpc
from harness import Cluster, Node, wait_for
from test_batonctl import Batonctl, batonctl  # noqa: F401 (a fixture)
from test_store import refusal


def pages_after(node: Node, first: Any, size: int) -> List[Any]:
    """The items of the further pages."""
    found: List[Any] = list(first.items)
    more = first.more
    while more:
        page = node.call("List", start_after=found[-1].key, limit=size, at=first.read_index)
        assert page.read_index == first.read_index
        found += page.items
        more = page.more
    return found


def assert_gone(node: Node, at: int) -> None:
    code, trailers, message = refusal(node, "List", start_after=b"a", at=at)
    assert code == grpc.StatusCode.OUT_OF_RANGE and trailers["baton-reason"] == "list-gone"
    assert f"does not hold the list as of entry {at}" in message and "from the beginning" in message


def TestClusterPagesAreOfOneVersion(cluster: Cluster) -> None:
    leader = cluster.lead_in("gcp")
    keys = [f"key-{number:03}".encode() for number in range(40)]
    revisions: Dict[bytes, int] = {key: leader.call("Put", key=key, value=b"old").revision for key in keys}
    first = leader.call("List", limit=7)
    assert first.more and first.read_index >= max(revisions.values())
    for number in (0, 3, 20, 39):
        leader.call("Put", key=keys[number], value=b"new")
    for number in (1, 8, 9, 30):
        leader.call("Delete", key=keys[number])
    leader.call("Put", key=b"key-0305", value=b"new")
    assert {item.key: item.revision for item in pages_after(leader, first, 7)} == revisions
    assert_gone(cluster.followers()[0], first.read_index)
    # It is this node's, whoever leads.
    cluster.lead_in("aws")
    assert len(pages_after(leader, first, 7)) == len(keys)
    far = cluster["n1"].call("List", limit=30, follower=True)
    assert len(far.items) == 30 and far.more
    assert len(pages_after(cluster["n1"], far, 30)) == len(keys) - 4 + 1
    assert_gone(leader, first.read_index - 1)
    leader.kill()
    leader.start()
    wait_for(lambda: leader.status().leader, f"{leader.name} is back")
    assert_gone(leader, first.read_index)


def TestClusterWorkersInPages(cluster: Cluster) -> None:
    leader = cluster.leader()
    for number in range(12):
        fields = {"worker_id": f"w{number:02}", "instance_id": "i", "address": "10.0.0.1:1", "cloud": "gcp", "slots": 1}
        assert leader.call_worker_service("RegisterWorker", **fields).accepted
    first = leader.call("ListWorkers", limit=5)
    late = {"worker_id": "w065", "instance_id": "i", "address": "10.0.0.1:1", "cloud": "gcp", "slots": 1}
    assert leader.call_worker_service("RegisterWorker", **late).accepted
    ids = [worker.id for worker in first.workers]
    page = leader.call("ListWorkers", limit=20, start_after=ids[-1], at=first.read_index)
    ids += [worker.id for worker in page.workers]
    assert ids == [f"w{number:02}" for number in range(12)] and page.read_index == first.read_index
    assert all(worker.last_seen_source for worker in page.workers)
    code, _, message = refusal(leader, "ListWorkers", limit=5, at=1)
    assert code == grpc.StatusCode.OUT_OF_RANGE and "as of entry 1" in message


def TestClusterBatonctlListsOneVersion(cluster: Cluster, batonctl: Batonctl) -> None:  # noqa: F811
    """One of the first and the last key exists at any time; a list whose pages are of different times may show neither."""
    leader = cluster.leader()
    for number in range(48):  # eight to a page, so that a list takes a while
        leader.call("Put", key=f"m{number:02}".encode(), value=b"v" * 256 * 1024)
    leader.call("Put", key=b"a", value=b"v")
    stop = threading.Event()

    def move() -> None:
        here, there = b"a", b"z"
        while not stop.is_set():
            leader.call("Put", key=there, value=b"v")
            leader.call("Delete", key=here)
            here, there = there, here

    mover = threading.Thread(target=move)
    mover.start()
    try:
        for _ in range(10):
            listed = [item["key"] for item in batonctl.json("list")]
            assert len(listed) in (49, 50) and ("a" in listed or "z" in listed)
    finally:
        stop.set()
        mover.join()
