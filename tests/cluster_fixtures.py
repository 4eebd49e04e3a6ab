"""The fixtures of tests/cluster, for other folders: pytest gives each folder's conftest.py the same name, so none can import another."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

CLUSTER = Path(__file__).resolve().parent / "cluster"
sys.path.insert(0, str(CLUSTER))  # its harness
_spec = importlib.util.spec_from_file_location("cluster_conftest", CLUSTER / "conftest.py")
assert _spec is not None and _spec.loader is not None
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)

hosts = _fixtures.hosts
empty_cluster = _fixtures.empty_cluster
cluster = _fixtures.cluster
pytest_cmdline_main = _fixtures.pytest_cmdline_main
pytest_runtest_makereport = _fixtures.pytest_runtest_makereport
