"""The private world and the hosts of tests/cluster."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

CLUSTER = Path(__file__).resolve().parent.parent / "cluster"
sys.path.insert(0, str(CLUSTER))
_spec = importlib.util.spec_from_file_location("cluster_fixtures", CLUSTER / "conftest.py")
assert _spec is not None and _spec.loader is not None
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)

hosts = _fixtures.hosts
pytest_cmdline_main = _fixtures.pytest_cmdline_main
pytest_runtest_makereport = _fixtures.pytest_runtest_makereport
