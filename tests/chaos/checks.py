"""What must hold whatever fails: nothing lost, nothing doubled, watches complete, reads of what was there, no worker wronged.

The changes that watches tell of are the reference: each watch must have them all, in order, and every acknowledged write must be
one of them. Each function gives the problems that it finds; `look` counts what it compares with, for the report.
"""

from __future__ import annotations

import bisect
from collections import Counter
from typing import Any, Dict, Iterable, List, Optional, Tuple

from history import Change, Operation, Watch, of_one_key

LEASE_NS = 15_000_000_000  # of a worker, from when it sent the last heartbeat that was accepted
MOST = 20  # complaints of one kind


def few(found: List[str]) -> List[str]:
    return found if len(found) <= MOST else [*found[:MOST], f"and {len(found) - MOST} more like that"]


def check_watches(watches: List[Watch], changes: Dict[int, Change]) -> List[str]:
    """Each watch has all changes of its prefix in order, but for the revisions of which it was told that they are gone."""
    found = []
    revisions = sorted(changes)
    for watch in watches:
        place, last = 0, watch.start
        for revision in watch.revisions:
            if revision <= last:
                found.append(f"{watch.name}: revision {revision} after {last}")
            last = revision
            if not changes[revision].key.startswith(watch.prefix):
                found.append(f"{watch.name}: {changes[revision].key} has not the prefix {watch.prefix}")
        for revision in revisions[bisect.bisect_right(revisions, watch.start) :]:
            if not changes[revision].key.startswith(watch.prefix):
                continue
            while place < len(watch.revisions) and watch.revisions[place] < revision:
                place += 1
            told = place < len(watch.revisions) and watch.revisions[place] == revision
            if not told and not any(first <= revision < end for first, end in watch.gaps):
                found.append(f"{watch.name} missed revision {revision}, {changes[revision]}")
    return few(found)


def seen_by_nobody(watches: List[Watch]) -> List[Tuple[int, int]]:
    """Revisions that are in a gap of every watch of all keys."""
    whole = [watch.gaps for watch in watches if watch.prefix == "g"]
    common = whole[0]
    for gaps in whole[1:]:
        common = [(max(a, c), min(b, d)) for a, b in common for c, d in gaps if max(a, c) < min(b, d)]
    return common


def check_writes(operations: Iterable[Operation], changes: Dict[int, Change], blind: List[Tuple[int, int]]) -> List[str]:
    """Every acknowledged write is a change at its revision; no other is; none happened twice."""
    found = []
    told = set()
    written = Counter(change.value for change in changes.values() if change.value is not None)
    for value, times in written.items():
        if times > 1:
            found.append(f"the write of {value} happened {times} times")
    for op in operations:
        if op["op"] not in ("put", "delete"):
            continue
        where = f"client {op['c']}'s {op['op']} of {op['k']} {op.get('v', '')}".rstrip()
        if op["o"] == "unknown" and op.get("why"):
            found.append(f"{where} ended with {op['why']}")
        effective = op["o"] == "ok" and (op["op"] == "put" or op.get("ex"))
        if effective:
            revision = op.get("rev", 0)
            if revision in told:
                found.append(f"{where}: another write was acknowledged with revision {revision}, too")
            told.add(revision)
            wanted = Change(op["k"], op["v"] if op["op"] == "put" else None)
            if changes.get(revision) != wanted and not any(first <= revision < end for first, end in blind):
                found.append(f"{where} was acknowledged with revision {revision}, where {changes.get(revision)} is")
        elif op["o"] == "mismatch" and op["op"] == "put" and written[op["v"]]:
            found.append(f"{where} was refused, and happened")
    return few(found)


def strangers(operations: Iterable[Operation], changes: Dict[int, Change]) -> List[str]:
    """Changes that nobody made. What has an unknown outcome may be there; deletions of those cannot be told apart."""
    acknowledged, unknown, deletions = set(), set(), False
    for op in operations:
        if op["o"] == "ok" and op["op"] in ("put", "delete"):
            acknowledged.add(op.get("rev"))
        elif op["o"] == "unknown":
            unknown.add(op.get("v"))
            deletions = deletions or op["op"] == "delete"
    found = []
    for revision, change in changes.items():
        allowed = deletions if change.value is None else change.value in unknown
        if revision not in acknowledged and not allowed:
            found.append(f"{change} at {revision} was acknowledged to nobody")
    return few(found)


