"""What baton-bench wrote with --ledger (src/bench/ledger.h), and what the cluster must therefore hold at any revision."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Iterable, List, NamedTuple

import numpy

MAGIC = b"baton-ledger-1".ljust(16, b"\0")
HEADER_BYTES = 24
RECORD = numpy.dtype([("key", "<u4"), ("count", "<u4"), ("revision", "<u8"), ("acked_ms", "<u4"), ("latency_us", "<u4")])
COMPLAINTS_MAX = 10


class Item(NamedTuple):
    key: bytes
    value: bytes
    revision: int


def drawn(seed: int) -> int:
    """The first number of SplitMix64 (src/base/rng.h)."""
    mask = (1 << 64) - 1
    z = (seed + 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


class Ledger:
    """One writer's."""

    def __init__(self, path: Path, prefix: str, keys: int, size: int) -> None:
        header = path.read_bytes()[:HEADER_BYTES] if path.stat().st_size < 1 << 20 else path.open("rb").read(HEADER_BYTES)
        assert header[:16] == MAGIC, f"{path} is no ledger"
        self.prefix, self.keys, self.size = prefix, keys, size
        self.began = int.from_bytes(header[16:24], "little") / 1e6  # unix time
        self.records = numpy.fromfile(path, RECORD, offset=HEADER_BYTES)

    def value(self, number: int, count: int) -> bytes:
        head = f"{self.prefix}{number} {count} ".encode()
        digits = f"{drawn(number << 32 | count):016x}".encode()
        filler = self.size - len(head)
        return head + (digits * (filler // 16 + 1))[:filler]

    def complaints(self) -> List[str]:
        """What is wrong with the record itself: each key's counts are 1, 2, 3, ..., and revisions rise with them."""
        found = []
        order = numpy.argsort(self.records["key"], kind="stable")
        key, count, revision = (self.records[name][order].astype("i8") for name in ("key", "count", "revision"))
        first = numpy.r_[True, key[1:] != key[:-1]][: len(key)]
        expected = numpy.where(first, 1, numpy.r_[0, count[:-1]][: len(count)] + 1)
        rises = first | (revision > numpy.r_[0, revision[:-1]][: len(revision)])
        skips = count != expected
        for wrong, what in ((skips, "is not the one after the last"), (~rises, "has no higher revision than the last")):
            for at in numpy.flatnonzero(wrong)[:COMPLAINTS_MAX]:
                found.append(f"{self.prefix}{key[at]}, count {count[at]}, revision {revision[at]}: {what}")
        return found

    def at(self, index: int) -> Dict[bytes, "tuple[int, int, int]"]:
        """By key what was acknowledged, of the entries up to `index`: number, count and revision."""
        known = self.records[self.records["revision"] <= index]
        counts, revisions = numpy.zeros(self.keys, "i8"), numpy.zeros(self.keys, "i8")
        counts[known["key"]], revisions[known["key"]] = known["count"], known["revision"]  # of equal keys the last remains
        numbers = numpy.flatnonzero(counts)
        return {f"{self.prefix}{n}".encode(): (int(n), int(counts[n]), int(revisions[n])) for n in numbers}


def check_ledgers(ledgers: Iterable[Ledger]) -> List[str]:
    """What is wrong with the records, also with all of them together: no two writes have one revision."""
    ledgers = list(ledgers)
    found = [complaint for ledger in ledgers for complaint in ledger.complaints()]
    revisions = numpy.sort(numpy.concatenate([ledger.records["revision"] for ledger in ledgers]))
    for revision in revisions[1:][revisions[1:] == revisions[:-1]][:COMPLAINTS_MAX]:
        found.append(f"two writes were acknowledged with revision {revision}")
    return found


def compare(where: str, items: Iterable[Item], ledgers: Iterable[Ledger], index: int) -> List[str]:
    """How the items of the state after entry `index` differ from what was acknowledged. All keys are the writers'."""
    found: List[str] = []
    wanted = {key: (ledger, *state) for ledger in ledgers for key, state in ledger.at(index).items()}
    for item in items:
        known = wanted.pop(item.key, None)
        if known is None:
            found.append(f"{where}: {item.key!r} has revision {item.revision}, and was never written")
            continue
        ledger, number, count, revision = known
        if (item.value, item.revision) != (ledger.value(number, count), revision):
            found.append(
                f"{where}: {item.key!r} must have count {count} of revision {revision}, and has {item.value[:40]!r}"
                f" of revision {item.revision}"
            )
    for key, (_, _, count, revision) in wanted.items():
        found.append(f"{where}: {key!r} is lost: count {count} of revision {revision}")
    more = [f"{where}: and {len(found) - COMPLAINTS_MAX} more"] if len(found) > COMPLAINTS_MAX else []
    return found[:COMPLAINTS_MAX] + more
