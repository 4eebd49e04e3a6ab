"""What is checked of the models, and how: spin makes a verifier of a model, gcc compiles it, and it visits every state within
the bounds. A model that is right must come out without an error and without a state left out; a broken variant must be found.
"""

import dataclasses
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

HERE = pathlib.Path(__file__).resolve().parent
MEMORY_MB = 1500
DEPTH = 300_000

# What the verifier says where it has not visited everything.
CUT_SHORT = ("max search depth too small", "search not completed", "reached -DMEMLIM", "out of memory", "Bit statespace", "hash-compaction")


@dataclasses.dataclass(frozen=True)
class Check:
    """One property of one model. `bounds` are for CI and for `make model`; `broken` names the variants in which it must fail."""

    name: str
    model: str
    states: str  # the property, in words
    small: dict[str, int]
    full: tuple[dict[str, int], ...]
    flags: tuple[str, ...] = ()
    broken: dict[str, dict[str, int]] = dataclasses.field(default_factory=dict)  # with what differs from the small bounds
    liveness: bool = False


@dataclasses.dataclass(frozen=True)
class Result:
    """What a verifier found."""

    check: str
    variant: str  # empty: the model as it is
    model: str
    property: str
    bounds: str
    states: int
    depth: int
    seconds: float
    found: str  # the first error, or empty
    complete: bool
    ok: bool

    def verdict(self) -> str:
        if self.variant:
            return f"found: {self.found}" if self.ok else "NOT FOUND"
        return "holds" if self.ok else f"FAILS: {self.found}" if self.found else "NOT COMPLETE"


LATE = {"TERMS": 3, "FLIGHT": 2, "CRASHES": 1}
LED = {"TERMS": 4, "ENTRIES": 4, "NODES": 4, "VOTERS": 15, "LED": 1}
SLOW = {"LATE_VOTES", "BEFORE_NO_OP", "NOT_TAKEN_BACK"}  # variants that only `make model` looks at: half a minute each
CHECKS = (
    Check(
        "election",
        "election.pml",
        "no two leaders of one term",
        small={"TERMS": 2, "FLIGHT": 2, "CRASHES": 1},
        full=({"TERMS": 2, "FLIGHT": 3, "CRASHES": 1}, {"TERMS": 3, "FLIGHT": 2, "CRASHES": 0}),
        broken={"DOUBLE_VOTE": LATE, "FORGETS_VOTE": LATE, "LATE_VOTES": LATE, "PRE_VOTES_COUNT": LATE},
    ),
    Check(
        "steady",
        "election.pml",
        "who comes and goes deposes no leader that is heard",
        flags=("STEADY",),
        small={"TERMS": 3, "FLIGHT": 2, "CRASHES": 1},
        full=({"TERMS": 3, "FLIGHT": 3, "CRASHES": 2},),
        broken={"NO_PRE_VOTE": {}, "NO_STICKINESS": {}},
    ),
    Check(
        "early",
        "election.pml",
        "a dead leader has a successor without any timer",
        flags=("EARLY",),
        small={"TERMS": 4, "CRASHES": 0},
        full=({"TERMS": 4, "CRASHES": 0}, {"TERMS": 4, "CRASHES": 0, "PREFERRED": 3}),
        broken={"NONE_KEPT": {}, "NO_TIE_BREAK": {}},
        liveness=True,
    ),
    Check(
        "transfer",
        "election.pml",
        "a transfer succeeds though all hear the leader",
        flags=("TRANSFER",),
        small={"TERMS": 4, "CRASHES": 0},
        full=({"TERMS": 4, "CRASHES": 0},),
        broken={"NO_BYPASS": {}, "TIMEOUT_NOW_PRE_VOTE": {}},
        liveness=True,
    ),
    Check(
        "live",
        "election.pml",
        "in a good network a leader is followed in the end",
        flags=("LIVE",),
        small={"TERMS": 4, "CRASHES": 0, "DISKS": 1},
        full=({"TERMS": 4, "CRASHES": 0}, {"TERMS": 5, "CRASHES": 0}, {"TERMS": 4, "CRASHES": 0, "INSIST": 1}),
        broken={"NO_TIE_BREAK": {}, "INSISTING": {"INSIST": 1}},
        liveness=True,
    ),
    Check(
        "deaf",
        "election.pml",
        "nor does a leader who hears nobody prevent that",
        flags=("LIVE", "DEAF"),
        small={"TERMS": 4, "CRASHES": 0, "DISKS": 1},
        full=({"TERMS": 5, "CRASHES": 0},),
        broken={"NO_CHECK_QUORUM": {"DISKS": 3}},
        liveness=True,
    ),
    Check(
        "log",
        "replication.pml",
        "one leader a term, and no committed entry is lost",
        small={"TERMS": 4, "ENTRIES": 3},
        full=({"TERMS": 6, "ENTRIES": 3}, {"TERMS": 5, "ENTRIES": 4}),
        broken={"DOUBLE_VOTE": {}, "EARLIER_TERM": {"TERMS": 5, "LOSS": 1}, "TIMEOUT_NOW_LEADS": {}},
    ),
    Check(
        "members",
        "replication.pml",
        "the same, while voters are added and removed",
        flags=("MEMBERS",),
        small={"TERMS": 3, "ENTRIES": 3},
        full=({"TERMS": 4, "ENTRIES": 4}, {"TERMS": 3, "ENTRIES": 3, "NODES": 4, "VOTERS": 15}),
        broken={
            "BEFORE_NO_OP": LED,
            "CHANGE_PENDING": {"ENTRIES": 4, "LOSS": 1},
            "TWO_VOTERS": {},
            "NOT_TAKEN_BACK": LED,
        },
    ),
    Check(
        "wiped",
        "replication.pml",
        "the same, though the disk of a member is wiped",
        flags=("WIPES",),
        small={"TERMS": 3, "ENTRIES": 2, "NODES": 4},
        full=({"TERMS": 4, "ENTRIES": 3, "NODES": 4},),
        broken={"WIPED_VOTES": {}, "WIPED_FOLLOWS": {"LOSS": 1}},
    ),
    Check(
        "generations",
        "replication.pml",
        "the same in each generation, whoever is promoted",
        flags=("GENERATIONS",),
        small={"TERMS": 2, "ENTRIES": 3, "NEW_TERMS": 2},
        full=({"TERMS": 2, "ENTRIES": 4, "NEW_TERMS": 2},),
        broken={"OLD_GENERATION_HEARD": {"LOSS": 1}, "TERM_IN_REACH": {}, "OLD_CONFIGURATION": {"LOSS": 1}},
    ),
)


