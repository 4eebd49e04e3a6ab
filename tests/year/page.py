"""The report of a year: its figures as text, its course as a plot, and the page that has both."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, NamedTuple

import numpy

import ledger
import load
import plan
import stage
from happenings import Happened, Restart

WINDOW = 10.0  # seconds of which a quantile is taken
MARKS = {"rolling restart": "tab:green", "replacement": "tab:red", "backup": "tab:blue"}  # others: the loss of a leader


class Year(NamedTuple):
    """All that is known in the end."""

    of: plan.Plan
    circumstances: Dict[str, Any]
    seconds: float  # that it took
    reports: List[Dict[str, Any]]  # baton-bench's
    ledgers: List[ledger.Ledger]
    fleet: Dict[str, Any]
    samples: Dict[str, List[load.Sample]]
    happened: List[Happened]
    restarts: List[Restart]
    elections: List[float]
    complaints: List[str]


class Window(NamedTuple):
    at: float  # its middle, in seconds from the start
    rate: float  # writes a second
    p50: float  # ms
    p99: float


def windows(ledgers: List[ledger.Ledger]) -> List[Window]:
    acked = numpy.concatenate([each.records["acked_ms"] for each in ledgers]) / 1e3
    latency = numpy.concatenate([each.records["latency_us"] for each in ledgers]) / 1e3
    number = (acked // WINDOW).astype("i8")
    order = numpy.argsort(number, kind="stable")
    cuts = numpy.flatnonzero(numpy.diff(number[order])) + 1
    found = []
    for part in numpy.split(order, cuts):
        if len(part):
            p50, p99 = numpy.quantile(latency[part], [0.5, 0.99])
            found.append(Window((number[part[0]] + 0.5) * WINDOW, len(part) / WINDOW, float(p50), float(p99)))
    return found


# --- figures ---


def count_of(year: Year, kind: str) -> int:
    return sum(each.kind == kind for each in year.happened)


def milliseconds(values: List[float]) -> str:
    found = stage.summary(value * 1000 for value in values)
    return f"median {found['p50']:,.0f} ms, at most {found['max']:,.0f} ms" if found["n"] else "none"


def most(year: Year, name: str) -> float:
    """Of any node, in MB."""
    return max((getattr(sample, name) for each in year.samples.values() for sample in each), default=0) / 1e6


def writes(year: Year) -> "List[tuple[str, str]]":
    latency = numpy.concatenate([each.records["latency_us"] for each in year.ledgers]) / 1e3
    count, seconds = len(latency), max(report["seconds"] for report in year.reports)
    p50, p99 = numpy.quantile(latency, [0.5, 0.99]) if count else (0.0, 0.0)
    keys = sum(each.keys for each in year.ledgers)
    watched, gaps = (sum(report[name] for report in year.reports) for name in ("watched", "watch_gaps"))
    rate = f"{seconds:,.0f} s: {count / seconds:,.0f} a second"
    return [
        ("acknowledged writes", f"{count:,} of {load.VALUE_BYTES} bytes to {keys:,} keys in {rate}"),
        ("latency", f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, retries after the loss of a leader included"),
        ("retried", f"{sum(report['retried'] for report in year.reports):,}"),
        ("changes watched", f"{watched:,}, with {gaps} gaps that the cluster's history no longer held"),
    ]


def rows(year: Year) -> "List[tuple[str, str]]":
    starts = milliseconds([each.seconds for each in year.restarts])
    wronged, lost = len(year.fleet["wronged"]), year.fleet["lost"]
    wrong = f"{len(year.complaints)} complaints"
    return [
        *writes(year),
        ("leaders lost", ", ".join(f"{count_of(year, kind)} {kind}" for kind in plan.LOSSES)),
        ("without a leader", milliseconds(year.elections)),
        ("rolling restarts", f"{count_of(year, 'rolling restart')}"),
        ("starts of a node", f"{len(year.restarts)}: {starts} until it serves"),
        ("nodes replaced", f"{count_of(year, 'replacement')}"),
        ("backups restored and compared", f"{count_of(year, 'backup')}"),
        ("workers", f"{year.of.workers:,}, of which {wronged} declared offline wrongly; {lost} leases ended unanswered"),
        ("memory of a node", f"at most {most(year, 'resident'):,.0f} MB resident"),
        ("disk of a node", f"at most {most(year, 'disk'):,.0f} MB"),
        ("wrong", wrong if year.complaints else "nothing: no acknowledged write lost or doubled, all within bounds"),
    ]


def summary(year: Year) -> str:
    return "\n".join(f"  {name + ':':30} {text}" for name, text in rows(year))


# --- the plot ---


def plot(year: Year, path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "year", "font.size": 9, "axes.axisbelow": True})
    import matplotlib.pyplot

    figure, panels = matplotlib.pyplot.subplots(5, 1, figsize=(10, 12), sharex=True)
    latencies, rate, memory, disk, restarts = panels
    course = windows(year.ledgers)
    at = [window.at for window in course]
    latencies.plot(at, [window.p99 for window in course], label="p99")
    latencies.plot(at, [window.p50 for window in course], label="p50")
    latencies.set_yscale("log")
    latencies.set_ylabel(f"ms a write, of {WINDOW:g} s")
    latencies.legend(fontsize=8, loc="upper left")
    rate.plot(at, [window.rate for window in course])
    rate.set_ylabel("writes a second")
    for name, samples in sorted(year.samples.items(), key=lambda each: int(each[0][1:])):
        seen = [sample.at for sample in samples]
        memory.plot(seen, [sample.resident / 1e6 for sample in samples], label=name, linewidth=0.8)
        disk.plot(seen, [sample.disk / 1e6 for sample in samples], linewidth=0.8)
    memory.set_ylabel("MB resident")
    memory.legend(fontsize=7, ncols=8, loc="lower right")
    disk.set_ylabel("MB on the disk")
    restarts.plot([each.at for each in year.restarts], [each.seconds for each in year.restarts], ".")
    restarts.set_ylabel("s to restart")
    restarts.set_xlabel("s")
    for panel in panels:
        panel.grid(linewidth=0.3)
        panel.set_ylim(bottom=None if panel is latencies else 0)
        for each in year.happened:
            panel.axvline(each.at, color=MARKS.get(each.kind, "0.7"), linewidth=0.6)
    marks = "Lines: grey, the leader is lost; green, all nodes restart; red, a node is replaced; blue, a backup"
    figure.suptitle(marks, fontsize=9)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


# --- the page ---

INTRODUCTION = """
Three nodes in two emulated clouds, 50 ms apart; two clients that write, one in each cloud; and a fleet of workers;
while leaders are lost, all nodes restart one by one, nodes are replaced and backups taken. `make year` runs it and
writes this page.

