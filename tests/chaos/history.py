"""What the clients wrote down: operations, watches and workers' leases, read once from their files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

Operation = Dict[str, Any]  # a line of clients.jsonl: tests/chaos/load/history.go


class Change(NamedTuple):
    """As a watch tells it; no value: the key is deleted."""

    key: str
    value: Optional[str]


class Watch(NamedTuple):
    name: str
    prefix: str
    start: int  # changes after this revision are seen
    changes: List[Tuple[int, Change]]
    gaps: List[Tuple[int, int]]  # revisions that no node held any more: from, to (not included)


def lines(path: Path) -> Iterator[Dict[str, Any]]:
    with open(path) as file:
        for line in file:
            yield json.loads(line)


def read_watch(path: Path, prefix: str) -> Watch:
    start = next_revision = 0
    changes: List[Tuple[int, Change]] = []
    gaps: List[Tuple[int, int]] = []
    for line in lines(path):
        if line["e"] == "start":
            start = line["rev"]
        elif line["e"] == "gap":
            gaps.append((next_revision, line["rev"]))
        else:
            changes.append((line["rev"], Change(line["k"], line.get("v", "") if line["e"] == "put" else None)))
        next_revision = line["rev"] + 1
    return Watch(path.stem, prefix, start, changes, gaps)


def read_watches(directory: Path) -> List[Watch]:
    paths = sorted(directory.glob("watch-*.jsonl"))
    half = len(paths) // 2
    return [read_watch(path, "g" if number < half else f"g{number}") for number, path in enumerate(paths)]


def of_one_key(changes: Dict[int, Change]) -> Dict[str, List[Tuple[int, Optional[str]]]]:
    """The changes of each key, by rising revision."""
    keys: Dict[str, List[Tuple[int, Optional[str]]]] = {}
    for revision in sorted(changes):
        change = changes[revision]
        keys.setdefault(change.key, []).append((revision, change.value))
    return keys