class Past:
    """The keys as they were after any revision."""

    def __init__(self, changes: Dict[int, Change]) -> None:
        self._keys = of_one_key(changes)
        self._groups: Dict[str, List[str]] = {}
        for key in self._keys:
            self._groups.setdefault(key[: key.rindex("/") + 1], []).append(key)

    def at(self, key: str, index: int) -> Tuple[int, Optional[str]]:
        """Its revision and value after that entry; 0: there was no such key yet."""
        of_key = self._keys.get(key, [])
        place = bisect.bisect_right(of_key, index, key=lambda change: change[0])
        return of_key[place - 1] if place else (0, None)

    def group(self, prefix: str, index: int) -> List[Tuple[str, str, int]]:
        then = [(key, *self.at(key, index)) for key in sorted(self._groups.get(prefix, []))]
        return [(key, value, revision) for key, revision, value in then if value is not None]

    def all(self, index: int) -> Dict[str, Tuple[str, int]]:
        then = {key: self.at(key, index) for key in self._keys}
        return {key: (value, revision) for key, (revision, value) in then.items() if value is not None}


def check_reads(operations: Iterable[Operation], past: Past, blind: List[Tuple[int, int]]) -> List[str]:
    """Every answer is the state after the entry that it names."""
    found = []
    last_blind = max((end for _, end in blind), default=0)
    for op in operations:
        index = op.get("ri", 0)
        if op["o"] != "ok" or not index or index < last_blind:
            continue
        had: Any
        if op["op"] == "list":
            had = [(each["k"], each["v"], each["rev"]) for each in op.get("items", [])]
            right = had == past.group(op["k"], index)
        else:
            had = (op["rev"], op.get("v"))
            then = past.at(op["k"], index)
            # What a leader confirms may reflect more than the entry that it names.
            later = op["how"] != "stale" and op["rev"] > then[0] and had == past.at(op["k"], op["rev"])
            right = later or had == then
        if not right:
            found.append(f"{op['at']} answered {op['how']} {op['op']} of {op['k']} as of {index} with {had}, which is wrong")
    return few(found)


def check_stale_reads(operations: Iterable[Operation], starts: Dict[str, List[float]]) -> List[str]:
    """A node's own state never goes back, but when it restarts. `starts` has the unix times of each address."""
    found = []
    lives: Dict[Tuple[str, int], List[Operation]] = {}
    for op in operations:
        if op.get("how") == "stale" and op["o"] == "ok":
            begins = starts[op["at"]]
            life = bisect.bisect_right(begins, op["i"] / 1e9)
            if life == bisect.bisect_right(begins, op["r"] / 1e9):
                lives.setdefault((op["at"], life), []).append(op)
    for (address, _), reads in lives.items():
        reads.sort(key=lambda op: op["i"])
        ended: List[Tuple[int, int]] = []  # when each ended, and the highest index until then
        for op in sorted(reads, key=lambda op: op["r"]):
            ended.append((op["r"], max(op.get("ri", 0), ended[-1][1] if ended else 0)))
        for op in reads:
            before = bisect.bisect_left(ended, (op["i"], 0))
            if before and op.get("ri", 0) < ended[before - 1][1]:
                found.append(f"{address} answered as of {op.get('ri', 0)} after it had answered as of {ended[before - 1][1]}")
    return few(found)


def check_contents(name: str, items: Dict[str, Tuple[str, int]], past: Past, index: int) -> List[str]:
    """The keys that a node or a backup has, those that were there after an entry."""
    then = past.all(index)
    found = [f"{name} lacks {key}, {then[key]}" for key in then.keys() - items.keys()]
    found += [f"{name} has {key}, {items[key]}, which was deleted" for key in items.keys() - then.keys()]
    found += [f"{name} has {key} as {items[key]}, not {then[key]}" for key in then.keys() & items.keys() if items[key] != then[key]]
    return few(sorted(found))


def check_workers(beats: Iterable[Dict[str, Any]]) -> List[str]:
    """None was forgotten, and none's epoch rose while its lease held: then nobody may declare it offline."""
    found = []
    last: Dict[str, Tuple[int, int]] = {}  # when its last accepted heartbeat was sent, and the epoch
    for beat in beats:
        name = beat["w"]
        if beat["e"] == "forgotten":
            found.append(f"{name} was forgotten")
        elif name in last:
            sent, epoch = last[name]
            if beat["epoch"] < epoch:
                found.append(f"{name}'s epoch fell from {epoch} to {beat['epoch']}")
            elif beat["epoch"] > epoch and beat["r"] - sent < LEASE_NS:
                found.append(f"{name} was declared offline within its lease, {(beat['r'] - sent) / 1e9:.1f} s after a heartbeat")
        if beat["e"] != "forgotten":
            last[name] = (beat["i"], beat["epoch"])
    return few(found)