How it is known that no acknowledged write is lost or doubled: each value says its key and a count of that key's writes.
A Watch that goes on on another node sees every change, and each count of a key once and in order; every second write
expects the revision of the one before; each acknowledgement is recorded. In the end all keys are read from the leader,
from each node's own state and from each of its snapshots and the backups as of their index, again after all nodes were
killed, and from clusters that begin with the backups, and compared with that record: value and revision.
"""


def write(year: Year, page: Path) -> None:
    picture = page.with_suffix(".svg")
    plot(year, picture)
    about = year.circumstances
    lines = ["# A year in twenty minutes", INTRODUCTION]
    lines += [f"![Latency, rate, memory, disk and restarts]({picture.name})", "", "| what | |", "|---|---|"]
    lines += [f"| {name} | {text} |" for name, text in rows(year)]
    lines += ["", "## What happened", "", "| at | what | all well after | |", "|---|---|---|---|"]
    lines += [f"| {each.at:,.0f} s | {each.kind} | {each.took:.1f} s | {each.what} |" for each in year.happened]
    lines += [
        "",
        f"Measured on {about['machine']}, load average {about['load']} when it began; `{about['command']}`,"
        f" seed {year.of.seed}, version {about['version']}, {about['recorded']}, {year.seconds:,.0f} s in all.",
    ]
    page.write_text("\n".join(lines) + "\n")
