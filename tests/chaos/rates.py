"""How the writes went: gaps, and how long after a heal until half of the usual rate is there again."""

from __future__ import annotations

import bisect
import statistics
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import plan
from faults import HOSTS, Fault

WINDOW = 0.5  # seconds in which a rate is measured
STEP = 0.05
LIMIT = 5.0  # from a heal to half of the rate
GAP = 0.5  # what the report lists


class Heal(NamedTuple):
    at: float  # unix time
    kind: str
    seconds: float  # until half of the usual rate was there


class Circumstances:
    """Which faults there are at a time."""

    def __init__(self, faults: List[Fault]) -> None:
        self._down = [one for fault in faults for one in fault.down]
        self._apart = [one for fault in faults for one in fault.apart]
        self._slow = [one for fault in faults for one in fault.slow]
        self.begins = sorted(
            [began for _, began, _ in self._down] + [began for *_, began, _ in self._apart]
            + [fault.began for fault in faults if fault.kind == "transfer"]
        )  # fmt: skip

    def is_well(self, at: float) -> bool:
        """Two nodes run, hear each other, and neither the link nor a disk is slow."""
        if any(began <= at < ended for began, ended in self._slow):
            return False
        up = set(HOSTS) - {host for host, began, ended in self._down if began <= at < ended}
        parted = [{one, other} for one, other, began, ended in self._apart if began <= at < ended]
        return any({one, other} not in parted for one in up for other in up if one < other)

    @staticmethod
    def ends(faults: List[Fault]) -> List[Tuple[float, str]]:
        return sorted((one[-1], fault.kind) for fault in faults for one in (*fault.down, *fault.apart))


def rate(acknowledged: Sequence[float], at: float) -> float:
    return (bisect.bisect_left(acknowledged, at + WINDOW) - bisect.bisect_left(acknowledged, at)) / WINDOW


def usual_rate(acknowledged: Sequence[float], began: float) -> float:
    """Before the first fault."""
    return statistics.median(rate(acknowledged, began + at) for at in range(2, int(plan.WARM_UP) - 1))


def recovery(acknowledged: Sequence[float], healed: float, usual: float, of: Circumstances) -> Optional[float]:
    """Seconds from a heal, or from the next fault before it was over, until half of the rate was there; None: it is not
    to be expected, as no majority was well throughout."""
    since = at = healed
    while rate(acknowledged, at) < usual / 2:
        if not of.is_well(at) or at > acknowledged[-1]:
            return None
        begun = bisect.bisect_right(of.begins, at + STEP)
        if begun and since < of.begins[begun - 1]:
            since = of.begins[begun - 1]
        at += STEP
    return max(0.0, at - since)


def heals(acknowledged: Sequence[float], faults: List[Fault], usual: float) -> List[Heal]:
    of = Circumstances(faults)
    found = []
    for healed, kind in Circumstances.ends(faults):
        if not of.is_well(healed):
            continue
        seconds = recovery(acknowledged, healed, usual, of)
        if seconds is not None:
            found.append(Heal(healed, kind, seconds))
    return found


def gaps(acknowledged: Sequence[float]) -> List[Tuple[float, float]]:
    """When no write was acknowledged for long, the longest first: since when, and for how long."""
    pairs = zip(acknowledged, acknowledged[1:])
    return sorted(((one, other - one) for one, other in pairs if other - one >= GAP), key=lambda gap: -gap[1])


def quantiles(values: Sequence[float]) -> Dict[str, Any]:
    ordered = sorted(values)
    if not ordered:
        return {"n": 0}
    picked = {name: ordered[min(len(ordered) - 1, int(q * len(ordered)))] for name, q in (("p50", 0.5), ("p99", 0.99))}
    return {"n": len(ordered), **{name: round(value, 4) for name, value in picked.items()}, "max": round(ordered[-1], 4)}
