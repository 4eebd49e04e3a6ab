"""The nodes of this folder's tests: four variants, each one session's; and pytest's workers, each with whole variants."""

from __future__ import annotations

import pathlib
import resource
import subprocess
import sys
from collections.abc import Iterator

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # tests/, where frames.py is

import nodes  # noqa: E402


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With -n and --dist loadgroup a variant's node is one worker's."""
    for item in items:
        name = getattr(item, "callspec", None) and item.callspec.params.get("variant")  # type: ignore[attr-defined]
        item.add_marker(pytest.mark.xdist_group(name or item.path.stem))


@pytest.fixture(scope="session", autouse=True)
def many_open_files() -> None:
    """Thousands of connections at once, on our side and on a node's, which inherits this."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@pytest.fixture(scope="session")
def certs(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """One authority's certificates, and in `foreign` those of another."""
    directory = tmp_path_factory.mktemp("certs")
    nodes.make_certs(directory, "node/n1", "node/n2", "node/n9", "worker/w1", "operator/me")
    nodes.make_certs(directory / "foreign", "node/n1", "node/n2", "operator/me", "worker/w1")
    return directory


@pytest.fixture(scope="session", params=nodes.VARIANTS)
def variant(request: pytest.FixtureRequest, certs: pathlib.Path) -> nodes.Variant:
    build, transport = request.param.split("-")
    made = nodes.Variant(build, certs if transport == "tls" else None)
    if not pathlib.Path(made.program("batond")).exists():
        pytest.skip(f"{made.program('batond')} is not built")
    return made


@pytest.fixture(scope="session")
def lone(variant: nodes.Variant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[nodes.Node]:
    """A node that leads itself, and from whose cluster n9 was removed."""
    with nodes.Node(tmp_path_factory.mktemp("lone"), variant) as node:
        node.wait_leads()
        for words in (("add", "n9=127.0.0.1:1/gcp"), ("remove", "n9")):
            done: subprocess.CompletedProcess[bytes] = node.ctl("member", *words)
            assert done.returncode == 0, done
        yield node


@pytest.fixture(scope="session")
def member(variant: nodes.Variant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[nodes.Node]:
    yield from nodes.peers_of(variant, tmp_path_factory.mktemp("member"))
