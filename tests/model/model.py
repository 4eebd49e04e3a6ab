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
    broken: tuple[str, ...] = ()
    broken_bounds: dict[str, int] | None = None  # of the variants, where they need more than the small ones
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

    @property
    def verdict(self) -> str:
        if self.variant:
            return f"found: {self.found}" if self.ok else "NOT FOUND"
        return "holds" if self.ok else f"FAILS: {self.found}" if self.found else "NOT COMPLETE"


CHECKS = (
    Check(
        "election",
        "election.pml",
        "no two leaders of one term",
        small={"TERMS": 2, "FLIGHT": 2, "CRASHES": 1},
        full=({"TERMS": 2, "FLIGHT": 3, "CRASHES": 1}, {"TERMS": 3, "FLIGHT": 2, "CRASHES": 0}),
        broken=("DOUBLE_VOTE", "FORGETS_VOTE", "LATE_VOTES", "PRE_VOTES_COUNT"),
        broken_bounds={"TERMS": 3, "FLIGHT": 2, "CRASHES": 1},
    ),
    Check(
        "steady",
        "election.pml",
        "who comes and goes deposes no leader that is heard",
        flags=("STEADY",),
        small={"TERMS": 3, "FLIGHT": 2, "CRASHES": 1},
        full=({"TERMS": 3, "FLIGHT": 3, "CRASHES": 2},),
        broken=("NO_PRE_VOTE", "NO_STICKINESS"),
    ),
    Check(
        "early",
        "election.pml",
        "a dead leader has a successor without any timer",
        flags=("EARLY",),
        small={"TERMS": 4, "CRASHES": 0},
        full=({"TERMS": 4, "CRASHES": 0}, {"TERMS": 4, "CRASHES": 0, "PREFERRED": 3}),
        broken=("NONE_KEPT", "NO_TIE_BREAK"),
        liveness=True,
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
    """The model as it is, and then each broken variant."""
    if full:
        results = [verify(check, bounds, optimize="-O1") for bounds in check.full]
    else:
        results = [verify(check, check.small)]
    for variant in check.broken:
        results.append(verify(check, check.broken_bounds or check.small, variant))
    return results
