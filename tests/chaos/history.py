"""What the clients wrote down: operations, watches and workers' leases, read once from their files."""

from __future__ import annotations

import json
from array import array
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

Operation = Dict[str, Any]  # a line of clients.jsonl: tests/chaos/load/history.go


class Change(NamedTuple):
    """As a watch tells it; no value: the key is deleted."""

    key: str
    value: Optional[str]


class Watch(NamedTuple):
    """What it told is in the changes of all; here are their revisions, in the order in which they came."""

    name: str
    prefix: str
    start: int  # changes after this revision are seen
    revisions: "array[int]"
    gaps: List[Tuple[int, int]]  # revisions that no node held any more: from, to (not included)


def lines(path: Path) -> Iterator[Dict[str, Any]]:
    with open(path) as file:
        for line in file:
            yield json.loads(line)


def read_watch(path: Path, prefix: str, changes: Dict[int, Change], found: List[str]) -> Watch:
    """Adds to `changes`, by revision, and to `found` what contradicts another watch."""
    start = next_revision = 0
    revisions: "array[int]" = array("Q")
    gaps: List[Tuple[int, int]] = []
    for line in lines(path):
        revision = line["rev"]
        if line["e"] == "start":
            start = revision
        elif line["e"] == "gap":
            gaps.append((next_revision, revision))
            revision -= 1
        else:
            change = Change(line["k"], line.get("v", "") if line["e"] == "put" else None)
            if changes.setdefault(revision, change) != change:
                found.append(f"{path.stem}: {change} at {revision}, where another saw {changes[revision]}")
            revisions.append(revision)
        next_revision = revision + 1
    return Watch(path.stem, prefix, start, revisions, gaps)


def read_watches(directory: Path, changes: Dict[int, Change], found: List[str]) -> List[Watch]:
    """Half of them are of all keys."""
    paths = sorted(directory.glob("watch-*.jsonl"))
    half = len(paths) // 2
    prefixes = ["g" if number < half else f"g{number}" for number in range(len(paths))]
    return [read_watch(path, prefix, changes, found) for path, prefix in zip(paths, prefixes)]


def of_one_key(changes: Dict[int, Change]) -> Dict[str, List[Tuple[int, Optional[str]]]]:
    """The changes of each key, by rising revision."""
    keys: Dict[str, List[Tuple[int, Optional[str]]]] = {}
    for revision in sorted(changes):
        change = changes[revision]
        keys.setdefault(change.key, []).append((revision, change.value))
    return keys
