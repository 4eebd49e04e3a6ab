"""batonctl against a real cluster: its output, its exit statuses, and failures."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import os
import re
import signal
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, List

import pytest
from harness import BUILD, DEADLINE, SANITIZERS, Cluster, wait_for

OK, FAILED, USAGE, UNREACHABLE, NOT_FOUND, UNKNOWN = range(6)


class Batonctl:
    """The command, with the endpoints in its environment."""

    def __init__(self, cluster: Cluster) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("BATON_")}
        endpoints = ",".join(node.address for node in cluster.nodes.values())
        self.environment = {**clean, **SANITIZERS, "BATON_ENDPOINTS": endpoints}

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen([str(BUILD / "batonctl"), *arguments], env=self.environment, **options)

    def run(self, *arguments: str, status: int = OK, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run(
            [str(BUILD / "batonctl"), *arguments], env=self.environment, input=stdin, capture_output=True, timeout=DEADLINE
        )
        assert done.returncode == status, f"{arguments} ended with {done.returncode}: {done.stdout!r} {done.stderr!r}"
        return done

    def put(self, key: str, value: bytes) -> int:
        """Its exit status, within a second."""
        command = [str(BUILD / "batonctl"), "put", key, "-", "--timeout", "1s"]
        return subprocess.run(command, env=self.environment, input=value, capture_output=True, timeout=DEADLINE).returncode

    def __call__(self, *arguments: str) -> str:
        return self.run(*arguments).stdout.decode()

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "-o", "json"))

    def error(self, status: int, *arguments: str) -> str:
        done = self.run(*arguments, status=status)
        assert done.stderr.startswith(b"batonctl: ")
        return done.stderr.decode()


@pytest.fixture
def batonctl(cluster: Cluster) -> Batonctl:
    return Batonctl(cluster)


def TestBatonctlKeys(batonctl: Batonctl) -> None:
    binary = bytes(range(256))
    first = batonctl.json("put", "k", "hello")["revision"]
    assert batonctl("get", "k") == "hello"
    assert batonctl.json("get", "k") == {"key": "k", "value": "hello", "revision": first}
    assert str(first) in batonctl.error(FAILED, "put", "k", "no", "--expect", "0")
    batonctl("put", "--expect", str(first), "--", "k", "-5")
    assert batonctl("get", "k", "--stale", "--timeout", "2s") in ("-5", "hello")
    batonctl.run("put", "dir/binary", "-", stdin=binary)
    assert batonctl.run("get", "dir/binary").stdout == binary
    assert "value_base64" in batonctl.json("get", "dir/binary")
    batonctl("put", "dir/a", "")
    assert [item["key"] for item in batonctl.json("list")] == ["dir/a", "dir/binary", "k"]
    assert [item["key"] for item in batonctl.json("list", "dir/")] == ["dir/a", "dir/binary"]
    assert len(batonctl("list").splitlines()) == 4
    assert batonctl("delete", "k").startswith("revision ")
    assert "k" in batonctl.error(NOT_FOUND, "delete", "k")
    assert "k" in batonctl.error(NOT_FOUND, "get", "k")


def TestBatonctlListPages(cluster: Cluster, batonctl: Batonctl) -> None:
    """More than one page: every key once."""
    leader = cluster.lead_in("gcp")
    keys = [f"{number:04}" for number in range(1001)]
    with concurrent.futures.ThreadPoolExecutor(max_workers=64) as pool:
        list(pool.map(lambda key: leader.call("Put", timeout=DEADLINE, key=key.encode(), value=b"v"), keys))
    assert [item["key"] for item in batonctl.json("list")] == keys
    for limit in (1, 1000, 1001, 5000):
        assert [item["key"] for item in batonctl.json("ls", "--limit", str(limit))] == keys[:limit]


def TestBatonctlWorkerListPages(cluster: Cluster, batonctl: Batonctl) -> None:
    """The same for workers; a client that does not page still gets all at once."""
    leader = cluster.lead_in("gcp")
    longest = "w0-" + 61 * "x"
    ids = ["w", longest, *(f"w{number:04}" for number in range(1001))]

    def register(worker: str) -> None:
        fields = {"worker_id": worker, "instance_id": "i", "address": "10.0.0.1:9000", "cloud": "gcp", "slots": 1}
        assert leader.call_worker_service("RegisterWorker", **fields).accepted

    wait_for(lambda: register(ids[0]) is None, "the leader takes workers")
    with concurrent.futures.ThreadPoolExecutor(max_workers=64) as pool:
        list(pool.map(register, ids))
    assert [worker["id"] for worker in batonctl.json("worker", "list")] == ids
    assert [line.split()[0] for line in batonctl("worker", "list").splitlines()[1:]] == ids
    for worker in ("w", longest, "w0000", "w0500", "w1000"):
        assert batonctl.json("worker", "show", worker)["id"] == worker
    for nobody in ("v", "w0", longest[:-1], longest[:-1] + "y", "w10000", "x"):
        assert f'no worker is registered as "{nobody}"' in batonctl.error(NOT_FOUND, "worker", "show", nobody)
    assert "worker's id" in batonctl.error(USAGE, "worker", "show", "a worker")
    everybody = leader.call("ListWorkers")
    assert [worker.id for worker in everybody.workers] == ids and not everybody.more
    page = leader.call("ListWorkers", start_after="w0997", limit=2)
    assert [worker.id for worker in page.workers] == ["w0998", "w0999"] and page.more


def TestBatonctlCluster(cluster: Cluster, batonctl: Batonctl) -> None:
    cluster.worker("w1")
    cluster.wait_online("w1")
    leader = cluster.leader()
    status = batonctl.json("status")
    assert sorted(node["node"] for node in status) == ["n1", "n2", "n3"]
    assert [node["node"] for node in status if node["role"] == "leader"] == [leader.name]
    assert [node["placement"] for node in status] == ["placement is off"] * 3
    wait_for(lambda: re.search(r"commit if it led: n1 [\d.]+ ms, n2 .* ms, n3 .* ms; placement: ", batonctl("status")), "estimates")
    members = {member["id"]: member for member in batonctl.json("member", "list")}
    assert members["n3"]["cloud"] == "aws" and members["n3"]["voter"] and members[leader.name]["leader"]
    worker = batonctl.json("worker", "list")[0]
    assert (worker["id"], worker["status"], worker["cloud"]) == ("w1", "online", "gcp")
    shown = dict(line.split("  ", 1) for line in batonctl("worker", "show", "w1").splitlines())
    assert (shown["id"].strip(), shown["status"].strip(), shown["last seen by"].strip()) == ("w1", "online", "leader")
    assert json.loads(batonctl.run("get", "nothing", "-o", "json", status=NOT_FOUND).stderr) == {
        "error": 'there is no key "nothing"', "status": "not-found", "exit_status": NOT_FOUND}  # fmt: skip
    assert json.loads(batonctl.run("gte", "nothing", "-o", "json", status=USAGE).stderr)["status"] == "usage"
    assert "w1" in batonctl("worker", "list") and "n3" in batonctl("status") and "n3" in batonctl("member", "list")

    target = cluster.followers()[0].name
    assert batonctl.json("leader", "transfer", target)["leader"] == target
    term = cluster[target].status().term
    assert batonctl("leader", "transfer", target) == f"{target} leads in term {term}\n", "it does already"
    assert "voter" in batonctl.error(FAILED, "leader", "transfer", "n9")
    assert batonctl.json("leader", "transfer")["leader"] != target

    lines = [json.loads(line) for line in batonctl("log", "-o", "json").splitlines()]
    assert [line["index"] for line in lines] == list(range(1, len(lines) + 1))
    assert lines[0]["type"] == "configuration" and "register worker w1" in [line["summary"] for line in lines]
    part = [json.loads(line) for line in batonctl("log", "--from", "2", "--to", "3", "-o", "json").splitlines()]
    assert part == lines[1:3]


def TestBatonctlWatches(cluster: Cluster, batonctl: Batonctl) -> None:
    """--watch prints again what has changed; a failure is told and does not end it, a reader that is gone does."""
    cluster.worker("w1")
    cluster.wait_online("w1")
    watching = batonctl.start("worker", "list", "--watch", "-o", "json", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert watching.stdout is not None and watching.stderr is not None
    assert [worker["id"] for worker in json.loads(watching.stdout.readline())] == ["w1"]
    cluster.worker("w2")
    wait_for(lambda: len(json.loads(watching.stdout.readline())) == 2, "the new worker")  # type: ignore[union-attr]
    cluster.kill_all()
    assert json.loads(watching.stderr.readline())["status"] in ("failed", "unreachable")
    watching.stdout.close()
    for node in cluster.nodes.values():
        node.start()
    assert watching.wait(DEADLINE) == FAILED

    table = batonctl.start("status", "--watch", stdout=subprocess.PIPE)
    assert table.stdout is not None
    wait_for(lambda: table.stdout.readline() == b"\n", "a second table")  # type: ignore[union-attr]
    assert b"n1" in b"".join(table.stdout.readline() for _ in range(4))
    table.terminate()
    assert table.wait(DEADLINE) == -signal.SIGTERM


@contextmanager
def another_way(address: str) -> Iterator[str]:
    """A local address that forwards to a node, like a published port or a tunnel."""
    host, port = address.split(":")

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        beyond_reader, beyond_writer = await asyncio.open_connection(host, int(port))
        await asyncio.gather(copy(reader, beyond_writer), copy(beyond_reader, writer), return_exceptions=True)

    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(forward, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield "127.0.0.1:%d" % server.sockets[0].getsockname()[1]
    loop.call_soon_threadsafe(loop.stop)
    thread.join(DEADLINE)


def TestBatonctlStatusNamesEachNodeOnce(cluster: Cluster, batonctl: Batonctl) -> None:
    """An endpoint may be another address of a member; a member that does not answer is still named."""
    leader = cluster.lead_by("n1")
    cluster["n3"].kill()
    with another_way(leader.address) as endpoint:
        nodes = {node["endpoint"]: node for node in batonctl.json("status", "--endpoints", endpoint)}
        text = batonctl("status", "--endpoints", endpoint)
    assert set(nodes) == {endpoint, cluster["n2"].address, cluster["n3"].address}
    assert [node["node"] for node in nodes.values()] == ["n1", "n2", "n3"]
    gone = nodes[cluster["n3"].address]
    assert (gone["cloud"], gone["reachable"], gone["error"]) == ("aws", False, "cannot connect")
    assert text.count("commit if it led:") == 1
    assert re.search(rf"{re.escape(cluster['n3'].address)} +n3 +aws +cannot connect ", text)


def TestBatonctlStatusNamesWhoHasNoSpace(empty_cluster: Cluster) -> None:
    """Two of three disks are full: a node leads, but nothing is written."""
    batonctl = Batonctl(empty_cluster)
    disks = [empty_cluster[name].data for name in ("n1", "n2")]
    for disk in disks:
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], check=True)
    try:
        empty_cluster.start()
        empty_cluster.leader()
        value = b"v" * 100_000
        for number in range(30):
            if batonctl.put(f"k{number}", value) != OK:
                break
        wait_for(lambda: batonctl("status").count(" has no space for its log, and acknowledges nothing\n") == 2, "both are named")
        full = {node["node"]: node["disk_full"] for node in batonctl.json("status")}
        assert full == {"n1": True, "n2": True, "n3": False}
        assert "\nwal_full 1\n" in empty_cluster["n1"].get("/metrics")[2] and "\nwal_full 0\n" in empty_cluster["n3"].get("/metrics")[2]
        for disk in disks:
            subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        wait_for(lambda: "no space" not in batonctl("status"), "both go on")
        assert batonctl.put("k", b"v") == OK
    finally:
        empty_cluster.kill_all()
        for disk in disks:
            subprocess.run(["umount", "--lazy", str(disk)], check=True)


def TestBatonctlFailures(cluster: Cluster, batonctl: Batonctl) -> None:
    """Nodes are lost one after another: a write succeeds, then is refused, then its outcome is unknown."""
    batonctl("put", "k", "1")
    old = cluster.leader()
    old.pause()
    revision = batonctl.json("put", "k", "2", "--timeout", "15s")["revision"]
    assert batonctl.json("get", "k")["revision"] == revision
    old.resume()
    leader = cluster.leader()
    for node in cluster.others(leader.name):
        node.pause()
    alone = ("--endpoints", leader.address)
    unknown = batonctl.run("put", "k", "3", "--timeout", "400ms", *alone, status=UNKNOWN)
    assert b"outcome unknown: an attempt within these 0.4 s may have been applied" in unknown.stderr
    standing = ("--endpoints", cluster.others(leader.name)[0].address, "--timeout", "600ms")
    assert "no node answers" in batonctl.error(UNREACHABLE, "get", "k", *standing)
    assert "no node answers" in batonctl.error(UNREACHABLE, "status", *standing)
    wait_for(lambda: leader.status().role != "leader", "a leader without a majority steps down")
    assert "no leader" in batonctl.error(FAILED, "put", "k", "4", "--timeout", "300ms", *alone)
    assert batonctl("get", "k", "--stale", *alone) == "2"
    for node in cluster.others(leader.name):
        node.resume()
    pages = ("--endpoints", leader.http.removeprefix("http://"), "--timeout", "300ms")
    assert "no gRPC is spoken there" in batonctl.error(UNREACHABLE, "get", "k", *pages)
    assert "no gRPC is spoken there" in batonctl.error(UNREACHABLE, "status", *pages)
    cluster.kill_all()
    message = batonctl.error(UNREACHABLE, "get", "k", "--timeout", "300ms")
    assert "BATON_ENDPOINTS" in message and leader.address in message
    assert "--endpoints" in batonctl.error(UNREACHABLE, "status", "--timeout", "300ms", *alone)


def TestBatonctlIntoHead(cluster: Cluster, batonctl: Batonctl) -> None:
    """Ends silently when its reader closes the pipe; reports a failed write. Empty variables count as unset."""
    batonctl.environment.update(BATON_TLS_CERT="", BATON_TLS_KEY="", BATON_TLS_CA="")
    reading, writing = os.pipe()
    os.close(reading)
    piped = batonctl.start("list", stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert piped.communicate(timeout=DEADLINE)[1] == b"" and piped.returncode == FAILED
    with open("/dev/full", "wb") as full:
        failing = batonctl.start("list", stdout=full, stderr=subprocess.PIPE)
    assert b"No space left" in failing.communicate(timeout=DEADLINE)[1] and failing.returncode == FAILED


def lines_of(path: Path) -> List[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def TestBatonctlWatch(cluster: Cluster, batonctl: Batonctl, tmp_path: Path) -> None:
    """Each change is printed once and in order, although the node that it watches dies."""
    first = cluster.put("a/0", "before")
    out = tmp_path / "watch"
    with out.open("wb") as stdout:
        watch = batonctl.start("watch", "a/", "--from", str(first), "-o", "json", stdout=stdout, stderr=subprocess.PIPE)
    try:
        wait_for(lambda: lines_of(out), "the first change is printed")
        written = [first] + [cluster.put(f"a/{number}", "v") for number in range(1, 6)]
        cluster.put("b", "of no concern")
        wait_for(lambda: len(lines_of(out)) == 6, "the changes are printed")
        watch.send_signal(signal.SIGSTOP)  # so that there are changes between the two nodes
        cluster["n1"].kill()  # the first endpoint
        written += [cluster.put(f"a/{number}", "v") for number in range(6, 12)]
        watch.send_signal(signal.SIGCONT)
        wait_for(lambda: len(lines_of(out)) >= len(written), "all changes are printed")
    finally:
        watch.terminate()
        watch.wait(DEADLINE)
    assert [change["revision"] for change in lines_of(out)] == written
    assert [change["key"] for change in lines_of(out)] == [f"a/{number}" for number in range(12)]


def TestBatonctlUsage(hosts: None, empty_cluster: Cluster) -> None:
    batonctl = Batonctl(empty_cluster)
    assert "did you mean" in batonctl.error(USAGE, "pt", "k", "v")
    batonctl.environment["BATON_ENDPOINTS"] = "nowhere"
    assert "BATON_ENDPOINTS" in batonctl.error(USAGE, "status")
    assert "put KEY VALUE" in batonctl("--help")
    assert "--expect 0" in batonctl("put", "--help")
    assert batonctl("--version").startswith("batonctl ")


def TestBatonctlBench(batonctl: Batonctl, cluster: Cluster) -> None:
    cluster.put("mine", "1")
    wait_for(lambda: any(member.commit_ms > 0 for member in cluster.leader().status().members), "the leader has an estimate")
    bench = batonctl.start("bench", "2", "-o", "json", stdout=subprocess.PIPE)
    report = json.loads(bench.communicate(timeout=DEADLINE)[0])
    assert bench.returncode == (FAILED if report["slow"] else OK)
    assert report["writes"]["count"] > 1 and report["writes"]["count"] == report["reads"]["count"]
    assert report["writes"]["median_ms"] <= report["writes"]["p99_ms"] <= report["writes"]["slowest_ms"]
    assert report["leader"] == cluster.leader().name and report["expected_ms"] > report["commit_ms"] > 0
    assert batonctl("ls", "-o", "fields=key").split() == ["mine"]  # its own keys are gone
    assert "allowed is a number from 1 to 600" in batonctl.error(USAGE, "bench", "601")
    # Interrupted, it ends early, with what it has measured, and cleans up, too.
    bench = batonctl.start("bench", "600", stdout=subprocess.PIPE)
    wait_for(lambda: len(batonctl("ls").splitlines()) > 3, "it writes")
    bench.send_signal(signal.SIGINT)
    out, _ = bench.communicate(timeout=DEADLINE)
    assert bench.returncode in (OK, FAILED) and b"by the estimate of" in out
    assert batonctl("ls", "-o", "fields=key").split() == ["mine"]
    # Without a majority it says so, and what it has left.
    for node in cluster.others(cluster.leader().name):
        node.kill()
    assert "batonctl" in batonctl.error(UNKNOWN, "bench", "1", "--timeout", "1s")
