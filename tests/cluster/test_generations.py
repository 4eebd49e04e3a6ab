"""Losing a cloud: a survivor founds the next generation, and what is left of the old one stops and comes back."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from contextlib import closing
from pathlib import Path
from typing import List, Tuple

import grpc
from harness import BUILD, DEADLINE, SANITIZERS, Cluster, Node, wait_for
from test_catching_up import OFTEN, TAIL, is_compacted_beyond, value_on, write_many
from test_members import change, member, take_in


def offline(node: Node, *words: str) -> Tuple[int, str]:
    """Runs batond with the node's own flags, and these, on the node's host."""
    command = [*node._command, *words]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE, env={**SANITIZERS})
    return done.returncode, done.stdout + done.stderr


def done(node: Node, *words: str) -> str:
    status, said = offline(node, *words)
    assert status == 0, said
    return said


def refused(node: Node, why: str, *words: str, status: int = 2) -> None:
    got, said = offline(node, *words)
    assert got == status and why in said, (got, said)


def promote(node: Node) -> str:
    return done(node, "--promote-survivor", "--yes")


def last_entry(said: str) -> int:
    found = re.search(r"^last entry: +(\d+) of term", said, re.MULTILINE)
    assert found, said
    return int(found[1])


def leads_alone(node: Node) -> None:
    wait_for(lambda: node.status().role == "leader" and node.get("/readyz")[0] == 200, f"{node.name} leads and is ready")


def put(node: Node, key: str, value: str) -> int:
    return node.call("Put", key=key.encode(), value=value.encode()).revision


def value_of(node: Node, key: str) -> str:
    return node.call("Get", key=key.encode()).value.decode()


def lose(cluster: Cluster, *names: str) -> None:
    """Gone for good, with their disks."""
    for name in names:
        cluster[name].kill()
        cluster[name].close()
        del cluster.nodes[name]




def TestGenerationsASurvivorIsPromoted(cluster: Cluster) -> None:
    cluster.lead_by("n1")
    keys = {f"k{number}": str(cluster.put(f"k{number}", str(number))) for number in range(20)}
    revision = cluster.put("last", "1")
    cluster.wait_applied(revision, "n3")
    n3 = cluster["n3"]
    refused(n3, "in use by another process", "--promote-survivor", "--yes", status=4)
    n3.kill()
    lose(cluster, "n1", "n2")
    refused(n3, "nothing was changed: give --yes", "--promote-survivor")
    said = promote(n3)
    last = last_entry(said)
    assert last >= revision and "n1 at 198.18.1.1:7400 in gcp" in said, said
    assert f"founded generation 2 with entry {last + 1} of term" in said
    refused(n3, "n3 is the only voter already (generation 2)", "--promote-survivor", "--yes")
    n3.start()
    leads_alone(n3)
    status = n3.status()
    assert status.generation == 2 and [member.id for member in status.members] == ["n3"]
    assert {key: str(n3.call("Get", key=key.encode()).revision) for key in keys} == keys
    after = put(n3, "after", "2")
    for name, port in (("n4", 7401), ("n5", 7402)):
        assert take_in(cluster, name, port).status().generation == 2
    cluster.wait_applied(after, "n4", "n5")
    for name in ("n4", "n5"):  # what they took from a message is on their disks
        cluster[name].kill()
        cluster[name].start()
    n3.kill()
    wait_for(lambda: value_of(cluster.leader(), "after") == "2", "n4 and n5 go on without n3")
    assert cluster["n4"].status().generation == cluster["n5"].status().generation == 2


def on_disk(node: Node, key: str) -> bool:
    entries = [json.loads(line) for line in node.dump_wal(1_000_000).splitlines()]
    return any(key.encode() in base64.b64decode(entry["command"]) for entry in entries)


def TestGenerationsATailIsPromoted(cluster: Cluster) -> None:
    """What no majority had is in the new generation, too: the operator is told so beforehand."""
    from baton.v1 import control_pb2 as pb
    from baton.v1 import control_pb2_grpc

    n1 = cluster.lead_by("n1")
    cluster.wait_applied(cluster.put("shared", "1"), "n1", "n2", "n3")
    stub = control_pb2_grpc.ControlServiceStub(n1.channel)
    tail = [f"tail/{number}" for number in range(3)]
    for name in ("n2", "n3"):
        cluster[name].pause()
    writes = [stub.Put.future(pb.PutRequest(key=key.encode(), value=b"kept"), timeout=DEADLINE) for key in tail]
    wait_for(lambda: all(on_disk(n1, key) for key in tail), "the tail is on n1's disk")
    committed = n1.status().commit_index
    n1.kill()
    lose(cluster, "n2", "n3")
    for write in writes:
        assert isinstance(write.exception(), grpc.RpcError), "acknowledged without a majority"
    status, said = offline(n1, "--promote-survivor")
    last = last_entry(said)
    assert status == 2 and last >= committed + len(tail), said
    assert f"begins behind entry {last}, with n1 alone. Everything up to there is kept, whether a majority had it or not" in said
    assert f"founded generation 2 with entry {last + 1} of term" in promote(n1)
    n1.start()
    leads_alone(n1)
    revisions = [n1.call("Get", key=key.encode()).revision for key in tail]
    assert [value_of(n1, key) for key in tail] == ["kept"] * len(tail) and committed < min(revisions) < max(revisions) <= last


def log_of(path: str, *words: str, status: int = 0) -> str:
    """What batonctl lists of a file with divergent entries, without a cluster."""
    command = [str(BUILD / "batonctl"), "log", "--file", path, *words]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def kept(said: str) -> List[str]:
    """The file with the divergent entries: its keys."""
    path = re.search(r"kept in (\S+)", said)
    assert path, said
    entries = [json.loads(line) for line in log_of(path[1], "-o", "json").splitlines()]
    assert log_of(path[1]).splitlines() == [f"{each['index']} term {each['term']} {each['summary']}" for each in entries]
    last = str(entries[-1]["index"])
    assert [line.split()[0] for line in log_of(path[1], "--from", last).splitlines()] == [last]
    damaged = Path(path[1] + ".damaged")
    damaged.write_bytes(Path(path[1]).read_bytes().replace(b'"type":"command"', b'"type":"comnand"', 1))
    assert f"WAL_CORRUPT {damaged}:" in log_of(str(damaged), status=3)
    keys = [re.fullmatch(r'put "(.+)" \(3 bytes\)', each["summary"]) for each in entries if each["type"] == "command"]
    return [key[1] for key in keys if key]


def rejoin(cluster: Cluster, name: str, leader: Node) -> str:
    """The node becomes an empty one, is added, and votes at last."""
    node = cluster[name]
    said = done(node, "--rejoin")
    assert (node.data / "generation-1/wal").is_dir() and not (node.data / "rejoin").exists()
    node.start()
    wait_for(lambda: "waits to be added" in node.log(), f"{name} waits")
    assert node.status().generation == 2
    change(cluster, "add", f"{name}={node.address}/{node.place.cloud}")
    wait_for(lambda: member(cluster, "promote", name)[0] == 0, f"{name} is promoted")
    cluster.wait_applied(leader.status().commit_index, name)
    return said


def TestGenerationsBothSidesAreAlive(cluster: Cluster) -> None:
    cluster.lead_by("n1")
    cluster.wait_applied(cluster.put("shared", "1"), "n1", "n2", "n3")
    n1, n2, n3 = cluster["n1"], cluster["n2"], cluster["n3"]
    refused(n1, "in use by another process", "--rejoin", status=4)
    n3.kill()
    wait_for(lambda: put(n1, "side/a", "old"), "n1 and n2 go on")
    cluster.wait_applied(put(n1, "side/b", "old"), "n2")
    refused(n3, "no node of --peers answers that is of a higher generation", "--rejoin", status=1)
    with cluster.cut_off("n3"):
        promote(n3)
        n3.start()
        wait_for(lambda: put(n1, "side/c", "old"), "the old side goes on")
        wait_for(lambda: "to Leader" in n3.log()[-2000:], "n3 leads alone")
    leads_alone(n3)
    put(n3, "side/a", "new")
    for node in (n1, n2):
        wait_for(lambda: node.status().quarantine, f"{node.name} hears of generation 2")
        assert "generation 2 of the cluster exists (n3 is of it)" in node.status().quarantine
        assert "batond --rejoin" in node.log() and node.get("/readyz")[0] == 503
        for call in (lambda: put(node, "side/d", "old"), lambda: value_of(node, "shared")):
            try:
                call()
                raise AssertionError(f"{node.name} serves")
            except grpc.RpcError as error:
                assert error.code() == grpc.StatusCode.UNAVAILABLE and "--rejoin" in error.details(), error
    assert value_of(n3, "side/a") == "new" and [each.id for each in n3.status().members] == ["n3"]
    n1.kill()
    n1.start()  # hears it again
    wait_for(lambda: n1.status().quarantine, "n1 hears of generation 2 again")
    n1.kill()
    n2.kill()
    assert kept(rejoin(cluster, "n1", n3)) == ["side/a", "side/b", "side/c"]
    assert kept(rejoin(cluster, "n2", n3)) == ["side/a", "side/b", "side/c"]
    n3.kill()
    assert wait_for(lambda: value_of(cluster.leader(), "side/a"), "n1 and n2 go on in generation 2") == "new"


def TestGenerationsDivergenceIsCompacted(hosts: None, tmp_path: Path) -> None:
    """The new generation has long compacted its log when the old side returns: no entry of both is left that could be
    compared, so all that the old log has is kept, and the state comes by a snapshot."""
    with closing(Cluster(tmp_path, extra=OFTEN)) as cluster:
        cluster.start()
        n1 = cluster.lead_by("n1")
        shared = cluster.put("shared", "old")
        cluster.wait_applied(shared, "n1", "n2", "n3")
        n3 = cluster["n3"]
        n3.kill()
        ours = wait_for(lambda: put(n1, "side/a", "old"), "n1 and n2 go on")
        n1.kill()
        lose(cluster, "n2")
        promote(n3)
        n3.start()
        leads_alone(n3)
        write_many(n3, TAIL + 2000, 10, "tail")
        write_many(n3, 500, 1000)
        wait_for(lambda: is_compacted_beyond(n3, ours), "n3's log begins after what it shares with n1's")
        said = rejoin(cluster, "n1", n3)
        assert f"n3 holds no entry that is the same here (its log begins with {n3.status().log_first_index})" in said, said
        assert set(kept(said)) == {"shared", "side/a"}
        assert "installed a snapshot" in n1.log()
        assert value_on(n1, "shared") == b"old"
        try:
            raise AssertionError(f"in generation 2: {value_on(n1, 'side/a')!r}")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.NOT_FOUND, error
