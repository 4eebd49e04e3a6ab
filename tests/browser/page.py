"""The dashboard as the tests look at it: what its tables show, and pictures of it."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any, Dict, List

from harness import Cluster, Node, wait_for

# Widths in pixels, in light and dark.
LOOKS = {"light": (1280, "light"), "dark": (1280, "dark"), "medium": (1024, "light"), "narrow": (360, "light"), "narrow-dark": (360, "dark")}


def rows(browser: Any, table: str) -> Dict[str, Dict[str, str]]:
    """The cells of a table's rows by column, by the first one; read in one go, for the page is refreshed every second."""
    script = """const table = document.getElementById(arguments[0]);
                const heads = [...table.tHead.rows[0].cells].map(cell => cell.textContent);
                return [...table.tBodies[0].rows].map(row =>
                    Object.fromEntries([...row.cells].map((cell, i) => [heads[i], cell.firstChild.textContent])))"""
    first = {"nodes": "Node", "workers": "Worker"}[table]
    return {row[first]: row for row in browser.execute_script(script, table)}


def roles(browser: Any) -> Dict[str, str]:
    return {node: cells["Role"].split()[-1].lower() for node, cells in rows(browser, "nodes").items()}


def ids(browser: Any) -> List[str]:
    """Of the workers shown, in their order."""
    return list(rows(browser, "workers"))


def text(browser: Any, id_: str) -> str:
    """What is shown in an element; "": it is hidden, or empty."""
    # Of what is not laid out, innerText is all of its text.
    script = "const e = document.getElementById(arguments[0]); return e.checkVisibility() ? e.innerText : ''"
    return str(browser.execute_script(script, id_))


def complaints(browser: Any) -> List[Any]:
    """Failed scripts, and what the policy has blocked. That a page answers 503 is none."""
    return [e for e in browser.get_log("browser") if e["level"] == "SEVERE" and "503 (Service Unavailable)" not in e["message"]]


def look(browser: Any, name: str) -> None:
    width, scheme = LOOKS[name]
    metrics = {"width": width, "height": 780, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)


def picture(browser: Any, path: Path) -> None:
    """Of the whole page, however long."""
    data = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})["data"]
    path.write_bytes(base64.b64decode(data))


def sideways(browser: Any) -> List[str]:
    """What sticks out of the page, to the side."""
    script = """const wide = document.documentElement.clientWidth;
                return [...document.querySelectorAll("body *")].filter(e => !e.closest(".unseen, thead, .skip"))
                    .filter(e => e.getBoundingClientRect().right > wide + 1)
                    .map(e => `${e.tagName}.${e.className}: ${e.textContent.slice(0, 40)}`)"""
    return list(browser.execute_script(script))


def check_looks(browser: Any, scene: str) -> None:
    """In every look nothing sticks out. BATON_SCREENSHOTS names a folder for pictures, for people to look at."""
    for name in LOOKS:
        look(browser, name)
        wait_for(lambda: sideways(browser) == [], f"nothing sticks out ({scene}, {name}): {sideways(browser)[:5]}", 3)
        assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth"), (scene, name)
        if os.environ.get("BATON_SCREENSHOTS"):
            picture(browser, Path(os.environ["BATON_SCREENSHOTS"]) / f"{scene}-{name}.png")
    look(browser, "light")


def register(leader: Node, count: int, **fields: Any) -> None:
    """Workers that never send a heartbeat: wNNNNN, every third in aws."""
    from baton.v1 import worker_pb2 as pb
    from baton.v1 import worker_pb2_grpc

    stub = worker_pb2_grpc.WorkerServiceStub(leader.channel)
    for begin in range(0, count, 200):
        calls = []
        for i in range(begin, min(begin + 200, count)):
            cloud = "aws" if i % 3 == 0 else "gcp"
            labels = {"gpu": "a100" if i % 10 == 0 else "none", "pool": f"pool-{i % 7}", "zone": f"{cloud}-{i % 4}"}
            request = {"worker_id": f"w{i:05}", "instance_id": "i", "address": f"10.0.{i // 250}.{i % 250}:9000", "cloud": cloud,
                       "slots": 1 + i % 8, "labels": labels, **fields}
            calls.append(stub.RegisterWorker.future(pb.RegisterWorkerRequest(**request), timeout=30))
        for call in calls:
            assert call.result().accepted


def open_page(browser: Any, cluster: Cluster, node: str = "n1", fragment: str = "") -> None:
    browser.get("about:blank")  # another fragment alone would not load it again
    browser.get(f"{cluster[node].http}/{fragment}")
    wait_for(lambda: len(rows(browser, "nodes")) == 3, "the page shows three nodes")
