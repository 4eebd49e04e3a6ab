"""A clean Debian of its own in a folder: commands run in it by chroot, and services as their units have them, without systemd."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Callable, Dict, List, Tuple

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / "build/packages"
DEADLINE = 30.0

# Mounts and processes of its own, which end with the test, however it ends.
APART = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child"]
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}


def wait_for(what: Callable[[], bool], describe: str) -> None:
    until = time.monotonic() + DEADLINE
    while not what():
        assert time.monotonic() < until, f"not within {DEADLINE:g} s: {describe}"
        time.sleep(0.05)  # between two questions to another process


class Unit:
    """What of an installed unit says how to run it."""

    def __init__(self, system: System, name: str) -> None:
        template, _, instance = name.removesuffix(".service").partition("@")
        path = system.path(f"/lib/systemd/system/{template}{'@' if instance else ''}.service")
        self.settings: List[Tuple[str, str]] = [
            (key, value.replace("%i", instance)) for key, value in re.findall(r"^(\w+)=(.*)$", path.read_text(), re.MULTILINE)
        ]

    def all(self, key: str) -> List[str]:
        return [value for name, value in self.settings if name == key]

    def one(self, key: str) -> str:
        (value,) = self.all(key)
        return value


class Service:
    """A process of a unit, and what it tells its manager."""

    def __init__(self, system: System, name: str) -> None:
        self.unit = Unit(system, name)
        self.environment = dict(pair.split("=", 1) for pair in self.unit.all("Environment"))
        for file in self.unit.all("EnvironmentFile"):
            text = system.path(file).read_text()
            self.environment.update(re.findall(r"^([A-Z_]+)=(.*)$", text, re.MULTILINE))
        user, group, state = (self.unit.one(key) for key in ("User", "Group", "StateDirectory"))
        mode = self.unit.one("StateDirectoryMode")
        system.run("install", "-d", "-o", user, "-g", group, "-m", mode, f"/var/lib/{state}")
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.settimeout(DEADLINE)
        address = system.path(f"/run/notify-{state}")
        address.unlink(missing_ok=True)
        self.manager.bind(str(address))
        address.chmod(0o666)
        as_user = ["setpriv", f"--reuid={user}", f"--regid={group}", "--init-groups"]
        self.process = subprocess.Popen(
            [*APART, f"--root={system.root}", "--mount-proc", *as_user, self.unit.one("ExecStart")],
            env={**self.environment, "PATH": ENVIRONMENT["PATH"], "NOTIFY_SOCKET": f"/run/{address.name}"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def told(self) -> str:
        return self.manager.recv(4096).decode()

    def process_ids(self) -> List[int]:
        """setpriv has become unshare, whose child is the service."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(child) for child in children.split()]

    def stop(self) -> None:
        for child in self.process_ids():
            os.kill(child, 15)
        assert self.told() == "STOPPING=1"
        assert self.wait() == 0

    def wait(self) -> int:
        """The exit status; the log is in self.log."""
        self.log, _ = self.process.communicate(timeout=DEADLINE)
        self.manager.close()
        return self.process.returncode


class System:
    def __init__(self, root: Path) -> None:
        self.root = root
        tar = CACHE / "root.tar"
        if not tar.exists():
            subprocess.run([Path(__file__).with_name("clean-root"), tar], check=True, timeout=900)
        root.mkdir()
        subprocess.run(["tar", "-C", root, "--numeric-owner", "-xpf", tar], check=True)
        shutil.copy("/etc/resolv.conf", self.path("/etc/resolv.conf"))
        self.archives = CACHE / "archives"  # what apt has fetched, from run to run
        self.archives.mkdir(parents=True, exist_ok=True)
        self.apt("update")

    def path(self, inside: str) -> Path:
        return self.root / inside.lstrip("/")

    def command(self, *words: str) -> List[str]:
        return [*APART, f"--root={self.root}", "--mount-proc", *words]

    def run(self, *words: str, status: int = 0, environment: Dict[str, str] = {}) -> str:
        done = subprocess.run(self.command(*words), env={**ENVIRONMENT, **environment}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)  # fmt: skip
        assert done.returncode == status, f"{' '.join(words)}: status {done.returncode}\n{done.stdout}"
        return done.stdout

    def apt(self, *words: str) -> str:
        return self.run("apt-get", "-q", "-y", "-o", "Acquire::Languages=none", *words)

    def install(self, packages: List[Path]) -> str:
        """As apt does it of files; where a new version has another /etc file than the edited one, the edited one stays."""
        inside = []
        for package in packages:
            shutil.copy(package, self.path(f"/tmp/{package.name}"))
            inside.append(f"/tmp/{package.name}")
        cache = self.path("/var/cache/apt/archives")
        for known in self.archives.glob("*.deb"):
            shutil.copy(known, cache)
        said = self.apt("install", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold", *inside)
        for fetched in cache.glob("*.deb"):
            shutil.copy(fetched, self.archives)
        return said
