"""The report of a run: its figures as JSON, and the page that tells them."""

from __future__ import annotations

from array import array
from collections import Counter
from typing import Any, Dict, Iterable, List

import plan
import rates
import stage
from faults import Fault
from history import Operation

WRITES = ("put", "delete")


class Tally:
    """What the clients' operations come to."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self.outcomes: Dict[str, Counter[str]] = {}
        self.attempts = 0
        self.latencies = array("d")
        acknowledged = array("d")
        for op in operations:
            kind = op["op"] if op["op"] in WRITES else f"{op['how']} {op['op']}"
            if "exp" in op:
                kind = f"compared {kind}"
            self.outcomes.setdefault(kind, Counter())[op["o"]] += 1
            if op["op"] in WRITES:
                self.attempts += op.get("n", 1) - 1
                if op["o"] not in ("unknown", "failed"):
                    acknowledged.append(op["r"] / 1e9)
                    self.latencies.append((op["r"] - op["i"]) / 1e9)
        self.acknowledged: List[float] = sorted(acknowledged)

    def count(self, outcome: str) -> int:
        return sum(of_kind[outcome] for of_kind in self.outcomes.values())

    def writes(self, outcome: str) -> int:
        return sum(counts[outcome] for kind, counts in self.outcomes.items() if kind.split()[-1] in WRITES)


def tell(of: plan.Plan, tally: Tally, faults: List[Fault], skipped: List[str], began: float, verdicts: Dict[str, Any],
         command: str) -> Dict[str, Any]:  # fmt: skip
    usual = rates.usual_rate(tally.acknowledged, began)
    healed = rates.heals(tally.acknowledged, faults, usual)
    gaps = rates.gaps(tally.acknowledged)
    return {
        "circumstances": stage.circumstances(command),
        "seed": of.seed,
        "seconds": of.seconds,
        "faults": dict(sorted(Counter(fault.kind for fault in faults).items())),
        "skipped": dict(sorted(Counter(skipped).items())),
        "operations": {kind: dict(counts) for kind, counts in sorted(tally.outcomes.items())},
        "repeated": tally.attempts,
        "usual_rate": round(usual),
        "write_seconds": rates.quantiles(tally.latencies),
        "longest_gaps": [{"at": round(at - began, 2), "seconds": round(seconds, 2)} for at, seconds in gaps[:10]],
        "gap_count": len(gaps),
        "gap_seconds": round(sum(seconds for _, seconds in gaps), 1),
        "heals": rates.quantiles([heal.seconds for heal in healed]),
        "heals_late": [
            {"at": round(heal.at - began, 1), "after": heal.kind, "seconds": round(heal.seconds, 1)}
            for heal in healed
            if heal.seconds > rates.LIMIT
        ],
        "verdicts": verdicts,
    }


# --- for people ---


def summary(found: Dict[str, Any]) -> str:
    kinds = found["operations"]
    outcomes: Counter[str] = Counter()
    for kind, counts in kinds.items():
        for outcome, count in counts.items():
            outcomes[f"{'write' if kind.split()[-1] in WRITES else 'read'}s {outcome}"] += count
    latency, heal = found["write_seconds"], found["heals"]
    longest = found["longest_gaps"][0] if found["longest_gaps"] else {"at": 0, "seconds": 0}
    lines = [
        f"faults: {sum(found['faults'].values())} in {found['seconds']:.0f} s: "
        + ", ".join(f"{count} {kind}" for kind, count in found["faults"].items()),
        "operations: " + ", ".join(f"{count:,} {what}" for what, count in sorted(outcomes.items()) if count),
        f"attempts repeated: {found['repeated']:,}; unknown outcomes: {outcomes['writes unknown']}",
        f"writes: {found['usual_rate']} a second before the first fault; "
        f"p50 {latency['p50'] * 1e3:.0f} ms, p99 {latency['p99'] * 1e3:.0f} ms, longest {latency['max']:.1f} s",
        f"gaps of half a second and more: {found['gap_count']}, {found['gap_seconds']} s together, "
        f"the longest {longest['seconds']} s at {longest['at']} s",
        f"half of the rate after a heal: {heal['n']} heals judged"
        + (f", p50 {heal['p50']:.2f} s, longest {heal['max']:.2f} s" if heal["n"] else "")
        + f"; later than {rates.LIMIT:g} s: {len(found['heals_late'])}",
        *(f"  {late['seconds']} s after {late['after']} ended at {late['at']} s" for late in found["heals_late"]),
        *(f"{what}: {verdict}" for what, verdict in found["verdicts"].items()),
    ]
    return "\n".join(lines)
