"""Leadership: elections, transfers, partitions."""

from __future__ import annotations

import json
import re
import statistics
import time
from contextlib import ExitStack
from datetime import datetime
from typing import Any, Dict, List

import grpc
import pytest
from harness import DEADLINE, NODES, Cluster, Node, wait_for

ELECTION_LIMIT = 15.0


def TestClusterElectsALeader(empty_cluster: Cluster) -> None:
    empty_cluster.start()
    leader = empty_cluster.leader(ELECTION_LIMIT)
    for node in empty_cluster.nodes.values():
        wait_for(lambda: node.status().leader == leader.name, f"{node.name} knows that {leader.name} leads")
    assert f"{leader.name} transitioned from Candidate to Leader (term " in leader.log()


@pytest.mark.parametrize("again", [False, True], ids=["founded", "restarted"])
def TestClusterElectsAtAStartWithoutATimeout(empty_cluster: Cluster, again: bool) -> None:
    """Nodes that start together ask for votes when they reach each other; here no timeout ends before the deadline."""
    if again:
        empty_cluster.start()
        empty_cluster.wait_applied(empty_cluster.put("before", "1"))
        empty_cluster.kill_all()
    for node in empty_cluster.nodes.values():
        node._command += ["--election-timeout", "600s-1200s"]
    empty_cluster.start()
    leader = empty_cluster.leader(ELECTION_LIMIT)
    assert leader.log().count("transitioned from Candidate to Leader") >= 1
    # One that starts later disturbs nobody.
    other = empty_cluster.others(leader.name)[0]
    term = leader.status().term
    other.kill()
    other.start()
    wait_for(lambda: other.status().leader == leader.name, f"{other.name} follows {leader.name}")
    assert leader.status().term == term


def TestClusterFoundedWithOtherPeersIsSaid(empty_cluster: Cluster) -> None:
    said = "was founded with other --peers"
    command = empty_cluster["n3"]._command
    peers = command.index("--peers") + 1
    command[peers] = command[peers].replace("198.18.1.1:7400/gcp", "198.18.1.1:7400/aws")
    empty_cluster.start()
    for node in empty_cluster.nodes.values():
        wait_for(lambda: said in node.log(), f"{node.name} says who disagrees")
    log = empty_cluster["n1"].log()
    assert log.count(said) == 1 and "peer=n3" in log[log.index(said) :].splitlines()[0]


def TestClusterSaysWhereTheLogPlacesANode(cluster: Cluster) -> None:
    """The members are in the log; a node started with another address or cloud logs that the log prevails."""
    n3 = cluster["n3"]
    n3.stop()
    peers = n3._command.index("--peers")
    n3._command[peers : peers + 3] = ["--cloud", "gcp", "--advertise", "198.18.2.3:7500"]
    n3.start()
    wait_for(lambda: n3.status().leader, "n3 follows a leader")
    assert 'theirs=198.18.2.3:7400 advertise=198.18.2.3:7500' in n3.log()
    assert 'the log prevails" log=aws cloud=gcp' in n3.log()


def TestClusterElectsAnotherLeaderAfterAKill(cluster: Cluster) -> None:
    old = cluster.leader()
    term = old.status().term
    cluster.put("before", "1")
    old.kill()
    new = cluster.leader(ELECTION_LIMIT, other_than=old.name)
    assert new.status().term > term
    assert cluster.get("before") == "1"
    cluster.put("after", "2")
    old.start()
    wait_for(lambda: old.status().leader == new.name, f"{old.name} follows {new.name}")
    cluster.wait_applied(new.status().commit_index)
    assert old.call("Get", key=b"after", stale=True).value == b"2"


def TestClusterWithoutAMajorityRefuses(cluster: Cluster) -> None:
    from baton.v1 import control_pb2 as pb
    from baton.v1 import control_pb2_grpc

    leader, *others = [cluster.leader(), *cluster.followers()]
    for node in others:
        node.pause()
    write = control_pb2_grpc.ControlServiceStub(leader.channel).Put.future(pb.PutRequest(key=b"w"), timeout=DEADLINE)
    wait_for(lambda: leader.status().role != "leader", f"{leader.name} steps down")
    # A later leader may or may not have it: the client learns before its deadline that the outcome is unknown.
    assert write.code() == grpc.StatusCode.UNAVAILABLE, write.exception()
    assert ("baton-outcome", "unknown") in write.trailing_metadata() and "outcome unknown" in write.details()
    with pytest.raises(grpc.RpcError) as raised:
        leader.call("Put", key=b"k", value=b"v")
    assert raised.value.code() == grpc.StatusCode.UNAVAILABLE, raised.value
    status, headers, body = leader.get("/cluster-state")
    assert status == 503 and headers["Retry-After"] and json.loads(body)["error"]
    assert leader.get("/livez")[0] == 200, "a node without a quorum is alive"
    for node in others:
        node.resume()
    cluster.put("k", "v")


