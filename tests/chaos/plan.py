"""Which faults happen when: drawn from a seed, dealt from a deck, so that no kind is forgotten."""

from __future__ import annotations

import random
from typing import Dict, List, NamedTuple, Tuple

WARM_UP = 10.0  # seconds without a fault, for the rate that is compared with
CALM = 8.0  # the same at the end
BETWEEN = (1.5, 7.0)  # seconds from one fault to the next

# How many of each the deck has, and how long one lasts, in seconds.
KINDS: Dict[str, Tuple[int, float, float]] = {
    "kill": (18, 0.2, 6.0),
    "stop": (4, 0.2, 3.0),
    "kill all": (2, 0.2, 2.0),
    "pause": (14, 0.3, 6.0),
    "cut": (6, 0.5, 6.0),
    "one-way cut": (7, 0.5, 6.0),
    "isolation": (8, 0.5, 6.0),
    "partial cut": (8, 0.5, 8.0),
    "partial one-way cut": (7, 0.5, 8.0),
    "leader apart": (20, 0.5, 4.0),
    "loss": (6, 3.0, 10.0),
    "jitter": (5, 3.0, 10.0),
    "slow disk": (8, 3.0, 10.0),
    "full disk": (6, 2.0, 8.0),
    "clock": (9, 2.0, 15.0),
    "transfer": (6, 0.0, 0.0),
    "certificates": (3, 0.0, 0.0),
    "snapshot": (4, 0.0, 0.0),
    "backup": (3, 0.0, 0.0),
    "replacement": (2, 0.0, 0.0),
    "rolling restart": (2, 0.0, 0.0),
}

# What an etcd in the same places can suffer, too.
OF_ETCD = (
    "kill", "stop", "kill all", "pause", "cut", "one-way cut", "isolation", "partial cut", "partial one-way cut",
    "leader apart", "loss",
    "jitter",
)  # fmt: skip


class Event(NamedTuple):
    at: float  # seconds from the start
    kind: str
    seconds: float
    seed: int  # of whatever else is drawn when it happens


class Plan(NamedTuple):
    seed: int
    seconds: float
    events: List[Event]


def draw(seed: int, seconds: float, kinds: "Tuple[str, ...]" = tuple(KINDS)) -> Plan:
    rng = random.Random(seed)
    events: List[Event] = []
    deck: List[str] = []
    at = WARM_UP
    while at < seconds - CALM - BETWEEN[1]:
        if not deck:
            deck = [kind for kind in kinds for _ in range(KINDS[kind][0])]
            rng.shuffle(deck)
        kind = deck.pop()
        events.append(Event(at, kind, rng.uniform(*KINDS[kind][1:]), rng.getrandbits(32)))
        at += rng.uniform(*BETWEEN)
    return Plan(seed, seconds, events)
