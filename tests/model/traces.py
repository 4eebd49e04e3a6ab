"""The traces that real cores replay (tests/unit/test_raft_model.c): runs of the models in which spin chooses by a seed. They are
committed, so that a test needs no spin; test_model.py checks that the models still give them.
"""

import dataclasses
import pathlib
import re
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
STEPS = 6000

START = ["script members n1 n2 n3", "script start all"]


@dataclasses.dataclass(frozen=True)
class Trace:
    name: str
    model: str
    seed: int
    flags: tuple[str, ...]
    start: tuple[str, ...] = tuple(START)

    @property
    def path(self) -> pathlib.Path:
        return HERE / "traces" / f"{self.name}.txt"


ELECTION = ("TERMS=6", "CRASHES=3")
LOG = ("TERMS=15", "ENTRIES=40")
TRACES = (
    *(Trace(f"election-{seed}", "election.pml", seed, (*ELECTION, "FLIGHT=6", "RELIABLE")) for seed in range(1, 17)),
    *(Trace(f"election-lossy-{seed}", "election.pml", seed, (*ELECTION, "FLIGHT=4")) for seed in range(1, 9)),
    *(
        Trace(
            f"election-preferred-{seed}", "election.pml", seed, (*ELECTION, "FLIGHT=6", "RELIABLE", "PREFERRED=3"),
            ("script members n1 n2 n3 preferred n3", "script start all"),
        )
        for seed in range(1, 5)
    ),
    *(Trace(f"log-{seed}", "replication.pml", seed, (*LOG, "MEMBERS")) for seed in range(1, 17)),
)  # fmt: skip


def is_trace(line: str) -> bool:
    return re.match(r"(n\d |deliver |answer |script |[a-z-]+ n\d)", line) is not None


def text_of(trace: Trace) -> str:
    """The trace as the model gives it: of what nodes are, only what has changed."""
    flags = [f"-D{flag}" for flag in ("TRACE", *trace.flags)]
    command = ["spin", f"-n{trace.seed}", f"-u{STEPS}", "-T", *flags, trace.model]
    done = subprocess.run(command, cwd=HERE, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    lines = [f"# {' '.join(command)}", *trace.start]
    shown: dict[str, str] = {}
    for line in map(str.strip, done.stdout.splitlines()):
        node = re.match(r"n\d(?= )", line)
        if node and shown.get(node[0]) == line:
            continue
        if node:
            shown[node[0]] = line
        if is_trace(line):
            lines.append(line)
    return "\n".join(lines) + "\n"
