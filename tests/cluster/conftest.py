"""Network namespaces with hosts, a cluster for each test, and the logs of failed tests.

`pytest -n 3 tests/cluster` runs tests in three private worlds side by side: xdist's workers are started inside tests/cluster/world.
To see the output of one as it comes: tests/cluster/world python3 -m pytest -s tests/cluster -k NAME
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, Generator, Iterator

import harness
import pytest

WORLD = Path(__file__).resolve().parent / "world"
IN_A_WORLD = os.environ.get("BATON_WORLD") == "1"


def can_make_worlds() -> bool:
    return subprocess.run([WORLD, "true"], stdin=subprocess.DEVNULL, capture_output=True).returncode == 0


def pytest_cmdline_main(config: pytest.Config) -> None:
    """After xdist has read its own options, and before it starts its workers."""
    if IN_A_WORLD or config.option.collectonly:
        return
    harness.generate_stubs()  # once, not in each world
    if can_make_worlds():
        worlds = max(1, len(config.option.tx))
        config.option.tx = [f"popen//python={shlex.quote(str(WORLD))} {shlex.quote(sys.executable)}"] * worlds
        config.option.dist = "load" if config.option.dist == "no" else config.option.dist


@pytest.fixture(scope="session")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    if not IN_A_WORLD:
        pytest.skip("may not make network namespaces")
    assert (harness.BUILD / "batond").exists(), f"{harness.BUILD}/batond is missing: run make first"
    sys.path.insert(0, str(harness.generated_stubs()))
    os.environ["BATON_BUILD"] = str(harness.BUILD)
    os.environ["BATON_CLUSTER"] = str(tmp_path_factory.mktemp("net"))
    harness.net("up")
    yield
    harness.net("down")


@pytest.fixture
def empty_cluster(hosts: None, tmp_path: Path) -> Iterator[harness.Cluster]:
    """Three nodes, not started."""
    cluster = harness.Cluster(tmp_path)
    yield cluster
    cluster.close()


@pytest.fixture
def cluster(empty_cluster: harness.Cluster) -> harness.Cluster:
    """Three nodes that answer, and a leader that serves workers."""
    empty_cluster.start()
    leader = empty_cluster.leader()
    for node in empty_cluster.nodes.values():  # two can elect and serve before the third listens
        harness.wait_for(node.status, f"{node.name} answers")
    harness.wait_for(lambda: leader.get("/cluster-state")[0] == 200, f"{leader.name} has applied its first entry")
    return empty_cluster


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    outcome = yield
    report = outcome.get_result()
    cluster = getattr(item, "funcargs", {}).get("empty_cluster")
    if report.failed and cluster is not None:
        for process in cluster.processes:
            report.sections.append((f"{process.name}.log, its end", process.log_tail()))
