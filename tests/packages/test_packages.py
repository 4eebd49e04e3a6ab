"""The Debian packages, in a clean Debian of their own: installed, used, upgraded, removed and purged."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Dict, Iterator, List

import pytest
from system import ROOT, Service, System, wait_for

NAMES = ["baton-client", "baton-server", "libbaton-dev", "python3-baton"]
USAGE = 2  # batond's exit status

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a Debian with users of its own")


@pytest.fixture(scope="session")
def packages() -> Dict[str, Path]:
    """Each package's file, as make deb gives them."""
    before = source()
    done = subprocess.run([ROOT / "deploy/deb"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert source() == before
    return {path.name.split("_")[0]: path for path in (ROOT / "build/deb").glob("*.deb") if "dbgsym" not in path.name}


def source() -> str:
    """What is new or changed of all that a build reads."""
    folders = ["debian", "deploy", "docs", "proto", "src", "worker"]
    return subprocess.run(["git", "status", "--short", "--", *folders], cwd=ROOT, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    system = System(tmp_path / "root")
    yield system
    shutil.rmtree(system.root)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Node:
    """A cluster of one: its options, in a copy of the file that the package has installed."""

    def __init__(self, system: System, unit: str, name: str) -> None:
        self.system, self.unit, self.name = system, unit, name
        self.file = system.path("/etc/default/baton" + ("" if unit == "baton.service" else f"-{name}"))
        self.endpoint = f"127.0.0.1:{free_port()}"

    def configure(self) -> None:
        options = {"NODE_ID": self.name, "CLUSTER_ID": "packaged", "CLOUD": "gcp", "LISTEN": self.endpoint,
                   "HTTP": f"127.0.0.1:{free_port()}", "PEERS": f"{self.name}={self.endpoint}/gcp", "BOOTSTRAP": "true"}  # fmt: skip
        text = self.system.path("/etc/default/baton").read_text()
        for option, value in options.items():
            text, count = re.subn(rf"^#?BATON_{option}=.*$", f"BATON_{option}={value}", text, flags=re.MULTILINE)
            assert count == 1, option
        self.file.write_text(text)

    def start(self) -> Service:
        service = Service(self.system, self.unit)
        assert service.told() == "READY=1"
        return service

    def ctl(self, *words: str) -> str:
        return self.system.run("batonctl", "--endpoints", self.endpoint, *words)


def later(package: Path, directory: Path) -> Path:
    """The same package in the next version, whose file in /etc/default has changed, too."""
    unpacked, made = directory / package.stem, directory / package.name.replace("-1_", "-2_")
    subprocess.run(["dpkg-deb", "-R", package, unpacked], check=True)
    control = unpacked / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^(Version: .*)-1$", r"\1-2", control.read_text()))
    default = unpacked / "etc/default/baton"
    if default.exists():
        default.write_text(default.read_text() + "# Changed in this version.\n")
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", unpacked, made], check=True, capture_output=True)
    return made


def versions(system: System) -> List[str]:
    """Of what is installed, configured or left as configuration files."""
    return sorted(system.run("dpkg-query", "-W", "-f", "${Package} ${Version} ${db:Status-Abbrev}\n", "*baton*").splitlines())


def data(system: System, directory: str = "/var/lib/baton") -> List[str]:
    return sorted(str(path) for path in system.path(directory).rglob("*"))


def TestPackagesAreThere(packages: Dict[str, Path]) -> None:
    assert sorted(packages) == NAMES


def TestPackagesLintian(packages: Dict[str, Path]) -> None:
    command = ["lintian", "--allow-root", "--fail-on", "error", *packages.values()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr


def TestPackagesProto(packages: Dict[str, Path], tmp_path: Path) -> None:
    """The .proto files need nothing but protobuf's own."""
    subprocess.run(["dpkg-deb", "-x", packages["libbaton-dev"], tmp_path], check=True)
    folder = tmp_path / "usr/share/baton/proto"
    files = [str(path.relative_to(folder)) for path in folder.rglob("*.proto")]
    assert "baton/v1/control.proto" in files
    subprocess.run(["protoc", f"-I{folder}", f"--descriptor_set_out={tmp_path}/all", *files], check=True)


def TestPackagesManualsAndCompletions(packages: Dict[str, Path]) -> None:
    """Where man and the shells look for them."""
    def has(package: str, path: str) -> bool:
        listing = subprocess.run(["dpkg-deb", "-c", packages[package]], check=True, capture_output=True, text=True).stdout
        return any(line.endswith(f" ./usr/share/{path}") for line in listing.splitlines())

    assert has("baton-server", "man/man8/batond.8.gz") and has("baton-client", "man/man1/batonctl.1.gz")
    for path in ("bash-completion/completions/batonctl", "zsh/vendor-completions/_batonctl", "fish/vendor_completions.d/batonctl.fish"):
        assert has("baton-client", path), path


def TestPackagesFromInstallationToPurge(packages: Dict[str, Path], system: System, tmp_path: Path) -> None:
    system.install(list(packages.values()))
    assert [line.split()[0] for line in versions(system)] == NAMES
    assert "/var/lib/baton" in system.run("getent", "passwd", "baton")

    # A node that nobody has configured does not start, and systemd does not try again.
    unconfigured = Service(system, "baton.service")
    assert unconfigured.wait() == USAGE
    assert str(USAGE) in unconfigured.unit.one("RestartPreventExitStatus").split()
    assert "--node-id" in unconfigured.log

    # Two on one host, each with data of its own, as the user baton.
    one, two = Node(system, "baton.service", "n1"), Node(system, "baton@n2.service", "n2")
    one.configure()
    two.configure()
    edited = one.file.read_text()
    services = [one.start(), two.start()]
    for node in (one, two):
        node.ctl("put", "greeting", f"hello {node.name}")
    for service, directory in zip(services, ("/var/lib/baton", "/var/lib/baton-n2")):
        process = Path(f"/proc/{service.process_ids()[0]}")
        assert process.stat().st_uid == system.path(directory).stat().st_uid != 0
        assert data(system, directory)

    # A worker.
    system.run("python3", "-c", "import baton_worker")
    command = system.command("baton-worker", "--id", "w1", "--address", "127.0.0.1:9000", "--cloud", "gcp", "--endpoints", one.endpoint)
    worker = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: re.search(r"w1\b.*\bonline", one.ctl("worker", "list")) is not None, "the worker is online")
    worker.kill()
    worker.wait()

    # The next version keeps the data and what was edited.
    services[0].stop()
    services[1].stop()
    system.install([later(package, tmp_path) for package in packages.values()])
    assert all(line.split()[1].endswith("-2") for line in versions(system))
    assert one.file.read_text() == edited
    service = one.start()
    assert "hello n1" in one.ctl("get", "greeting")
    service.stop()

    # Removed, it leaves the data, the options and the user; purged, the data and the user.
    before = data(system)
    system.apt("remove", "baton-server")
    assert not system.path("/usr/bin/batond").exists()
    assert one.file.read_text() == edited
    assert data(system) == before
    said = system.apt("purge", *NAMES)
    assert not one.file.exists()
    assert data(system) == before
    assert "/var/lib/baton stays" in said and "/var/lib/baton-n2 stays" in said
    system.run("getent", "passwd", "baton")
    assert not [path for path in system.path("/usr/share/doc").iterdir() if path.name.removeprefix("lib").startswith("baton")]


def TestPackagesPurgeOfNothing(packages: Dict[str, Path], system: System) -> None:
    """Where no node ever ran, nothing is left but the user."""
    system.install([packages["baton-server"]])
    system.run("install", "-d", "-o", "baton", "/var/lib/baton")
    assert "stays" not in system.apt("purge", "baton-server")
    assert not system.path("/var/lib/baton").exists()
    assert not system.path("/etc/default/baton").exists()
