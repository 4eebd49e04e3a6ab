"""The page that tells what chaos came to: docs/chaos.md, from what the last long runs and broken builds left in report.json."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List

import rates
import report
import stage

FILE = Path(__file__).with_name("report.json")
PAGE = stage.ROOT / "docs" / "chaos.md"
LONG = 600.0  # seconds: shorter runs are not told

HEAD = """# Chaos, and what was seen

Written by `make chaos` (ten minutes or more) and `make chaos-broken`. Three nodes run as real processes in two clouds 50 ms apart, with
certificates, each on a small file system of its own. A seed draws what fails, several things at once, while a hundred exactly-once clients
write 1,000 times a second, others read, six watches watch and 50 workers send heartbeats. What each client was told is judged by
[Porcupine](https://github.com/anishathalye/porcupine), and by checks of our own. etcd stands in the same places under the same clients; its
clock and disk cannot be changed from outside, its members are not replaced, and its disk is never full. It has no sessions, so a write
without an answer stays unknown.
"""


def keep(name: str, found: Any) -> None:
    """Adds a run to what is known, and writes the page again."""
    known: Dict[str, Any] = json.loads(FILE.read_text()) if FILE.exists() else {}
    if name.startswith("broken "):
        known.setdefault("broken", {})[name.split(" ", 1)[1]] = found
    else:
        known[name] = found
    FILE.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    PAGE.write_text(text(known))


def table(head: List[str], rows: List[List[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def outcomes(run: Dict[str, Any], writes: bool) -> "Counter[str]":
    found: "Counter[str]" = Counter()
    for kind, counts in run["operations"].items():
        if (kind.split()[-1] in report.WRITES) == writes:
            found.update(counts)
    return found


def seconds(value: Any) -> str:
    return "none" if value is None else f"{value:.2f} s"


def figures(run: Dict[str, Any]) -> Dict[str, str]:
    told, read = outcomes(run, True), outcomes(run, False)
    latency, heals = run["write_seconds"], run["heals"]
    longest = run["longest_gaps"][0]["seconds"] if run["longest_gaps"] else None
    return {
        "recorded": f"{run['circumstances']['recorded']}, `{run['circumstances']['command']} SEED={run['seed']}`",
        "machine": f"{run['circumstances']['machine']}, load {run['circumstances']['load']}",
        "faults": f"{sum(run['faults'].values()):,} in {run['seconds'] / 60:g} minutes",
        "writes a second before the first fault": f"{run['usual_rate']:,}",
        "writes answered": f"{told['ok'] + told['mismatch']:,}, of which {told['mismatch']:,} by a mismatch",
        "writes whose outcome is unknown": f"{told['unknown']:,}",
        "attempts that were repeated": f"{run['repeated']:,}",
        "reads answered, failed": f"{read['ok'] + read['missing']:,}, {read['failed']:,}",
        "latency of writes, faults included": f"p50 {latency['p50'] * 1e3:.0f} ms, p99 {latency['p99'] * 1e3:,.0f} ms",
        "longest time without an answered write": seconds(longest),
        f"gaps of {rates.GAP:g} s and more": f"{run['gap_count']}, {run['gap_seconds']} s together",
        "heals judged": f"{heals['n']}",
        "half of the rate after a heal": f"p50 {seconds(heals.get('p50'))}, longest {seconds(heals.get('max'))}",
        f"later than {rates.LIMIT:g} s": f"{len(run['heals_late'])}",
        "all is well": f"no, {len(run['complaints'])} complaints; the first: {run['complaints'][0]}".replace("|", "/")
        if run["complaints"]
        else "yes",
    }


def text(known: Dict[str, Any]) -> str:
    runs = {name: known[name] for name in ("baton", "etcd") if name in known}
    parts = [HEAD]
    if runs:
        told = {name: figures(run) for name, run in runs.items()}
        first = next(iter(told.values()))
        parts.append(table(["", *runs], [[what, *(each[what] for each in told.values())] for what in first]))
        kinds = sorted({kind for run in runs.values() for kind in run["faults"]})
        parts.append("## Faults\n\n" + table(["", *runs], [[kind, *(run["faults"].get(kind, "") for run in runs.values())] for kind in kinds]))
        for name, run in runs.items():
            parts.append(f"## What was judged: {name}\n\n" + table(["", ""], [[what, verdict] for what, verdict in run["verdicts"].items()]))
    if "broken" in known:
        rows = [[f"`{name}`", one["caught"], one["seed"], one["why"]] for name, one in sorted(known["broken"].items())]
        head = "## Broken builds\n\n`tests/chaos/broken/` has their patches. Chaos runs two minutes at a time until it catches one.\n\n"
        parts.append(head + table(["build", "caught within minutes", "seed", "the first complaint"], rows))
    return "\n".join(parts)
