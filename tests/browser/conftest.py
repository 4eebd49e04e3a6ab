"""A cluster of real processes, as tests/cluster has it, and a real browser in the same private world."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator

import pytest
from cluster_fixtures import cluster, empty_cluster, hosts, pytest_cmdline_main, pytest_runtest_makereport  # noqa: F401


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
