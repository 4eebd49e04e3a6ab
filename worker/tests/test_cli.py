"""baton-worker as a process."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from typing import Any, Callable, Dict, Iterator, List

import grpc
import pytest
from fakes import DEADLINE, Node, refuses

from baton_worker.cli import parse_options

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts the command line with its log on a pipe."""
    processes = []

    def run(*arguments: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "baton_worker", *arguments],
            env={**os.environ, **environment},
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def flags(node: Node) -> List[str]:
    return ["--id", "w1", "--address", "h:1", "--cloud", "gcp", "--endpoints", node.address]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def TestWorkerSigtermSaysGoodbye(node: Node, start: Start, number: signal.Signals) -> None:
    process = start(*flags(node))
    node.wait_for("Heartbeat")
    began = time.monotonic()
    process.send_signal(number)
    _, log = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0 and len(node.calls("DeregisterWorker")) == 1
    assert time.monotonic() - began < 2.0
    assert re.search(r'level=INFO worker=w1 msg="registered" leader=n1 epoch=1 ', log), log
    assert 'msg="left" leader=n1 epoch=1' in log
    assert all(re.match(r"time=\S+Z level=\w+ worker=w1 msg=\"", line) for line in log.splitlines()), log


def TestWorkerLogsANewEpoch(node: Node, start: Start) -> None:
    process = start(*flags(node))
    node.wait_for("Heartbeat")
    node.epoch = 9
    node.wait_for("Heartbeat", len(node.calls("Heartbeat")) + 3)
    process.terminate()
    _, log = process.communicate(timeout=DEADLINE)
    assert 'level=WARN worker=w1 msg="returned under a new epoch" epoch=9 before=1' in log, log


def TestWorkerSigtermWhenNobodyAnswers(node: Node, start: Start) -> None:
    process = start(*flags(node))
    node.wait_for("Heartbeat")
    node.script = node.hang
    began = time.monotonic()
    process.terminate()
    _, log = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0 and time.monotonic() - began < 2.5
    assert "no leader acknowledged it" in log


def TestWorkerSigtermWhenNobodyListens(start: Start) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound and not listening: it refuses
        address = f"127.0.0.1:{reserved.getsockname()[1]}"
        process = start("--address", "h:1", "--cloud", "aws", "--endpoints", address)
        assert process.stderr is not None
        assert "code=UNAVAILABLE" in process.stderr.readline()
        process.terminate()
        _, log = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0 and "left before it was registered" in log


def TestWorkerSecondSigtermEndsAtOnce(node: Node, start: Start) -> None:
    process = start(*flags(node))
    node.wait_for("Heartbeat")
    node.script = node.hang
    process.terminate()
    node.wait_for("DeregisterWorker")
    process.terminate()
    assert process.wait(DEADLINE) == -signal.SIGTERM


def TestWorkerReplacedExits4(node: Node, start: Start) -> None:
    process = start(*flags(node))
    node.wait_for("Heartbeat")
    node.script = refuses(grpc.StatusCode.ABORTED)
    _, log = process.communicate(timeout=DEADLINE)
    assert process.returncode == 4 and "another instance of w1 has taken over" in log
    assert node.calls("DeregisterWorker") == []


def TestWorkerRejectedExits1(node: Node, start: Start) -> None:
    node.script = refuses(grpc.StatusCode.INVALID_ARGUMENT, "address: it is another worker's")
    process = start(*flags(node))
    _, log = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1 and "baton-worker: address: it is another worker's" in log


def TestWorkerKilledComesBackAsANewInstance(node: Node, start: Start) -> None:
    first = start(*flags(node))
    node.wait_for("Heartbeat")
    first.kill()
    first.wait(DEADLINE)
    start(*flags(node))
    instances = [seen.request.instance_id for seen in node.wait_for("RegisterWorker", 2)]
    assert len(set(instances)) == 2


def TestWorkerEnvironment(node: Node, start: Start) -> None:
    process = start(
        "--cloud",
        "aws",
        BATON_WORKER_ID="from-environment",
        BATON_WORKER_ADDRESS="h:1",
        BATON_WORKER_CLOUD="gcp",
        BATON_WORKER_ENDPOINTS=node.address,
        BATON_WORKER_LABEL="zone=a,rack=7",
        BATON_WORKER_LOG_FORMAT="json",
    )
    request = node.wait_for("RegisterWorker")[0].request
    assert (request.worker_id, request.cloud) == ("from-environment", "aws"), "a flag goes before the environment"
    assert dict(request.labels) == {"zone": "a", "rack": "7"}
    node.wait_for("Heartbeat")
    process.terminate()
    _, log = process.communicate(timeout=DEADLINE)
    assert [json.loads(line)["worker"] for line in log.splitlines()].count("from-environment") >= 2


GOOD = {"--id": "w1", "--address": "h:1", "--cloud": "gcp", "--endpoints": "n1:7400,n2:7400"}


@pytest.mark.parametrize(
    ("flag", "value", "allowed"),
    [
        ("--id", "", "1 to 64 characters"),
        ("--id", "x" * 65, "1 to 64 characters"),
        ("--address", "h", "HOST:PORT"),
        ("--address", "h:70000", "1 to 65535"),
        ("--cloud", "azure", "aws, gcp"),
        ("--endpoints", "", "HOST:PORT"),
        ("--endpoints", "n1:7400,,n2:7400", "HOST:PORT"),
        ("--slots", "many", "a number"),
        ("--slots", "-1", "0 to 4294967295"),
        ("--label", "zone", "KEY=VALUE"),
        ("--log-level", "loud", "debug, info, warn, error"),
        ("--log-format", "xml", "logfmt, json"),
    ],
)
def TestWorkerBadFlagExits2(flag: str, value: str, allowed: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [f"{key}={text}" for key, text in {**GOOD, flag: value}.items()]
    with pytest.raises(SystemExit) as exit_info:
        parse_options(arguments, {})
    error = capsys.readouterr().err.splitlines()[-1]
    assert exit_info.value.code == 2 and f"{flag}: " in error and allowed in error


def TestWorkerBadEnvironmentExits2(capsys: pytest.CaptureFixture[str]) -> None:
    environment = {"BATON_WORKER_CLOUD": "azure", "BATON_WORKER_ADDRESS": "h:1"}
    with pytest.raises(SystemExit) as exit_info:
        parse_options([], environment)
    assert exit_info.value.code == 2 and "BATON_WORKER_CLOUD: " in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--cloud=gcp"], ["--address=h:1"], ["--cloud=gcp", "--address=h:1", "--nonsense"]])
def TestWorkerMissingOrUnknownFlagExits2(arguments: List[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        parse_options(arguments, {})
    assert exit_info.value.code == 2 and "--" in capsys.readouterr().err.splitlines()[-1]


def TestWorkerDefaults() -> None:
    options: Dict[str, Any] = parse_options(["--address=h:1", "--cloud=gcp"], {"BATON_WORKER_SLOTS": ""})
    assert options == {
        "id": socket.gethostname(),
        "address": "h:1",
        "cloud": "gcp",
        "endpoints": ("127.0.0.1:7400",),
        "slots": 1,
        "label": {},
        "log_level": "info",
        "log_format": "logfmt",
        "tls": None,
    }


def TestWorkerRepeatedLabels() -> None:
    options = parse_options(["--address=h:1", "--cloud=gcp", "--label=a=1", "--label", "b=2,c="], {})
    assert options["label"] == {"a": "1", "b": "2", "c": ""}
