"""From the start of a cluster to the judgement of what its clients saw."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Set, Tuple

import checks
import harness
import history
import page
import plan
import programs
import report
import stage
from faults import Faults
from nodes import PATIENCE, Node, World
from operations import Operations

END_SECONDS = 120.0
UNDECIDED = "not decided in time whether linearizable"  # a complaint, but no proof


class Load:
    """The running clients."""

    def __init__(self, world: Any, seed: int, out: Path) -> None:
        self._said = out / "load.err"
        endpoints = ",".join(node.address for node in world.nodes)
        command = [str(programs.LOAD), "--endpoints", endpoints, *world.load_arguments]
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
    """`world` has the nodes: tests/chaos/nodes.py, or etcd.py."""

    def __init__(self, of: plan.Plan, directory: Path, world: Any) -> None:
        self.of = of
        self.out = directory
        self.complaints: List[str] = []
        self.world = world
        self.verdicts: Dict[str, str] = {}
        self.load_began = time.time()
        self._began = time.monotonic()
        self.faults = Faults(self.world, self.now)

    def now(self) -> float:
        return time.monotonic() - self._began

    def live(self) -> None:
        """Until the clients have ended."""
        self.world.begin()
        load = Load(self.world, self.of.seed, self.out)
        self._began, self.load_began = time.monotonic(), time.time()
        try:
            for event in self.of.events:
                time.sleep(max(0.0, event.at - self.now()))
                self.faults.begin(event)
            time.sleep(max(0.0, self.of.seconds - plan.CALM - self.now()))
            self.faults.end(PATIENCE * 2)
            self.world.settle()
            time.sleep(plan.CALM)
        except AssertionError as error:  # what the clients saw is judged all the same
            self.complaints.append(f"the cluster has not come to rest: {error}")
        finally:
            load.end()
        self.complaints += self.faults.complaints

    def find(self, what: str, found: List[str], of: str) -> None:
        """Adds to the complaints, and to what the report says was looked at."""
        self.complaints += found
        self.verdicts[what] = f"{of}: {'wrong' if found else 'right'}"

    def operations_told(self) -> Iterator[history.Operation]:
        return history.lines(self.out / "clients.jsonl")

    def judge(self) -> report.Tally:
        """Beginning with the watches, whose changes are what all else is compared with."""
        changes: Dict[int, history.Change] = {}
        contradictions: List[str] = []
        watches = history.read_watches(self.out, changes, contradictions)
        blind = checks.seen_by_nobody(watches)
        gaps = sum(len(watch.gaps) for watch in watches)
        self.find("watches are complete and in order", checks.few(contradictions) + checks.check_watches(watches, changes),
                  f"{len(watches)} watches of {len(changes):,} changes, {gaps} gaps that they were told of")  # fmt: skip
        tally = report.Tally(self.operations_told())
        self.find("nothing is lost, nothing doubled", checks.check_writes(self.operations_told(), changes, blind)
                  + checks.strangers(self.operations_told(), changes), f"{tally.writes('ok'):,} writes")  # fmt: skip
        past = checks.Past(changes)
        self.find("reads answer what was there", checks.check_reads(self.operations_told(), past, blind),
                  f"{tally.count('ok') - tally.writes('ok'):,} reads")  # fmt: skip
        self.find("stale reads never go back", checks.check_stale_reads(self.operations_told(), self._starts()), "by node")
        self._judge_by_porcupine()
        self.judge_more(past, max(changes, default=0))
        return tally

    def judge_more(self, past: checks.Past, last: int) -> None:
        """What only one's own cluster tells of."""

    def _starts(self) -> Dict[str, List[float]]:
        starts: Dict[str, List[float]] = {}
        for node in [*self.world.nodes, *self.world.former]:
            starts.setdefault(node.address, []).extend(node.starts)
        return starts

    def _judge_by_porcupine(self) -> None:
        done = subprocess.run([str(programs.JUDGE), str(self.out / "clients.jsonl")], capture_output=True, text=True)
        told = json.loads(done.stdout) if done.stdout else {"operations": 0, "groups": 0, "seconds": 0.0}
        what = "not linearizable" if done.returncode not in (0, 1) or told.get("illegal") else UNDECIDED
        self.find("linearizable, by Porcupine", [f"{what}: {done.stdout}{done.stderr}"] if done.returncode else [],
                  f"{told['operations']:,} operations in {told['groups']:,} groups of keys, {told['seconds']:.1f} s")  # fmt: skip


