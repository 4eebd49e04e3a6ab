"""What happens in a year, and when: drawn from a seed. Twenty minutes stand for it; other durations have a share."""

from __future__ import annotations

import random
from typing import List, NamedTuple

WHOLE_MINUTES = 20
WRITES, KEYS, WORKERS = 20_000_000, 200_000, 2_000
ROLLING_RESTARTS, REPLACEMENTS, BACKUPS = 10, 5, 3
LOSSES_A_MINUTE = 2
LOSSES = ("SIGKILL", "SIGSTOP", "SIGTERM", "cut")

# The share of a writer on a host of each cloud: from the other cloud every write crosses the link.
SHARES = {"w1": 2, "w3": 1}
KEYS_MIN = 2048  # of a writer: LEDGER_KEYS_MIN of src/bench/ledger.h


class Event(NamedTuple):
    at: float  # seconds from the start
    kind: str  # one of LOSSES: the leader is lost; else "rolling restart", "replacement", "backup"


class Plan(NamedTuple):
    seed: int
    seconds: float
    writes: int
    keys: int
    workers: int
    events: List[Event]

    def count(self, kind: str) -> int:
        return sum(event.kind == kind for event in self.events)

    @property
    def is_whole(self) -> bool:
        return self.seconds >= WHOLE_MINUTES * 60


def spread(rng: random.Random, kinds: List[str], seconds: float) -> List[Event]:
    """One in each of as many equal parts, somewhere in the midst of its part; in random order."""
    rng.shuffle(kinds)
    part = seconds / max(1, len(kinds))
    return [Event((number + rng.uniform(0.3, 0.7)) * part, kind) for number, kind in enumerate(kinds)]


def draw(seed: int, minutes: float) -> Plan:
    rng = random.Random(seed)
    share = minutes / WHOLE_MINUTES
    seconds = minutes * 60.0
    losses = max(1, round(LOSSES_A_MINUTE * minutes))
    kinds = [LOSSES[number % len(LOSSES)] for number in range(losses)]
    others: List[str] = []
    for kind, count in (("rolling restart", ROLLING_RESTARTS), ("replacement", REPLACEMENTS), ("backup", BACKUPS)):
        others += [kind] * max(1, round(count * share))
    # They end before the writes do.
    events = sorted(spread(rng, kinds, seconds * 0.95) + spread(rng, others, seconds * 0.95))
    keys = max(KEYS_MIN * sum(SHARES.values()), round(KEYS * share))
    return Plan(seed, seconds, round(WRITES * share), keys, max(100, round(WORKERS * share)), events)
