"""The echo programs as processes, and a well-behaved client to watch while another misbehaves."""

from __future__ import annotations

import fcntl
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time
from types import TracebackType
from typing import Any

import grpc
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = ROOT / "tests" / "interop"
STUBS = ROOT / "build" / "interop"

# BATON_BUILD names it; otherwise what `make` builds.
BUILD = ROOT / os.environ.get("BATON_BUILD", "build/release")

# Each channel its own connection, also to the same address.
OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]


def generate_stubs() -> None:
    """Python stubs of the echo service, baton's, health and reflection, into build/interop. Health and reflection are compiled
    from within their folders: their full path would put them into a Python package called grpc, which is grpcio's."""
    proto = ROOT / "proto"
    baton = sorted(str(path.relative_to(proto)) for path in proto.glob("baton/v1/*.proto"))
    sources = [pathlib.Path(__file__), HERE / "echo.proto", *proto.glob("**/*.proto")]
    plugin = shutil.which("grpc_python_plugin")
    if shutil.which("protoc") is None or plugin is None:
        pytest.skip("protoc or grpc_python_plugin is missing: apt-get install protobuf-compiler-grpc", allow_module_level=True)
    command = ["protoc", f"--plugin=protoc-gen-grpc_python={plugin}", f"--python_out={STUBS}", f"--grpc_python_out={STUBS}"]
    command += [f"-I{HERE}", f"-I{proto / 'grpc/health/v1'}", f"-I{proto / 'grpc/reflection'}", f"-I{proto}"]
    command += ["echo.proto", "health.proto", "v1/reflection.proto", "v1alpha/reflection.proto", *baton]
    STUBS.mkdir(parents=True, exist_ok=True)
    with open(STUBS / "done", "a") as done:  # several pytest processes may be about this
        fcntl.flock(done, fcntl.LOCK_EX)
        made = os.fstat(done.fileno())
        if made.st_size == 0 or made.st_mtime < max(source.stat().st_mtime for source in sources):
            subprocess.run(command, check=True)
            done.write("made\n")
    if str(STUBS) not in sys.path:
        sys.path.insert(0, str(STUBS))


generate_stubs()
import echo_pb2  # noqa: E402
import echo_pb2_grpc  # noqa: E402


def program(name: str) -> str:
    path = BUILD / "tests" / "interop" / name
    if not path.exists():
        pytest.skip(f"{path} is not built: ninja -C {BUILD} tests/interop/{name}, or set BATON_BUILD")
    return str(path)


def tool(name: str) -> str:
    """A tool that `make test` puts into build/tools."""
    path = shutil.which(name, path=f"{ROOT / 'build' / 'tools'}:{os.environ['PATH']}")
    if path is None:
        pytest.skip(f"{name} is neither in build/tools nor in PATH")
    return path


def environment() -> dict[str, str]:
    """A leak or undefined behaviour ends the program with a failure; a small quarantine lets memory be measured."""
    asan = "halt_on_error=1:detect_leaks=1:quarantine_size_mb=1:malloc_context_size=6"
    return {**os.environ, "ASAN_OPTIONS": asan, "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}


def wait_until(what: str, condition: Any, timeout: float = 20) -> None:
    give_up = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < give_up, f"not within {timeout} s: {what}"
        time.sleep(0.01)


class EchoServer:
    """tests/interop/echo_server; on exit it must end cleanly, with no call left."""

    def __init__(self) -> None:
        self.process = subprocess.Popen([program("echo_server")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, env=environment())
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("listening "), self.process.communicate(timeout=10)
        self.address = line.split()[1]
        self.leaving = False
        self.channel = grpc.insecure_channel(self.address, options=OWN_CONNECTION)
        self.echo = echo_pb2_grpc.EchoStub(self.channel)

    def stats(self) -> Any:
        return self.echo.Stats(echo_pb2.StatsRequest(), timeout=20)

    def wait_idle(self, timeout: float = 20) -> None:
        wait_until("no live call", lambda: self.stats().live == 0, timeout)

    def rss_kib(self) -> int:
        return int(self._proc_status("VmRSS"))

    def open_files(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def _proc_status(self, key: str) -> str:
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(key + ":"):
                return line.split()[1]
        raise KeyError(key)

    def terminate(self) -> None:
        """SIGTERM, once: a second one would not wait."""
        if not self.leaving:
            self.leaving = True
            self.process.send_signal(signal.SIGTERM)

    def stop(self) -> dict[str, int]:
        """What the server says it counted."""
        self.channel.close()
        self.terminate()
        try:
            out, err = self.process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        assert self.process.returncode == 0, f"echo_server: exit {self.process.returncode}\n{err}"
        print("echo_server:", out.strip())
        return {key: int(value) for key, value in (word.split("=") for word in out.split())}

    def __enter__(self) -> EchoServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            assert self.stop()["live"] == 0
        elif self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        else:
            print(f"echo_server had ended: exit {self.process.returncode}\n{self.process.communicate()[1]}")


class Bystander:
    """A well-behaved client at the same time as a misbehaving one: it must not be affected."""

    def __init__(self, server: EchoServer, slowest: float = 10) -> None:
        self.channel = grpc.insecure_channel(server.address, options=OWN_CONNECTION)
        self.echo = echo_pb2_grpc.EchoStub(self.channel)
        self.slowest_allowed = slowest
        self.calls, self.slowest = 0, 0.0
        self.error: grpc.RpcError | None = None
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self.done.wait(0.003) or self.calls < 20:
            begin = time.monotonic()
            try:
                answer = self.echo.Echo(echo_pb2.EchoRequest(payload=b"x" * 256), timeout=20)
                assert answer.payload == b"x" * 256
            except grpc.RpcError as error:
                self.error = error
                return
            self.calls += 1
            self.slowest = max(self.slowest, time.monotonic() - begin)

    def __enter__(self) -> Bystander:
        self.echo.Echo(echo_pb2.EchoRequest(), timeout=20)
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.done.set()
        self.thread.join()
        self.channel.close()
        print(f"bystander: {self.calls} calls, slowest {self.slowest * 1000:.0f} ms, error {self.error}")
        if kind is None:
            assert self.error is None, f"the bystander's call failed: {self.error}"
            assert self.slowest < self.slowest_allowed
