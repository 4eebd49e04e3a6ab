"""Fixtures of the worker's tests."""

from __future__ import annotations

from typing import Callable, Dict, Iterator

import pytest
from fakes import Node, Told


@pytest.fixture
def make_node() -> Iterator[Callable[[str], Node]]:
    nodes: Dict[str, Node] = {}

    def make(name: str) -> Node:
        nodes[name] = Node(name)
        return nodes[name]

    yield make
    for node in nodes.values():
        node.stop()


@pytest.fixture
def node(make_node: Callable[[str], Node]) -> Node:
    return make_node("n1")


@pytest.fixture
def told() -> Told:
    return Told()
