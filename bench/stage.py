"""What the measurements on real clusters share: a private world to run in, a cluster in it, clients, and figures.

The cluster and its faults are those of the cluster tests (tests/cluster/harness.py): three batond on hosts of their own, with
`wanlink` between the clouds. A measurement begins with `enter_world`, which starts the script again inside tests/cluster/world.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import math
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "cluster"))
import harness as harness  # noqa: E402

RESULTS = ROOT / "bench" / "results"
WORKER_HOST = {"gcp": "w1", "aws": "w3"}  # a host without a node, in each cloud
EXTRA = ("--log-level", "info")
ELECTED = r"transitioned from \w+ to Leader "  # as a node logs it


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def need(*programs: str) -> None:
    missing = [program for program in programs if not (harness.BUILD / program).exists()]
    if missing:
        raise SystemExit(f"{' and '.join(missing)}: not in {harness.BUILD}; run make first")


def script(name: str) -> Any:
    """Another measurement, bench/NAME, as a module: bench/run has three members on loopback, of baton and of etcd."""
    loader = importlib.machinery.SourceFileLoader(f"bench_{name}", str(ROOT / "bench" / name))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def enter_world() -> None:
    """Returns in a world with hosts; whatever happens, nothing outlives it."""
    if os.environ.get("BATON_WORLD") != "1":
        world = str(ROOT / "tests" / "cluster" / "world")
        os.execv(world, [world, sys.executable, *sys.argv])
    need("batond")
    os.environ["BATON_BUILD"] = str(harness.BUILD)
    harness.generate_stubs()
    sys.path.insert(0, str(harness.generated_stubs()))


@contextmanager
def hosts() -> Iterator[Path]:
    """The clouds and their hosts, and a directory for their data, on the disk that holds the build."""
    with tempfile.TemporaryDirectory(dir=harness.BUILD) as directory:
        os.environ["BATON_CLUSTER"] = directory
        harness.net("up")
        yield Path(directory)
        harness.net("down")


@contextmanager
def cluster(
    directory: Path, name: str, names: Iterable[str] = (), placement: str = "off", flags: Iterable[str] = ()
) -> Iterator[harness.Cluster]:
    """A new cluster with a leader; its data is gone afterwards."""
    with tempfile.TemporaryDirectory(dir=directory, prefix=name) as data:
        made = harness.Cluster(Path(data), (*EXTRA, *flags), placement)
        made.start(*names)
        made.leader()
        try:
            yield made
        finally:
            made.close()


def set_link(delay_ms: float = 25.0, jitter_ms: float = 0.0, loss_percent: float = 0.0) -> None:
    """Each way."""
    harness.net("wan", "set", "--delay", f"{delay_ms:g}ms", "--jitter", f"{jitter_ms:g}ms", "--loss", f"{loss_percent:g}%")


class Client:
    """A running baton-bench on one host; it writes until `end`, or until its own --count or --seconds."""

    def __init__(self, of: harness.Cluster, host: str, *arguments: str) -> None:
        self._out, self._samples = tempfile.TemporaryFile("w+"), Path(of.directory, f"{host}.samples")
        endpoints = ",".join(node.address for node in of.nodes.values())
        command = [harness.NET, "run", host, str(harness.BUILD / "baton-bench"), "--endpoints", endpoints]
        command += ["--samples", str(self._samples), *arguments]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self._out, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **harness.SANITIZERS},
        )  # fmt: skip

    def wait_ready(self) -> None:
        assert self._process.stderr is not None
        line = self._process.stderr.readline()
        assert line.startswith("ready"), f"baton-bench: {line}{self._process.stderr.read()}"

    def end(self) -> None:
        self._process.terminate()

    def report(self, deadline: float = 120.0) -> Dict[str, Any]:
        """When it has ended; with `samples`, (sent, acknowledged) of each write in microseconds since `began_unix`."""
        _, said = self._process.communicate(timeout=deadline)
        self._out.seek(0)
        text = self._out.read()
        assert text and self._process.returncode in (0, 1), f"baton-bench ended with {self._process.returncode}: {said}"
        report: Dict[str, Any] = json.loads(text)
        report["said"] = said
        lines = self._samples.read_text().splitlines()[1:]
        report["samples"] = [tuple(map(int, line.split(","))) for line in lines]
        return report


# --- faults ---


@contextmanager
def fault(cluster: harness.Cluster, kind: str, node: harness.Node) -> Iterator[float]:
    """SIGKILL, SIGSTOP, SIGTERM or "cut", the end of all it sends and hears. Gives the unix time when it began; it is over at
    the end."""
    began = time.time()
    if kind == "cut":
        with cluster.cut_off(node.name):
            yield (began + time.time()) / 2  # ip takes some milliseconds
    elif kind == "SIGSTOP":
        node.pause()
        yield began
        node.resume()
    else:
        if kind == "SIGKILL":
            node.kill()
        else:
            node.terminate()
        yield began
        node.wait()
        node.start()


def logged(text: str, message: str) -> List[float]:
    """When a node logged it, a regular expression: unix times, in whole milliseconds."""
    times = re.findall(rf"^time=(\S+)Z .*{message}", text, re.MULTILINE)
    return [datetime.fromisoformat(f"{when}+00:00").timestamp() for when in times]


class Succession:
    """Made before a leader's fault: tells who is next, from what the others log."""

    def __init__(self, cluster: harness.Cluster, leader: harness.Node) -> None:
        self._others = cluster.others(leader.name)
        self._read = {node.name: node.log_path.stat().st_size for node in self._others}

    def _leaders(self, node: harness.Node) -> List[Tuple[float, str]]:
        with node.log_path.open("rb") as log:
            log.seek(self._read[node.name])
            text = log.read().decode(errors="replace")
        return [(when, node.name) for when in logged(text, ELECTED)]

    def wait(self, since: float) -> Tuple[str, float]:
        """The next leader, and how many ms behind `since` (unix time) it became so. The log's times are whole milliseconds."""

        def found() -> Optional[Tuple[float, str]]:
            return min((leader for node in self._others for leader in self._leaders(node)), default=None)

        when, name = harness.wait_for(found, "the next leader")
        return name, max(0.0, (when - since) * 1000)


