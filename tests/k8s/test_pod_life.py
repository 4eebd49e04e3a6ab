"""A pod's life while clients write: new addresses under the same name and disk, machines that vanish, more pods, a lost disk."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Dict, Iterator, Set

import pytest
from harness import wait_for
from pods import Pods
from test_names import NameService

WRITERS = 2


@pytest.fixture
def empty_cluster(hosts: None, tmp_path: Path) -> Iterator[Pods]:
    """No pod yet; a name service that every host of the test asks."""
    names = NameService(tmp_path)
    names.become({})
    target = os.path.realpath("/etc/resolv.conf")
    subprocess.run(["mount", "--bind", tmp_path / "resolv.conf", target], check=True)
    with ExitStack() as stack:
        stack.callback(subprocess.run, ["umount", target], check=True)
        pods = Pods(tmp_path, names, stack)
        yield pods
        pods.close()


@pytest.fixture
def pods(empty_cluster: Pods) -> Pods:
    """As after the first apply."""
    for ordinal in range(3):
        empty_cluster.add_pod(ordinal, founder=True)
    empty_cluster.wait_ready(0, 1, 2)
    return empty_cluster


def writes_go_on(pods: Pods, acknowledged: Dict[str, str], count: int = 20) -> None:
    """More than were under way when it was asked."""
    before = len(acknowledged)
    wait_for(lambda: len(acknowledged) >= before + count, "writes go on")


def nothing_is_lost(pods: Pods, acknowledged: Dict[str, str]) -> None:
    assert acknowledged
    leader = pods.leader()
    for key, value in acknowledged.items():
        assert leader.call("Get", key=key.encode()).value.decode() == value, key


def is_healthy(pods: Pods, *ordinals: int) -> None:
    """Exactly these vote, all reach each other and have all that was written."""
    names = {f"baton-{ordinal}" for ordinal in ordinals}
    pods.wait_applied(pods.put("last", "v"), *names)
    for name in names:

        def reached() -> Set[str]:
            members = pods[name].status().members
            assert {member.id for member in members if member.voter} == names
            return names if all(member.id == name or member.reachable for member in members) else set()

        wait_for(reached, f"{name} reaches all others")
    told = json.loads(pods.batonctl("-o", "json", "status"))
    assert {node["node"] for node in told} == names
    assert not any(node.get("does_not_reach") for node in told), told
    assert len({node["leader"] for node in told}) == 1
    for name in names:
        assert pods[name].get("/readyz")[0] == 200


def TestPodComesBackWithAnotherAddress(pods: Pods) -> None:
    """The apply after the first one, and every upgrade: each pod in turn, from the highest ordinal on, without --bootstrap."""
    with pods.load(WRITERS) as acknowledged:
        for ordinal in (2, 1, 0):
            pod = pods.pod(ordinal)
            before = pod.ip
            pod.stop()
            pod.schedule()
            assert pod.ip != before
            pods.wait_ready(ordinal)
            writes_go_on(pods, acknowledged)
    is_healthy(pods, 0, 1, 2)
    nothing_is_lost(pods, acknowledged)


def TestPodIsRescheduledWhileAnotherIsDown(pods: Pods) -> None:
    """One machine is lost; before its pod runs elsewhere, the pod of another one moves: two of three are at new addresses."""
    with pods.load(WRITERS) as acknowledged:
        writes_go_on(pods, acknowledged)
        pods.pod(2).vanish()
        writes_go_on(pods, acknowledged)
        pods.pod(1).vanish()
        pods.pod(1).schedule()
        writes_go_on(pods, acknowledged)  # by baton-0 and baton-1
        pods.pod(2).schedule()
        pods.wait_ready(0, 1, 2)
        writes_go_on(pods, acknowledged)
    is_healthy(pods, 0, 1, 2)
    nothing_is_lost(pods, acknowledged)


def TestPodsAllComeBackAtOnce(pods: Pods) -> None:
    """Each at another address: none finds another by what it knew before."""
    pods.put("before", "v")
    for ordinal in range(3):
        pods.pod(ordinal).vanish()
    for ordinal in range(3):
        pods.pod(ordinal).schedule()
    pods.wait_ready(0, 1, 2)
    assert pods.get("before") == "v"
    is_healthy(pods, 0, 1, 2)


def TestPodsAreScaledFromThreeToFive(pods: Pods) -> None:
    """As docs/operations.md has it; and to three again from below, so that no id is needed twice."""
    with pods.load(WRITERS) as acknowledged:
        for ordinal in (3, 4):
            pod = pods.add_pod(ordinal)
            wait_for(lambda: "waits to be added" in pod.log(), f"{pod.name} waits")
            assert not pod.is_ready()  # the Service for clients does not have it yet
            pods.batonctl("member", "add", f"{pod.name}={pod.known_as}/gcp")
        for ordinal in (3, 4):
            pods.wait_ready(ordinal)

            def promoted() -> bool:
                try:
                    return bool(pods.batonctl("member", "promote", f"baton-{ordinal}"))
                except AssertionError as error:
                    assert "has not caught up" in str(error) or "another change" in str(error), error
                    return False

            wait_for(promoted, f"baton-{ordinal} votes")
        writes_go_on(pods, acknowledged)
        is_healthy(pods, 0, 1, 2, 3, 4)
        for ordinal in (0, 1):
            pods.pod(ordinal).expected_exit = 0
            pods.batonctl("member", "remove", f"baton-{ordinal}")
            assert pods.pod(ordinal).wait() == 0
            pods.forget(ordinal)
        writes_go_on(pods, acknowledged)
    is_healthy(pods, 2, 3, 4)
    nothing_is_lost(pods, acknowledged)


def TestPodWhoseDiskIsLostIsReplacedByTheNextOrdinal(pods: Pods) -> None:
    """It comes back under its id, takes no part, and is not ready; whoever stands below it is replaced, too."""
    with pods.load(WRITERS) as acknowledged:
        writes_go_on(pods, acknowledged)
        lost = pods.pod(1)
        lost.vanish()
        lost.lose_disk()
        lost.schedule()
        writes_go_on(pods, acknowledged)
        assert not lost.is_ready()
        for old, new in ((1, 3), (0, 4)):
            added = pods.add_pod(new)
            pods.pod(old).expected_exit = 0
            pods.batonctl("member", "replace", f"baton-{old}", f"{added.name}={added.known_as}/gcp", "--timeout", "50s")
            if pods.pod(old).running and old == 1:
                pods.pod(old).kill()  # nobody speaks to it; it goes when the ordinals begin above it
            pods.forget(old)
        writes_go_on(pods, acknowledged)
    is_healthy(pods, 2, 3, 4)
    nothing_is_lost(pods, acknowledged)