def TestClusterWritesCutOffAreAnswered(cluster: Cluster) -> None:
    """Several writes wait on a deposed leader: the next leader's first entry ends them all, not only the one at its index."""
    from baton.v1 import control_pb2 as pb
    from baton.v1 import control_pb2_grpc

    leader = cluster.lead_in("aws")
    stub = control_pb2_grpc.ControlServiceStub(leader.channel)
    with cluster.cut():
        last = leader.status().last_log_index
        writes = [stub.Put.future(pb.PutRequest(key=b"%d" % number), timeout=DEADLINE) for number in range(5)]
        wait_for(lambda: leader.status().last_log_index == last + len(writes), "the writes wait for a majority")
        leader.pause()
        cluster.leader(other_than=leader.name)
    leader.resume()
    for write in writes:
        error = write.exception()
        assert error.code() == grpc.StatusCode.UNAVAILABLE and "nothing was written" in error.details(), error


def TestClusterStrangersFloodNoLog(cluster: Cluster) -> None:
    """Nodes name themselves in every message; a caller that does not is refused, with a limited number of log lines."""
    from baton.v1 import raft_pb2 as raft
    from baton.v1 import raft_pb2_grpc

    node = cluster.leader()
    term = node.status().term
    stub = raft_pb2_grpc.RaftServiceStub(node.channel)
    envelope = raft.Envelope(**{"cluster_id": "test", "generation": 1, "from": "n9", "to": node.name, "protocol": 1})
    vote = raft.RequestVoteRequest(envelope=envelope, term=2**62, candidate_id="n9", leadership_transfer=True)
    began = time.monotonic()
    for call in [stub.RequestVote.future(vote, timeout=DEADLINE) for _ in range(1000)]:
        assert call.exception().code() == grpc.StatusCode.PERMISSION_DENIED, call.exception()
    seconds = time.monotonic() - began
    assert 1 <= node.log().count("refused a message") <= 10 * (seconds + 2), f"in {seconds:.1f} s"
    assert node.status().term == term


def TestClusterTermOutlivesACut(cluster: Cluster) -> None:
    """A node partitioned for 5 s returns without disturbing the leader: it only requested pre-votes."""
    leader = cluster.lead_in("gcp")
    n3 = cluster["n3"]
    term = leader.status().term
    with cluster.cut():
        cut_at = time.monotonic()
        wait_for(lambda: not n3.status().leader, "n3 notices that it hears no leader")
        cluster.put("during", "1")
        wait_for(lambda: time.monotonic() >= cut_at + 5.0, "5 s have passed")
        assert cluster.leader().name == leader.name
    wait_for(lambda: n3.status().leader == leader.name, f"n3 follows {leader.name} again")
    cluster.put("after", "2")
    cluster.wait_applied(leader.status().commit_index)
    for node in cluster.nodes.values():
        status = node.status()
        assert (status.leader, status.term) == (leader.name, term), f"{node.name}: {status}"


def logged_at(node: Node, message: str, offset: int) -> List[float]:
    """The time of a log line after an offset of a node's log, in seconds."""
    times = re.findall(r'time=(\S+) [^\n]*msg="' + re.escape(message), node.log()[offset:])
    return [datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp() for time in times]


