"""A cluster of real processes, as tests/cluster has it, and a real browser in the same private world."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Iterator

import pytest

CLUSTER = Path(__file__).resolve().parent.parent / "cluster"
sys.path.insert(0, str(CLUSTER))
_spec = importlib.util.spec_from_file_location("cluster_fixtures", CLUSTER / "conftest.py")
assert _spec is not None and _spec.loader is not None
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)

hosts = _fixtures.hosts
empty_cluster = _fixtures.empty_cluster
cluster = _fixtures.cluster
pytest_cmdline_main = _fixtures.pytest_cmdline_main
pytest_runtest_makereport = _fixtures.pytest_runtest_makereport


@pytest.fixture
def browser(hosts: None, tmp_path: Path) -> Iterator[object]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="python3-selenium is not installed")
    options = webdriver.ChromeOptions()
    profile = tmp_path / "profile"
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-proxy-server", "--hide-scrollbars",
                 "--disable-dev-shm-usage", "--window-size=1200,780", f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options)
    driver.set_page_load_timeout(30)
    yield driver
    driver.quit()
