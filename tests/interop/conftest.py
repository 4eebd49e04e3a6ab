"""Fixtures of the interop tests: the echo server, for one test or for a whole file."""

import resource

import pytest
from harness import EchoServer


@pytest.fixture(scope="session", autouse=True)
def many_open_files():
    """Thousands of connections at once, on our side and on the server's, which inherits this."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@pytest.fixture
def server():
    with EchoServer() as running:
        yield running


@pytest.fixture(scope="module")
def shared_server():
    """For tests that leave no call running, which is checked at its end."""
    with EchoServer() as running:
        yield running
