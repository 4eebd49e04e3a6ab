"""From the start of a cluster to the judgement of what its clients saw."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, Iterable, List, Tuple

import checks
import harness
import history
import plan
import programs
import stage
from faults import Faults, say
from harness import wait_for
from nodes import PATIENCE, Node, World
from operations import Operations

SETTLED = 1.0
END_SECONDS = 120.0


class Load:
    """The running clients."""

    def __init__(self, world: World, seed: int, out: Path) -> None:
        self._said = out / "load.err"
        endpoints = ",".join(node.address for node in world.nodes)
        command = [str(programs.LOAD), "--endpoints", endpoints, "--certs", str(world.certificates.directory)]
        command += ["--out", str(out), "--seed", str(seed)]
        with open(self._said, "w") as said:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line == "ready\n", f"chaosload: {line}{self._said.read_text()}"

    def end(self) -> None:
        self.process.terminate()
        status = self.process.wait(END_SECONDS)
        assert status == 0, f"chaosload ended with {status}: {self._said.read_text()}"


def listed(node: Node) -> Dict[str, Tuple[str, int]]:
    """All keys of the load, of the node's own state."""
    items: Dict[str, Tuple[str, int]] = {}
    after = b""
    while True:
        page = node.call("List", prefix=b"g", start_after=after, stale=True)
        items.update({item.key.decode(): (item.value.decode(), item.revision) for item in page.items})
        if not page.more:
            return items
        after = page.items[-1].key


def in_image(lines: Iterable[str]) -> Dict[str, Tuple[str, int]]:
    records = [json.loads(line).get("item") for line in lines]
    return {
        base64.b64decode(item["key"]).decode(): (base64.b64decode(item.get("value", "")).decode(), int(item["revision"]))
        for item in records
        if item is not None
    }


class Course:
    def __init__(self, of: plan.Plan, directory: Path) -> None:
        self.of = of
        self.out = directory
        self.complaints: List[str] = []
        self.world = World(Path(os.environ["BATON_CLUSTER"]), harness.BUILD / "batond")
        self._began = time.monotonic()
        self.faults = Faults(self.world, self.now)
        self.operations = Operations(self.world, self.faults, None)

    def now(self) -> float:
        return time.monotonic() - self._began

    def live(self) -> None:
        """Until the clients have ended."""
        self.world.begin()
        load = Load(self.world, self.of.seed, self.out)
        self._began = time.monotonic()
        for event in self.of.events:
            time.sleep(max(0.0, event.at - self.now()))
            self.faults.begin(event)
        time.sleep(max(0.0, self.of.seconds - plan.CALM - self.now()))
        self.faults.end(PATIENCE * 2)
        self.complaints += self.faults.complaints
        self.world.settle()
        time.sleep(plan.CALM)
        load.end()

    def judge_nodes(self, past: checks.Past, until: int) -> None:
        """What the nodes hold, and then their logs and images on the disks."""
        world = self.world
        index = world.settle()
        for node in world.nodes:
            self.complaints += checks.check_contents(node.name, listed(node), past, until)
            node.call("Snapshot")
        digests: Dict[int, set] = {}
        for node in world.nodes:
            for one in node.status().digests:
                digests.setdefault(one.index, set()).add(one.digest)
        self.complaints += [f"digests differ at {at}" for at, values in digests.items() if len(values) > 1]
        for node in world.nodes:
            node.stop()
        compare = [str(harness.ROOT / "deploy/local/compare"), str(index), *(f"{node.name}={node.data}" for node in world.nodes)]
        done = subprocess.run(compare, env={**os.environ, "BATOND": str(world.program)}, capture_output=True, text=True)
        say(done.stdout.rstrip())
        if done.returncode != 0:
            self.complaints.append(f"logs or images differ: {done.stdout}{done.stderr}")

    def judge(self) -> None:
        out = self.out
        watches = history.read_watches(out)
        operations = list(history.lines(out / "clients.jsonl"))
        changes, contradictions = checks.merge(watches)
        blind = checks.seen_by_nobody(watches)
        last = max(changes, default=0)
        self.complaints += contradictions
        self.complaints += checks.check_watches(watches, changes, last)
        self.complaints += checks.check_writes(operations, changes, blind)
        self.complaints += checks.strangers(operations, changes)
        past = checks.Past(changes)
        self.complaints += checks.check_reads(operations, past, blind)
        starts: Dict[str, List[float]] = {}
        for node in [*self.world.nodes, *self.world.former]:
            starts.setdefault(node.address, []).extend(node.starts)
        self.complaints += checks.check_stale_reads(operations, starts)
        self.complaints += checks.check_workers(history.lines(out / "workers.jsonl"))
        for backup in self.operations.backups:
            with backup.file.open() as lines:
                items = {key: item for key, item in in_image(lines).items() if key.startswith("g")}
            self.complaints += checks.check_contents(f"the backup at {backup.index}", items, past, backup.index)
        self.judge_nodes(past, last)
        done = subprocess.run([str(programs.JUDGE), str(out / "clients.jsonl")], capture_output=True, text=True)
        say(done.stdout.rstrip() + done.stderr)
        if done.returncode != 0:
            self.complaints.append(f"not linearizable: {done.stdout}{done.stderr}")
        say(f"{len(operations)} operations, {len(changes)} changes")


def run(of: plan.Plan) -> int:
    out = programs.OUT / "run"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    with stage.hosts() as directory:
        course = Course(of, out)
        try:
            course.live()
            course.judge()
        finally:
            course.world.keep_logs(out)
            course.world.end()
    logs = {log.stem: log.read_text(errors="replace") for log in out.glob("n*.log")}
    course.complaints += harness.check_logs(logs)
    print("\n".join(["all is well" if not course.complaints else "not all is well:", *course.complaints]))
    return 1 if course.complaints else 0
