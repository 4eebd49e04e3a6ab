"""Two minutes of chaos, drawn from the day; and what judges them is right: it finds what is lost, doubled, missed and late."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import time
from array import array
from typing import Any, Callable, Dict, List

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BATON_BUILD", ROOT / "build"))
sys.path[:0] = [str(ROOT / folder) for folder in ("tests/chaos", "bench", "tests/cluster")]
import checks  # noqa: E402
import faults  # noqa: E402
import history  # noqa: E402
import plan  # noqa: E402
import rates  # noqa: E402
from history import Change, Operation, Watch  # noqa: E402

A, B = "g00/e0000/k0", "g01/e0000/k0"
SECOND = 1_000_000_000
MINUTES = 2
JUDGING = 900  # seconds of patience


def changes() -> Dict[int, Change]:
    return {5: Change(A, "0-1"), 7: Change(B, "1-1"), 9: Change(A, None), 11: Change(A, "0-3")}


def watch(*revisions: int, prefix: str = "g", start: int = 4, gaps: Any = ()) -> Watch:
    return Watch("watch-0", prefix, start, array("Q", revisions), list(gaps))


def op(kind: str, key: str, revision: int, **more: Any) -> Operation:
    return {"c": 0, "op": kind, "k": key, "i": 10, "r": 20, "o": "ok", "rev": revision, "at": "n1", **more}


def writes() -> List[Operation]:
    return [op("put", A, 5, v="0-1"), op("put", B, 7, v="1-1"), op("delete", A, 9, ex=True), op("put", A, 11, v="0-3")]


def read(index: int, revision: int, value: str, how: str = "stale", **more: Any) -> Operation:
    return op("get", A, revision, v=value, how=how, ri=index, **more)


def TestChaosWatches() -> None:
    assert checks.check_watches([watch(5, 7, 9, 11)], changes()) == []
    assert checks.check_watches([watch(7, prefix="g01"), watch(9, 11, start=7)], changes()) == []
    assert checks.check_watches([watch(5, 11, gaps=[(6, 11)])], changes()) == []
    assert "missed revision 9" in checks.check_watches([watch(5, 7, 11)], changes())[0]
    assert "missed revision 11" in checks.check_watches([watch(5, 7, 9)], changes())[0]
    assert "revision 7 after 7" in checks.check_watches([watch(5, 7, 7, 9, 11)], changes())[0]
    assert "revision 5 after 7" in "".join(checks.check_watches([watch(7, 5, 9, 11)], changes()))
    assert "has not the prefix" in checks.check_watches([watch(5, 7, prefix="g01")], changes())[0]
    assert checks.seen_by_nobody([watch(gaps=[(1, 5)]), watch(gaps=[(3, 9)]), watch(gaps=[], prefix="g1")]) == [(3, 5)]
    assert checks.seen_by_nobody([watch(gaps=[(1, 5)]), watch()]) == []


def TestChaosWatchFiles(tmp_path: pathlib.Path) -> None:
    (tmp_path / "watch-0.jsonl").write_text(
        '{"e":"start","rev":4}\n{"e":"put","k":"g1","v":"x","rev":5}\n{"e":"gap","rev":9}\n{"e":"delete","k":"g1","rev":9}\n'
    )
    (tmp_path / "watch-1.jsonl").write_text('{"e":"start","rev":4}\n{"e":"put","k":"g1","v":"y","rev":5}\n')
    found: Dict[int, Change] = {}
    contradictions: List[str] = []
    first, second = history.read_watches(tmp_path, found, contradictions)
    assert found == {5: Change("g1", "x"), 9: Change("g1", None)}
    assert (first.start, list(first.revisions), first.gaps, second.prefix) == (4, [5, 9], [(6, 9)], "g1")
    assert len(contradictions) == 1 and "where another saw" in contradictions[0]


def planted(change: Callable[[List[Operation], Dict[int, Change]], Any]) -> str:
    told, seen = writes(), changes()
    change(told, seen)
    return "\n".join(checks.check_writes(told, seen, []) + checks.strangers(told, seen))


def TestChaosWrites() -> None:
    assert planted(lambda told, seen: None) == ""
    assert "where None is" in planted(lambda told, seen: seen.pop(7))
    assert "happened 2 times" in planted(lambda told, seen: seen.update({12: Change(A, "0-1")}))
    assert "acknowledged to nobody" in planted(lambda told, seen: seen.update({12: Change(A, "9-9")}))
    assert "acknowledged to nobody" in planted(lambda told, seen: seen.update({12: Change(B, None)}))
    assert "revision 5, too" in planted(lambda told, seen: told.append(op("put", A, 5, v="0-1")))
    refused = op("put", A, 11, v="1-1", o="mismatch")
    assert "was refused, and happened" in planted(lambda told, seen: told.append(refused))
    unknown = op("put", A, 0, v="9-9", o="unknown")
    assert planted(lambda told, seen: told.append(unknown) or seen.update({12: Change(A, "9-9")})) == ""  # type: ignore[func-returns-value]
    assert "ended with" in planted(lambda told, seen: told.append({**unknown, "why": "session expired"}))


def TestChaosReads() -> None:
    past = checks.Past(changes())
    one = {"k": A, "v": "0-1", "rev": 5}

    def found(operation: Operation) -> bool:
        return bool(checks.check_reads([operation], past, []))

    assert not found(read(6, 5, "0-1")) and not found(read(20, 11, "0-3"))
    assert found(read(9, 5, "0-1")) and found(read(6, 5, "0-2")) and found(read(6, 11, "0-3"))
    assert not found(read(6, 11, "0-3", how="leader")) and found(read(6, 10, "0-3", how="leader"))
    assert not found(op("list", "g00/e0000/", 0, how="stale", ri=8, items=[one]))
    assert found(op("list", "g00/e0000/", 0, how="stale", ri=8)) and found(op("list", "g00/e0000/", 0, how="stale", ri=9, items=[one]))
    assert past.all(8) == {A: ("0-1", 5), B: ("1-1", 7)}
    assert checks.check_contents("n1", {A: ("0-1", 5), B: ("1-1", 7)}, past, 8) == []
    assert "lacks" in checks.check_contents("n1", {A: ("0-1", 5)}, past, 8)[0]
    assert "which was deleted" in checks.check_contents("n1", {A: ("0-1", 5), B: ("1-1", 7)}, past, 9)[0]
    assert "not (" in checks.check_contents("n1", {A: ("0-1", 5), B: ("1-1", 7)}, past, 11)[0]


def TestChaosStaleReads() -> None:
    back = [read(9, 5, "", i=10, r=20), read(8, 5, "", i=30, r=40)]
    assert "after it had answered as of 9" in checks.check_stale_reads(back, {"n1": [0.0]})[0]
    overlapping = [read(9, 5, "", i=10, r=35), read(8, 5, "", i=30, r=40)]
    assert checks.check_stale_reads(overlapping, {"n1": [0.0]}) == []
    restarted = [read(9, 5, "", i=10, r=20), read(8, 5, "", i=3 * SECOND, r=4 * SECOND)]
    assert checks.check_stale_reads(restarted, {"n1": [0.0, 2.0]}) == []
    assert checks.check_stale_reads(restarted, {"n1": [0.0, 5.0]}) != []


def TestChaosWorkers() -> None:
    def found(*beats: "tuple[str, int, float]") -> List[str]:
        rows = [{"w": "w", "e": event, "epoch": epoch, "i": int(at * SECOND), "r": int(at * SECOND)} for event, epoch, at in beats]
        return checks.check_workers(rows)

    assert found(("registered", 3, 0), ("beat", 3, 5), ("beat", 8, 21)) == []
    assert "within its lease" in found(("registered", 3, 0), ("beat", 3, 5), ("beat", 8, 19))[0]
    assert "fell" in found(("registered", 3, 0), ("beat", 2, 5))[0]
    assert "forgotten" in found(("registered", 3, 0), ("forgotten", 0, 5))[0]


def TestChaosRates() -> None:
    """A hundred writes a second but for one gap, in which a node was down."""
    down = faults.Fault("kill")
    down.down = [("n1", 20.0, 22.0)]
    calm = [at / 100 for at in range(2000)]

    def judged(resumed: float) -> List[rates.Heal]:
        acknowledged = calm + [resumed + at / 100 for at in range(2000)]
        assert rates.usual_rate(acknowledged, 0.0) == 100.0
        assert [seconds for _, seconds in rates.gaps(acknowledged)] == [pytest.approx(resumed - 19.99)]
        return rates.heals(acknowledged, [down, *others], 100.0)

    others: List[faults.Fault] = []
    assert [heal.seconds for heal in judged(21.0)] == [0.0]
    assert judged(30.0)[0].seconds == pytest.approx(8.0, abs=rates.WINDOW)
    another = faults.Fault("kill")
    another.down = [("n2", 27.0, 40.0)]
    others.append(another)
    assert judged(30.0)[0].seconds == pytest.approx(3.0, abs=rates.WINDOW)
    another.down.append(("n3", 28.0, 29.0))  # no majority is there: that heal is judged, not the one before
    assert [(heal.at, heal.seconds) for heal in judged(30.0)] == [(29.0, pytest.approx(1.0, abs=rates.WINDOW)), (40.0, 0.0)]


def TestChaosPlans() -> None:
    of = plan.draw(1, 600.0)
    assert of == plan.draw(1, 600.0) != plan.draw(2, 600.0)
    assert len(of.events) >= 100 and {event.kind for event in of.events} == set(plan.KINDS)
    assert of.events == sorted(of.events) and all(plan.WARM_UP <= event.at < 600.0 - plan.CALM for event in of.events)


@pytest.fixture(scope="module")
def go() -> None:
    if shutil.which("go") is None:
        pytest.skip("there is no Go to build the load and the judge with")
    for name in ("load", "judge"):
        fetched = subprocess.run(["go", "mod", "download"], cwd=ROOT / "tests/chaos" / name, capture_output=True, text=True)
        if fetched.returncode != 0:
            pytest.skip(f"Go's modules for tests/chaos/{name} cannot be fetched: {fetched.stderr.strip()[-200:]}")


def TestChaosJudge(go: None) -> None:
    """The model accepts what is right, and nothing else: model_test.go."""
    done = subprocess.run(["nice", "go", "test", "."], cwd=ROOT / "tests/chaos/judge", capture_output=True, text=True, timeout=JUDGING)
    assert done.returncode == 0, done.stdout + done.stderr


def TestChaosForTwoMinutes(go: None) -> None:
    if subprocess.run([ROOT / "tests/cluster/world", "true"], capture_output=True).returncode != 0:
        pytest.skip("may not make network namespaces")
    seed = time.strftime("%Y%m%d", time.gmtime())
    command = [ROOT / "tests/chaos/chaos", "--time", f"{MINUTES}m", "--seed", seed, "--lax"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=JUDGING, env={**os.environ, "BATON_BUILD": str(BUILD)})
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all is well" in done.stdout
