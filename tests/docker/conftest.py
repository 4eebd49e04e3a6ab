"""One cluster in containers for all tests, and the list of criteria with PASS or FAIL and the evidence.

With BATON_ACCEPTANCE=FILE (`make acceptance`) a run that checks all writes that file, and one that leaves a criterion open fails.
"""

from __future__ import annotations

import os
import re
import sys
from datetime import date
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import containers
import pytest
from criteria import CRITERIA, TERMS

LOGS = containers.ROOT / "build/test/docker"


@pytest.fixture(scope="session")
def cluster_up() -> Iterator[containers.Cluster]:
    containers.generate_stubs()
    sys.path.insert(0, str(containers.generated_stubs()))
    cluster = containers.Cluster()
    try:
        cluster.up()
        yield cluster
        complaints = cluster.complaints()
        assert not complaints, "\n".join(complaints)
    finally:
        LOGS.mkdir(parents=True, exist_ok=True)
        for name in containers.EVERY_CONTAINER:
            (LOGS / f"{name}.log").write_text(containers.docker("logs", name, check=False))
        cluster.down()


@pytest.fixture
def cluster(cluster_up: containers.Cluster) -> Iterator[containers.Cluster]:
    """The cluster, complete before the test and after it."""
    cluster_up.heal()
    yield cluster_up
    cluster_up.heal()


@pytest.fixture
def evidence(request: pytest.FixtureRequest) -> Callable[[str], None]:
    return lambda text: request.node.user_properties.append(("evidence", text))


def pytest_collection_modifyitems(items: List[pytest.Item]) -> None:
    reason = containers.why_not()
    if reason:
        for item in items:
            if "cluster_up" in getattr(item, "fixturenames", ()) or re.match(r"test_docker_\d", item.name):
                item.add_marker(pytest.mark.skip(reason=reason))


# --- what was found ---

found: Dict[int, List[pytest.TestReport]] = {}  # by criterion: a report for each of its tests, or for what failed around one


def number_of(report: pytest.TestReport) -> int:
    match = re.search(r"::test_docker_(\d+)_", report.nodeid)
    return int(match[1]) if match else 0


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if number_of(report) and (report.when == "call" or report.outcome != "passed"):
        found.setdefault(number_of(report), []).append(report)


def verdict(number: int) -> str:
    outcomes = {report.outcome for report in found.get(number, [])}
    if "failed" in outcomes:
        return "FAIL"
    return "PASS" if outcomes == {"passed"} else "OPEN"


def evidence_of(number: int) -> str:
    texts = []
    for report in found.get(number, []):
        texts += [str(value) for name, value in report.user_properties if name == "evidence"]
        if report.outcome == "failed":
            crash: Any = getattr(report.longrepr, "reprcrash", None)
            texts.append(crash.message.splitlines()[0] if crash else "failed")
        elif isinstance(report.longrepr, tuple):
            texts.append(report.longrepr[2])
    return "; ".join(texts) or "not run"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not found:
        return
    terminalreporter.section("acceptance")
    for criterion in CRITERIA:
        if criterion.number in found:
            terminalreporter.write_line(f"{verdict(criterion.number)}  {criterion.number}. {criterion.words}")
            terminalreporter.write_line(f"      {evidence_of(criterion.number)}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    target = os.environ.get("BATON_ACCEPTANCE")
    if not target:
        return
    verdicts = [verdict(number) for number in found]
    if set(verdicts) != {"PASS"}:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED  # what could not be checked is not accepted
    if len(found) == len(CRITERIA) and "OPEN" not in verdicts:
        Path(target).write_text(page())


def page() -> str:
    passed = sum(verdict(criterion.number) == "PASS" for criterion in CRITERIA)
    lines = [
        "# Acceptance",
        "",
        "Each criterion of the release, verbatim, with the evidence that the last `make acceptance` found on the containers of",
        "`compose.yaml`, checked as an operator would: with `docker stop`, `docker pause` and the logs. The checks are in",
        "`tests/docker/test_acceptance.py`, by the criterion's number, and part of `make test` where Docker runs. The criteria",
        "from 24 on go beyond the list.",
        "",
        f"{passed} of {len(CRITERIA)} pass ({date.today()}).",
        "",
        "## Criteria",
    ]
    for criterion in CRITERIA:
        tests = "; ".join((f"tests/docker/test_acceptance.py: test_docker_{criterion.number:02}_*", *criterion.tests))
        lines += [
            "",
            f"### {criterion.number}. {criterion.words}",
            "",
            f"- **{verdict(criterion.number)}**: {evidence_of(criterion.number)}",
            f"- Code: {criterion.code}",
            f"- Tests: {tests}",
        ]
    lines += ["", "## Go's terms and C's", "", "| criterion | here |", "|---|---|"]
    lines += [f"| {go} | {here} |" for go, here in TERMS]
    return "\n".join(lines) + "\n"
