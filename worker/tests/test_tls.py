"""Certificate files while they are being replaced."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from baton_worker import Tls
from baton_worker.config import ConfigError
from baton_worker.tls import Credentials


def pem(kind: str) -> str:
    return f"-----BEGIN {kind}-----\nAAAA\n-----END {kind}-----\n"


WHOLE = {"cert": pem("CERTIFICATE"), "key": pem("EC PRIVATE KEY"), "ca": pem("CERTIFICATE") * 2}


def write(folder: Path, **changed: str) -> Tls:
    for name, content in {**WHOLE, **changed}.items():
        (folder / name).write_text(content)
        (folder / name).chmod(0o600)
    return Tls(*(str(folder / name) for name in ("cert", "key", "ca")))


@pytest.mark.parametrize("part", ["", "x", "-----BEGIN CERTIFICATE-----\nAA", pem("X509 CRL")])
@pytest.mark.parametrize("name", list(WHOLE))
def TestWorkerFileWithoutWhatItShouldHold(name: str, part: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Such as an empty one, at which gRPC's library would end the process: refused at the start, passed over later."""
    with pytest.raises(ConfigError, match=f"^tls: .*{name} holds no "):
        Credentials(write(tmp_path, **{name: part}))
    credentials = Credentials(write(tmp_path))
    before = (credentials.current, credentials.version)
    write(tmp_path, **{name: part})
    with caplog.at_level(logging.WARNING, "baton_worker"):
        credentials.refresh()
    assert (credentials.current, credentials.version) == before
    assert "going on with the old" in caplog.text
    write(tmp_path, ca=pem("CERTIFICATE") * 3)
    credentials.refresh()
    assert (credentials.current, credentials.version) != before


@pytest.mark.parametrize("mode, refused", [(0o400, False), (0o440, False), (0o640, False), (0o644, True), (0o604, True), (0o660, False)])
def TestWorkerKeyThatEverybodyMayRead(mode: int, refused: bool, tmp_path: Path) -> None:
    files = write(tmp_path)
    Path(files.key).chmod(mode)
    if refused:
        with pytest.raises(ConfigError, match=rf"everybody on this machine may use the private key .*{mode:04o}.*chmod o="):
            Credentials(files)
    else:
        Credentials(files)