def defines(check: Check, bounds: dict[str, int], variant: str = "") -> list[str]:
    flags = [*check.flags, *(f"{name}={value}" for name, value in bounds.items()), *([f"BROKEN_{variant}"] if variant else [])]
    return [f"-D{flag}" for flag in flags]


def run(command: list[str], directory: pathlib.Path) -> str:
    done = subprocess.run(command, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    output = done.stdout + done.stderr
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{output[-4000:]}")
    return output


def first_error(output: str) -> str:
    """The verifier's: an assertion, or a cycle in which what should happen never does."""
    match = re.search(r"^pan:\d+: (assertion violated|acceptance cycle|invalid end state)", output, re.MULTILINE)
    return match[1] if match else ""


def number(pattern: str, output: str) -> float:
    match = re.search(pattern, output)
    if match is None:
        raise RuntimeError(f"the verifier does not say {pattern}:\n{output[-4000:]}")
    return float(match[1])


def verify(check: Check, bounds: dict[str, int], variant: str = "", optimize: str = "-O0") -> Result:
    with tempfile.TemporaryDirectory(prefix="model-") as folder:
        directory = pathlib.Path(folder)
        for source in HERE.glob("*.pml"):
            shutil.copy(source, directory)
        run(["spin", "-a", *defines(check, bounds, variant), check.model], directory)
        kind = [] if check.liveness else ["-DSAFETY"]
        run(["gcc", "-w", optimize, "-DNOREDUCE", f"-DMEMLIM={MEMORY_MB}", *kind, "-o", "pan", "pan.c"], directory)
        start = time.monotonic()
        output = run(["./pan", f"-m{DEPTH}", *(["-a"] if check.liveness else [])], directory)
        seconds = time.monotonic() - start
    complete = "Full statespace search" in output and not any(words in output for words in CUT_SHORT)
    errors, found = number(r"errors: (\d+)", output), first_error(output)
    wanted = "acceptance cycle" if check.liveness else "assertion violated"
    ok = errors > 0 and found == wanted if variant else errors == 0 and complete
    return Result(
        check.name, variant, check.model, check.states, " ".join(f"{name}={value}" for name, value in bounds.items()),
        int(number(r"([0-9.e+]+) states, stored", output)), int(number(r"depth reached (\d+)", output)), round(seconds, 1),
        found, complete, ok,
    )  # fmt: skip


def verify_all(check: Check, full: bool) -> list[Result]:
    """The model as it is, and then each broken variant. Small ones two at a time; large ones take the memory that there is."""
    runs = [(bounds, "") for bounds in (check.full if full else (check.small,))]
    runs += [(check.small | bounds, variant) for variant, bounds in check.broken.items() if full or variant not in SLOW]
    with ThreadPoolExecutor(1 if full else 2) as pool:
        return list(pool.map(lambda run: verify(check, run[0], run[1], optimize="-O1" if full else "-O0"), runs))
