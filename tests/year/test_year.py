"""A short year passes, and what judges it is right: a ledger's reader finds what is lost, doubled or changed."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from typing import Any, List

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BATON_BUILD", ROOT / "build"))
sys.path[:0] = [str(ROOT / folder) for folder in ("tests/year", "bench", "tests/cluster")]

numpy = pytest.importorskip("numpy")
import ledger  # noqa: E402
import load  # noqa: E402
import plan  # noqa: E402
import verdict  # noqa: E402

KEYS, SIZE = 4, 128


def made(path: pathlib.Path, records: "List[tuple[int, int, int]]") -> ledger.Ledger:
    rows = numpy.array([(key, count, revision, 0, 0) for key, count, revision in records], ledger.RECORD)
    path.write_bytes(ledger.MAGIC + bytes(8) + rows.tobytes())
    return ledger.Ledger(path, "k", KEYS, SIZE)


SOUND = [(0, 1, 10), (1, 1, 11), (0, 2, 12), (2, 1, 15), (0, 3, 20)]


@pytest.fixture
def sound(tmp_path: pathlib.Path) -> ledger.Ledger:
    return made(tmp_path / "ledger", SOUND)


def items(of: ledger.Ledger, *rows: Any) -> List[ledger.Item]:
    return [ledger.Item(f"k{number}".encode(), of.value(number, count), revision) for number, count, revision in rows]


def test_a_sound_ledger(sound: ledger.Ledger) -> None:
    assert ledger.check_ledgers([sound]) == []
    assert sound.at(14) == {b"k0": (0, 2, 12), b"k1": (1, 1, 11)}
    assert ledger.compare("x", items(sound, (0, 3, 20), (1, 1, 11), (2, 1, 15)), [sound], 99) == []
    assert ledger.compare("x", items(sound, (0, 1, 10), (1, 1, 11)), [sound], 11) == []


@pytest.mark.parametrize(
    ("records", "complaint"),
    [
        ([(0, 1, 10), (0, 3, 12)], "k0, count 3, revision 12: is not the one after the last"),
        ([(0, 2, 10)], "k0, count 2, revision 10: is not the one after the last"),
        ([(0, 1, 10), (0, 2, 10)], "k0, count 2, revision 10: has no higher revision than the last"),
        ([(0, 1, 10), (1, 1, 10)], "two writes were acknowledged with revision 10"),
    ],
)
def test_a_ledger_that_is_not(tmp_path: pathlib.Path, records: Any, complaint: str) -> None:
    assert complaint in ledger.check_ledgers([made(tmp_path / "ledger", records)])


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([(0, 3, 20), (1, 1, 11)], "x: b'k2' is lost: count 1 of revision 15"),
        ([(0, 2, 12), (1, 1, 11), (2, 1, 15)], "must have count 3 of revision 20"),
        ([(0, 3, 21), (1, 1, 11), (2, 1, 15)], "must have count 3 of revision 20"),
        ([(0, 3, 20), (1, 1, 11), (2, 1, 15), (3, 1, 16)], "b'k3' has revision 16, and was never written"),
    ],
)
def test_a_state_that_differs(sound: ledger.Ledger, rows: Any, complaint: str) -> None:
    found = ledger.compare("x", items(sound, *rows), [sound], 99)
    assert len(found) == 1 and complaint in found[0]


def test_a_value_that_differs(sound: ledger.Ledger) -> None:
    rows = items(sound, (0, 3, 20), (1, 1, 11), (2, 1, 15))
    rows[0] = rows[0]._replace(value=rows[0].value[:-1] + b"?")
    assert len(ledger.compare("x", rows, [sound], 99)) == 1


def test_values_are_those_of_baton_bench() -> None:
    """As src/bench/ledger.c makes them; test_bench_ledger.c has the same."""
    of = ledger.Ledger.__new__(ledger.Ledger)
    of.prefix, of.size = "k-", SIZE
    assert of.value(2047, 3) == b"k-2047 3 " + (b"083791eda9a6a5ab" * 8)[: SIZE - 9]


def test_growth() -> None:
    def course(*megabytes: int) -> Any:
        return {"n1": [load.Sample(float(at), mb << 20, 0, 0) for at, mb in enumerate(megabytes)]}

    assert verdict.check_growth(course(10, 100, 100, 100), 4.0) == []
    assert verdict.check_growth(course(10, 100, 100, 122), 4.0) == []
    assert "memory grows" in verdict.check_growth(course(10, 100, 100, 124), 4.0)[0]
    assert "memory grows" in verdict.check_growth(course(10, 100, 124, 100), 4.0)[0]


def test_memory() -> None:
    def found(resident: int, *logs: int) -> List[str]:
        samples = [load.Sample(float(at), resident << 20, 0, mb << 20) for at, mb in enumerate(logs)]
        return verdict.check_memory("n1", samples, 10 << 20)

    assert found(20 + 40 + 5 + 32, 35, 40, 0) == []
    assert "n1 has 103 MB resident, with 47 MB of log" in found(20 + 40 + 5 + 32 + 1, 35, 40, 0)[0]


def test_plans() -> None:
    whole = plan.draw(1, 20)
    assert whole.is_whole and (whole.writes, whole.keys, whole.workers) == (20_000_000, 200_000, 2_000)
    assert sum(whole.count(kind) for kind in plan.LOSSES) == 40 and all(whole.count(kind) == 10 for kind in plan.LOSSES)
    assert [whole.count(kind) for kind in ("rolling restart", "replacement", "backup")] == [10, 5, 3]
    assert plan.draw(1, 20) == whole != plan.draw(2, 20)
    short = plan.draw(1, 2)
    assert not short.is_whole and sum(short.count(kind) for kind in plan.LOSSES) == 4
    for each in (whole, short):
        assert all(0 < event.at < each.seconds for event in each.events)
        assert each.events == sorted(each.events)


def test_a_short_year() -> None:
    if subprocess.run([ROOT / "tests/cluster/world", "true"], capture_output=True).returncode != 0:
        pytest.skip("may not make network namespaces")
    minutes = os.environ.get("YEAR_MINUTES", "2")
    done = subprocess.run(
        [ROOT / "tests/year/year", "--minutes", minutes], capture_output=True, text=True, timeout=float(minutes) * 300 + 300,
        env={**os.environ, "BATON_BUILD": str(BUILD)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing: no acknowledged write lost or doubled" in done.stdout
    assert "<svg" in (BUILD / "year/year.svg").read_text() and "| rolling restart |" in (BUILD / "year/year.md").read_text()
