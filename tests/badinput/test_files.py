"""Who may read a node's directory and its key: nobody else by what a node makes, a warning about what was there, a refusal of keys that
everybody may use."""

from __future__ import annotations

import os
import pathlib
import shutil
import signal
import subprocess

import pytest
from nodes import DEADLINE, Node, Variant, environment, free_addresses, tls_files, wait_until

plain = pytest.mark.parametrize("variant", ["release-plain"], indirect=True)
tls = pytest.mark.parametrize("variant", ["release-tls"], indirect=True)


def mode(path: pathlib.Path) -> int:
    return path.lstat().st_mode & 0o7777


@plain
def test_badinput_directory_is_its_owners_alone(variant: Variant, tmp_path: pathlib.Path) -> None:
    before = os.umask(0)
    try:
        with Node(tmp_path, variant) as node:
            node.wait_leads()
            assert node.ctl("snapshot").returncode == 0
    finally:
        os.umask(before)
    found = {str(path.relative_to(tmp_path)): mode(path) for path in [node.data, *node.data.rglob("*")]}
    assert len(found) >= 6  # the directory, its two folders, the lock, a segment, an image
    assert {name: oct(bits) for name, bits in found.items() if bits not in (0o700, 0o600)} == {}
    assert "data-exposed" not in node.log()


@plain
@pytest.mark.parametrize("bits, warned", [(0o755, True), (0o701, True), (0o750, False), (0o2770, False)])
def test_badinput_directory_that_was_there(variant: Variant, tmp_path: pathlib.Path, bits: int, warned: bool) -> None:
    """Its group may read it, as that of a pod (fsGroup) or of those who make backups; everybody had better not."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(bits)
    with Node(tmp_path, variant) as node:
        assert ("event=data-exposed" in node.log()) == warned
    assert mode(node.data) == bits
    assert not warned or f"mode={bits:04o}" in node.log()


@pytest.fixture
def own(certs: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """Certificates whose modes are the test's."""
    shutil.copytree(certs, tmp_path / "certs")
    return tmp_path / "certs"


@tls
@pytest.mark.parametrize("bits", [0o644, 0o604, 0o666, 0o601])
def test_badinput_key_that_everybody_may_read(variant: Variant, own: pathlib.Path, tmp_path: pathlib.Path, bits: int) -> None:
    (own / "n1-key.pem").chmod(bits)
    (own / "me-key.pem").chmod(bits)
    address, http = free_addresses(2)
    node = ["--node-id", "n1", "--cluster-id", "c", "--cloud", "gcp", "--data-dir", str(tmp_path / "data"), "--listen", address,
            "--http", http, *tls_files(own, "n1")]  # fmt: skip
    for command in ([variant.program("batond"), *node], [variant.program("batond"), *node, "--check-config"],
                    [variant.program("batonctl"), *tls_files(own, "me"), "status"]):  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, env=environment())
        assert done.returncode == 2, done
        assert f"its mode is {bits:04o}): run chmod o= {own}" in done.stderr
    assert not (tmp_path / "data").exists() or list((tmp_path / "data").iterdir()) == []


@tls
@pytest.mark.parametrize("bits", [0o400, 0o440, 0o640, 0o660])
def test_badinput_key_of_a_group(variant: Variant, own: pathlib.Path, tmp_path: pathlib.Path, bits: int) -> None:
    """As Kubernetes mounts secrets and Debian's group ssl-cert has them; and through a link, as Kubernetes does."""
    (own / "n1-key.pem").chmod(bits)
    (own / "n1-key.pem").rename(own / "real.pem")
    (own / "n1-key.pem").symlink_to("real.pem")
    with Node(tmp_path, Variant("release", own)) as node:
        node.wait_leads()
        # Files that became worse change nothing, and are said.
        (own / "real.pem").chmod(0o644)
        node.process.send_signal(signal.SIGHUP)
        wait_until("it is said", lambda: "event=certificate-unusable" in node.log())
        node.check_serves()
        assert "everybody on this machine may use the private key" in node.log()