@pytest.mark.parametrize("gone", ["the process", "the host"])
def TestClusterPeerThatComesBackIsConnected(cluster: Cluster, gone: str) -> None:
    """A starting node's own call ends its peers' backoff, and an attempt whose packets went to a host that was down.

    Such a pause takes up to a second, and such an attempt longer: of five times, most are far below that.
    """
    n1 = cluster["n1"]
    took: Dict[str, List[float]] = {"n2": [], "n3": []}
    for _ in range(5):
        with ExitStack() as cables:
            for name in took:
                cluster[name].kill()
                if gone == "the host":
                    cables.enter_context(cluster.cut_off(name))
            outage_ends = time.monotonic() + 2.0
            wait_for(lambda: time.monotonic() >= outage_ends, "n1 tries seldom by now")
        before = {name: (len(n1.log()), len(cluster[name].log())) for name in took}
        for name in took:
            cluster[name].start()
        for name in took:
            said = f'connected to peer" peer={name}'
            wait_for(lambda: logged_at(n1, said, before[name][0]), f"n1 is connected to {name}")
            began = wait_for(lambda: logged_at(cluster[name], "batond is up", before[name][1]), f"{name} is up")[0]
            took[name].append(logged_at(n1, said, before[name][0])[0] - began)
        cluster.leader()
    print({name: [f"{seconds * 1000:.0f} ms" for seconds in times] for name, times in took.items()})
    assert statistics.median(took["n2"]) < 0.1
    assert statistics.median(took["n3"]) < 0.3  # its call takes a round trip and a half, n1's connection two


def TestClusterLeaderStopsGracefully(cluster: Cluster) -> None:
    old = cluster.leader()
    cluster.put("k", "v")
    took = old.stop()
    assert took < 2.0
    new = cluster.leader(other_than=old.name)
    assert cluster.get("k") == "v"
    assert 'reason="asked to take over"' in new.log(), f"{new.name} was left to time out"


def TestClusterTransfersLeadership(cluster: Cluster) -> None:
    for target in [*NODES, *NODES]:
        leader = cluster.leader()
        if leader.name != target:
            leader.call("TransferLeadership", target=target, timeout=5.0)
            assert cluster.leader(other_than=leader.name).name == target
        cluster.put("k", target)
        assert cluster.get("k") == target


def TestClusterTransferRefusesNoWrite(cluster: Cluster) -> None:
    """Writes that arrive before it, in the same packet, are committed; later ones are, too, or are redirected."""
    from baton.v1 import control_pb2 as pb
    from baton.v1 import control_pb2_grpc

    for attempt in range(6):
        leader, target = cluster.leader(), cluster.followers()[0]
        stub = control_pb2_grpc.ControlServiceStub(leader.channel)

        def put(name: str) -> Any:
            return stub.Put.future(pb.PutRequest(key=name.encode(), value=b"v"), timeout=DEADLINE)

        before = [put(f"before-{attempt}-{i}") for i in range(100)]
        transfer = stub.TransferLeadership.future(pb.TransferLeadershipRequest(target=target.name), timeout=DEADLINE)
        behind = [put(f"behind-{attempt}-{i}") for i in range(100)]
        assert transfer.result().leader == target.name
        for write in before:
            write.result()
        for write in behind:
            error = write.exception()
            assert error is None or error.code() == grpc.StatusCode.FAILED_PRECONDITION, error
        cluster.leader(other_than=leader.name)


def TestClusterTransferNamesTheNextLeader(cluster: Cluster) -> None:
    leader, target = cluster.leader(), cluster.followers()[0]
    reply = leader.call("TransferLeadership", target=target.name, timeout=5.0)
    assert (reply.leader, reply.term) == (target.name, target.status().term)
    leader, chosen = cluster.leader(), cluster.leader().call("TransferLeadership", timeout=5.0).leader
    assert chosen in [node.name for node in cluster.others(leader.name)]


def TestClusterFollowerRedirects(cluster: Cluster) -> None:
    leader = cluster.leader()
    for follower in cluster.followers():
        wait_for(lambda: follower.status().leader == leader.name, f"{follower.name} knows the leader")
        with pytest.raises(grpc.RpcError) as raised:
            follower.call("Put", key=b"k", value=b"v")
        error = raised.value
        trailers = dict(error.trailing_metadata())
        assert error.code() == grpc.StatusCode.FAILED_PRECONDITION
        assert (trailers["baton-leader-id"], trailers["baton-leader-address"]) == (leader.name, leader.address)
        assert leader.name in error.details() and leader.address in error.details()

        reply = follower.call_worker_service(
            "RegisterWorker", worker_id="w9", instance_id="i", address="h:1", cloud="gcp"
        )
        assert not reply.accepted
        assert (reply.redirect.leader_id, reply.redirect.leader_address) == (leader.name, leader.address)
        assert sorted(reply.redirect.member_addresses) == sorted(node.address for node in cluster.nodes.values())
    assert "w9" not in leader.workers()
