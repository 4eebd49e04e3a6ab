"""A cluster of real processes, as tests/cluster has it, and three versions of batond to run in it."""

from __future__ import annotations

import pytest
import versions as builds
from cluster_fixtures import empty_cluster, hosts, pytest_cmdline_main, pytest_runtest_makereport  # noqa: F401


@pytest.fixture(scope="session")
def versions(hosts: None) -> builds.Versions:
    return builds.build()