class OwnCourse(Course):
    """Of baton, with all that its operators do."""

    world: World

    def __init__(self, of: plan.Plan, directory: Path, world: World, next_program: Optional[Path]) -> None:
        super().__init__(of, directory, world)
        self.operations = Operations(world, self.faults, next_program)

    def judge_more(self, past: checks.Past, last: int) -> None:
        self.find("no worker is wronged", checks.check_workers(history.lines(self.out / "workers.jsonl")), "50 workers")
        self._judge_backups(past)
        try:
            self._judge_nodes(past, last)
        except AssertionError as error:
            self.find("nodes hold the same", [f"the nodes cannot be compared: {error}"], "nothing")
        logs = {log.stem: log.read_text(errors="replace") for log in self.world.directory.glob("n*.log")}
        self.find("one leader a term, and terms rise", harness.check_logs(logs), f"the logs of {len(logs)} nodes")

    def _judge_backups(self, past: checks.Past) -> None:
        found = []
        for backup in self.operations.backups:
            with backup.file.open() as lines:
                items = {key: item for key, item in in_image(lines).items() if key.startswith("g")}
            found += checks.check_contents(f"the backup at {backup.at}", items, past, backup.at)
        self.find("backups have what was there", found, f"{len(self.operations.backups)} backups")

    def _judge_nodes(self, past: checks.Past, last: int) -> None:
        """What the nodes hold, and then their logs and images on the disks."""
        world = self.world
        index = world.settle()
        found = []
        digests: Dict[int, Set[int]] = {}
        for node in world.nodes:
            found += checks.check_contents(node.name, listed(node), past, last)
            node.call("Snapshot")
            for one in node.status().digests:
                digests.setdefault(one.index, set()).add(one.digest)
        found += [f"digests differ at {at}" for at, values in digests.items() if len(values) > 1]
        for node in world.nodes:
            node.stop()
        compare = [str(harness.ROOT / "deploy/local/compare"), str(index), *(f"{node.name}={node.data}" for node in world.nodes)]
        done = subprocess.run(compare, env={**os.environ, "BATOND": str(world.program)}, capture_output=True, text=True)
        if done.returncode != 0:
            found.append(f"logs or images differ: {done.stdout}{done.stderr}")
        self.find("nodes hold the same", found, (done.stdout.splitlines() or ["nothing"])[-1].rstrip("."))


def in_a_line(complaint: str) -> str:
    """For a report: the end of a traceback, and no path of this machine."""
    lines = [line for line in complaint.splitlines() if line.strip()]
    first, last = lines[0].removesuffix(" Traceback (most recent call last):"), lines[-1]
    return (first if first == last else f"{first} {last}").replace(f"{harness.ROOT}/", "")[:300]


def run(of: plan.Plan, make: Callable[[plan.Plan, Path, Path], Course], is_strict: bool, command: str) -> List[str]:
    """What is wrong. Strict: rates must be there again in time, too, which a busy machine does not allow."""
    out = programs.OUT / "run"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    with stage.hosts() as directory:
        course = make(of, out, directory)
        try:
            course.live()
            tally = course.judge()
        finally:
            for log in directory.glob("*.log"):
                shutil.copy(log, out)
            course.world.end()
    faults, complaints = course.faults, course.complaints
    told = report.tell(of, tally, faults.done, faults.skipped, course.load_began, course.verdicts, command)
    if is_strict:
        complaints += [f"half of the rate was back only {late['seconds']} s after a heal" for late in told["heals_late"]]
    told["complaints"] = [in_a_line(complaint) for complaint in complaints]
    (out / "report.json").write_text(json.dumps(told, indent=1) + "\n")
    (out / "faults.json").write_text(json.dumps([fault.told() for fault in faults.done], indent=1) + "\n")
    if of.seconds >= page.LONG:
        page.keep("etcd" if "WITH=etcd" in command else "baton", told)
    print(report.summary(told))
    print("\n".join(["all is well" if not complaints else "not all is well:", *complaints]))
    return complaints
