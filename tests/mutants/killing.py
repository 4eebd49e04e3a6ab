"""What kills a mutant: the stages of the tests, the cheapest that are likely to notice it first, until one fails.

Unit tests that are named after its file, the quick ones among the others and the golden scenarios, some seeds of whole nodes,
slower unit tests, all seeds of simulated cores and of whole nodes, and at last the tests that start processes.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import datetime
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import zlib
from typing import Any, Dict, List, Optional, Set, Tuple

import build
from build import Broken, Mutation, Program
from catalogue import ROOT, Mutant

PASSED = build.CACHE / "passed.json"
WORKER = "worker"
CHEAP_SECONDS = 1.5
SIMULATOR = "raft-sim"
STAGES = {"world-first": 2, SIMULATOR: 5, "world": 5, "world-more": 6}  # in the order of Runner.order
LONG = 6
# What a test takes with a mutant at most: it may wait for what never happens.
PATIENCE_SECONDS, PATIENCE_FACTOR = 30, 5


@dataclasses.dataclass
class Outcome:
    killed_by: str  # a program, and the test in it; "": it has survived
    seeds: int  # of a simulator, up to the one that found it; 0: it was none
    seconds: float
    how: str = ""
    check_seconds: float = 0  # of the test that found it, without the mutant


def start(command: List[str], directory: pathlib.Path, limit: float, **environment: str) -> Tuple[Optional[int], str]:
    """The exit status, None if it took too long, and the output. What it has started ends with it."""
    log = directory / "output.txt"
    with open(log, "w") as out:
        variables = {name: value for name, value in os.environ.items() if not name.startswith("BATON_")}
        process = subprocess.Popen(command, cwd=build.RELEASE, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                   env={**variables, **environment}, start_new_session=True)  # fmt: skip
        try:
            status: Optional[int] = process.wait(limit)
        except subprocess.TimeoutExpired:
            status = None
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
    return status, log.read_text(errors="replace")


def failing_test(output: str) -> str:
    """The first that cmocka or pytest calls failed, or else the last that began."""
    failed: List[str] = re.findall(r"^\[  FAILED  \] (\w+)", output, re.MULTILINE) or re.findall(r"^FAILED \S+::(\w+)", output, re.MULTILINE)
    begun: List[str] = re.findall(r"^\[ RUN      \] (\w+)", output, re.MULTILINE)
    return failed[0] if failed else begun[-1] if begun else ""


def run_program(program: Program, path: pathlib.Path, directory: pathlib.Path, limit: float, only: str = "") -> Optional[Outcome]:
    """None: it passes."""
    began = time.monotonic()
    environment = {"CMOCKA_TEST_ABORT": "1"}
    if only:
        environment["BATON_TEST_FILTER"] = only
    status, output = start([str(path), *program.arguments], directory, limit, **environment)
    if status == 0:
        return None
    seed = re.search(r"broken[^\n]*?\b(?:BATON_SEED=|seed )(\d+)", output)
    test = failing_test(output)
    how = "it took too long" if status is None else f"exit status {status}"
    killed_by = f"{program.name}: {test}" if test else program.name
    return Outcome(killed_by, int(seed[1]) if seed else 0, time.monotonic() - began, how)


def run_worker(mutant: Optional[Mutant], directory: pathlib.Path, limit: float, only: str = "") -> Optional[Outcome]:
    """The worker's tests, in Python, beside a changed copy: those of its decisions first, and not those of the package."""
    began = time.monotonic()
    copy = directory / "copy"
    shutil.copytree(ROOT / "worker", copy / "worker", ignore=shutil.ignore_patterns("__pycache__"))
    for file, text in (mutant.apply() if mutant else {}).items():
        (copy / file).write_text(text)
    tests = sorted((copy / "worker/tests").glob("test_*.py"), key=lambda path: (path.name != "test_session.py", path.name))
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider",
               *(str(path) for path in tests if path.name != "test_package.py")]  # fmt: skip
    status, output = start([*command, *(["-k", only] if only else [])], directory, limit, PYTHONDONTWRITEBYTECODE="1",
                           PYTHONPATH=f"{copy}/worker:{ROOT}/tests")  # fmt: skip
    if status == 0:
        return None
    how = "it took too long" if status is None else f"exit status {status}"
    return Outcome(f"{WORKER}: {failing_test(output)}", 0, time.monotonic() - began, how)