# --- figures ---


def quantile(values: List[float], q: float) -> float:
    """Of sorted values: the smallest that the share q of them does not exceed."""
    return values[max(0, math.ceil(q * len(values)) - 1)]


def summary(values: Iterable[float]) -> Dict[str, Any]:
    """n, p50, p90, p99 and the largest; Nones without values."""
    ordered = sorted(values)
    if not ordered:
        return {"n": 0, "p50": None, "p90": None, "p99": None, "max": None}
    picked = {f"p{round(q * 100)}": round(quantile(ordered, q), 3) for q in (0.5, 0.9, 0.99)}
    return {"n": len(ordered), **picked, "max": round(ordered[-1], 3)}


Buckets = Dict[float, float]  # upper bound: observations up to it


def histograms(node: harness.Node, name: str) -> Dict[str, Buckets]:
    """Of one metric, by the label `peer` ("" where there is none)."""
    return histograms_in(node.get("/metrics", 10.0)[2], name)


def histograms_in(text: str, name: str) -> Dict[str, Buckets]:
    """The same from the text of a page of metrics."""
    found: Dict[str, Buckets] = {}
    for labels, count in re.findall(rf"^{name}_bucket\{{([^}}]*)\}} (\S+)$", text, re.MULTILINE):
        pairs: Dict[str, str] = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        found.setdefault(pairs.get("peer", ""), {})[float(pairs["le"])] = float(count)
    return found


def difference(after: Buckets, before: Buckets) -> Buckets:
    return {bound: count - before.get(bound, 0.0) for bound, count in after.items()}


def histogram_summary(buckets: Buckets) -> Dict[str, Any]:
    """Quantiles linear within their bucket."""
    bounds = sorted(buckets)
    total = buckets[bounds[-1]] if bounds else 0.0
    found: Dict[str, Any] = {"n": int(total), "p50": None, "p90": None, "p99": None}
    for q in (0.5, 0.9, 0.99) if total else ():
        low = reached = 0.0
        for bound in bounds:
            if buckets[bound] >= q * total:
                inside = (q * total - reached) / (buckets[bound] - reached)
                found[f"p{round(q * 100)}"] = round(low if math.isinf(bound) else low + (bound - low) * inside, 3)
                break
            low, reached = bound, buckets[bound]
    return found


# --- circumstances ---


def machine() -> str:
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    kib = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    memory = int(kib.group(1)) // 1024 // 1024 if kib else 0
    processor = model.group(1).strip() if model else platform.machine()
    return f"{os.cpu_count()} cores of {processor}, {memory} GiB, {platform.system()}"


def version() -> str:
    command = [str(harness.BUILD / "batond"), "--version"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1]


def circumstances(command: str) -> Dict[str, Any]:
    return {
        "machine": machine(),
        "tcp": Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip(),
        "load": round(os.getloadavg()[0], 1),
        "version": version(),
        "command": command,
        "recorded": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def write_results(name: str, results: Dict[str, Any]) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n")
