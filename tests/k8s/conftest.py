"""The private world and the hosts of tests/cluster."""

from __future__ import annotations

from cluster_fixtures import hosts, pytest_cmdline_main, pytest_runtest_makereport  # noqa: F401