class Runner:
    def __init__(self, jobs: int, patience: float = PATIENCE_SECONDS, thorough: bool = True) -> None:
        self.jobs = jobs
        self.patience = patience
        self.thorough = thorough  # with the stages that take long: more seeds, and processes
        self.links = build.Links()
        self.seconds: Dict[str, float] = {}  # of each stage, unmutated
        self.passed: Dict[str, Any] = json.loads(PASSED.read_text()) if PASSED.exists() else {}
        self.lock = threading.Lock()

    def directory(self, name: str) -> pathlib.Path:
        path = build.CACHE / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path

    def limit(self, stage: str) -> float:
        return self.patience + PATIENCE_FACTOR * self.seconds.get(stage, 60)

    def in_parallel(self, work: Any, items: List[Any]) -> List[Any]:
        with concurrent.futures.ThreadPoolExecutor(max_workers=self.jobs) as pool:
            return list(pool.map(work, items))

    def baseline(self, stage: Any) -> Optional[str]:
        """The name of the stage if it fails without a mutant. What has passed today needs not pass again."""
        name = stage if stage == WORKER else stage.name
        made = f"{datetime.date.today()} {stage if stage == WORKER else (build.RELEASE / stage.path).stat().st_mtime_ns}"
        if self.passed.get(name, [""])[0] == made:
            self.seconds[name] = self.passed[name][1]
            return None
        directory = self.directory(f"baseline-{name}")
        began = time.monotonic()
        if stage == WORKER:
            outcome = run_worker(None, directory, 600)
        else:
            self.links.of(stage)
            outcome = run_program(stage, build.RELEASE / stage.path, directory, 1200)
        self.seconds[name] = time.monotonic() - began
        if outcome is None:
            shutil.rmtree(directory)
            with self.lock:
                self.passed[name] = [made, self.seconds[name]]
                PASSED.write_text(json.dumps(self.passed, indent=1))
            return None
        return f"{outcome.killed_by or name} ({outcome.how}; {directory}/output.txt)"

    def rooms(self, mutation: Mutation) -> Set[str]:
        """As the tests of rooms are called."""
        return {pathlib.Path(file).parts[1].replace("wal", "log") for file in mutation.mutant.files}

    def order(self, mutation: Mutation) -> List[Program]:
        stems = {re.sub(r"_", "-", pathlib.Path(file).stem) for file in mutation.mutant.files}
        rooms = self.rooms(mutation)

        def rank(program: Program) -> Tuple[int, float]:
            seconds = self.seconds.get(program.name, 0)
            if program.name in STAGES:
                return STAGES[program.name], seconds
            if program.starts_processes:
                return 7, seconds
            if any(stem in program.name for stem in stems):
                return 0, seconds
            if seconds < CHEAP_SECONDS:
                return 1, seconds
            return (3 if program.name.split("-")[0] in rooms else 4), seconds

        chosen = [program for program in build.programs() if mutation.is_in(program)]
        return sorted((program for program in chosen if self.thorough or rank(program)[0] < LONG), key=rank)

    def kill(self, mutant: Any) -> Outcome:
        directory = self.directory(f"mutant-{zlib.crc32(mutant.id.encode()):08x}")
        try:
            if mutant.files[0].endswith(".py"):
                return self.kill_worker(mutant, directory)
            return self.kill_in_c(mutant, directory)
        except Broken as reason:
            return Outcome("", 0, 0, f"BROKEN: {reason}")
        finally:
            shutil.rmtree(directory)

    def kill_worker(self, mutant: Mutant, directory: pathlib.Path) -> Outcome:
        outcome = run_worker(mutant, directory, self.limit(WORKER))
        if outcome is None:
            return Outcome("", 0, 0, "no test failed")
        began = time.monotonic()
        shutil.rmtree(directory / "copy")
        if run_worker(None, directory, self.limit(WORKER), outcome.killed_by.partition(": ")[2]) is not None:
            raise Broken(f"{mutant.id}: {outcome.killed_by} fails without the mutant, too")
        outcome.check_seconds = time.monotonic() - began
        return outcome

    def kill_in_c(self, mutant: Any, directory: pathlib.Path) -> Outcome:
        mutation = Mutation(mutant, directory, self.links)
        began = time.monotonic()
        programs = self.order(mutation)
        if not programs:
            raise Broken(f"{mutant.id}: no test program contains {mutant.files}")
        outcome = Outcome("", 0, 0, f"{len(programs)} programs passed")
        for program in programs:
            found = self.confirmed(program, mutation, directory)
            if found is not None:
                outcome = found
                break
        outcome.seconds = time.monotonic() - began
        return outcome

    def simulate(self, mutant: Mutant) -> Outcome:
        """What the simulated clusters of cores find, whatever else does."""
        directory = self.directory(mutant.id)
        program = build.find_program(SIMULATOR)
        assert program is not None
        path = Mutation(mutant, directory, self.links).link(program)
        found = run_program(program, path, directory, self.limit(SIMULATOR))
        shutil.rmtree(directory)
        return found or Outcome("", 0, self.seconds[SIMULATOR], "all seeds passed")

    def confirmed(self, program: Program, mutation: Mutation, directory: pathlib.Path) -> Optional[Outcome]:
        """What the program finds. The test that fails must pass without the mutant, or the machine was to blame."""
        path = mutation.link(program)
        test = ""
        for _ in range(3):
            found = run_program(program, path, directory, self.limit(program.name))
            if found is None:
                return None
            test = found.killed_by.partition(": ")[2]
            began = time.monotonic()
            if run_program(program, build.RELEASE / program.path, directory, self.limit(program.name), test) is None:
                found.check_seconds = time.monotonic() - began
                return found
        raise Broken(f"{mutation.mutant.id}: {program.name}: {test} fails without the mutant, too")

    def again(self, mutant: Mutant, killed_by: str) -> bool:
        """Whether the test that killed it still does, and passes without it."""
        name, _, test = killed_by.partition(": ")
        directory = self.directory(mutant.id)
        began = time.monotonic()
        if name == WORKER:
            sound = run_worker(None, directory, 120, test)
            shutil.rmtree(directory / "copy")
            killed = run_worker(mutant, directory, 120, test)
        else:
            program = build.find_program(name)
            if program is None:
                raise Broken(f"{mutant.id}: there is no test program {name} any more")
            sound = run_program(program, build.RELEASE / program.path, directory, 120, test)
            mutated = Mutation(mutant, directory, self.links).link(program)
            killed = run_program(program, mutated, directory, 120, test)
        shutil.rmtree(directory)
        verdict = "fails WITHOUT it, too" if sound else "killed" if killed else "SURVIVED"
        with self.lock:
            print(f"{mutant.id:5} {time.monotonic() - began:6.1f} s  {verdict}: {killed_by}  [{mutant.what}]", flush=True)
        return killed is not None and sound is None

    def baselines(self, with_worker: bool) -> List[str]:
        """The stages that fail without a mutant."""
        stages = [*build.programs(), *([WORKER] if with_worker else [])]
        began = time.monotonic()
        failed = [name for name in self.in_parallel(self.baseline, stages) if name]
        if failed:
            print("these fail without any mutant:", *failed, sep="\n  ")
        else:
            print(f"without a mutant all {len(stages)} stages pass, {time.monotonic() - began:.0f} s", flush=True)
        return failed
