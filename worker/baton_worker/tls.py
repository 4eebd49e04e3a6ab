"""A worker's certificate and authorities, from files that may be replaced at any time."""

from __future__ import annotations

import logging
import os
import stat
from typing import Any, NamedTuple, Optional, Tuple

import grpc

from .config import ConfigError

log = logging.getLogger("baton_worker")


class Tls(NamedTuple):
    """Names of PEM files: the certificate with its intermediates, its key, and the trusted authorities."""

    cert: str
    key: str
    ca: str


def check_tls(cert: str, key: str, ca: str, required: bool) -> Optional[Tls]:
    """None if no file is named; raises ConfigError if only some are, or none though TLS is required."""
    names = {"tls-cert": cert, "tls-key": key, "tls-ca": ca}
    missing = [name for name, file in names.items() if not file]
    if not missing:
        return Tls(cert, key, ca)
    if len(missing) == len(names) and not required:
        return None
    what = "plaintext is forbidden" if len(missing) == len(names) else "they go together"
    raise ConfigError(f"tls-cert, tls-key, tls-ca: {what}; missing: {', '.join(missing)}")


class Credentials:
    """Credentials for new connections. Existing connections keep theirs."""

    def __init__(self, files: Tls) -> None:
        """Raises ConfigError for a file that cannot be read or has other contents."""
        self._files = files
        self.version: Tuple[Any, ...] = ()
        self.current: Any = None
        try:
            self._read()
        except OSError as error:
            raise ConfigError(f"tls: cannot read {error.filename}: {error.strerror}") from None

    def refresh(self) -> None:
        """Reads the files again if they have changed; unusable ones change nothing."""
        try:
            if self._look() != self.version:
                self._read()
        except (OSError, ConfigError) as error:
            log.warning("the new certificates cannot be used; going on with the old", extra={"fields": {"error": str(error)}})

    def _read(self) -> None:
        version = self._look()
        cert, key, ca = map(_pem, self._files, ("CERTIFICATE", "PRIVATE KEY", "CERTIFICATE"))
        self.current = grpc.ssl_channel_credentials(root_certificates=ca, private_key=key, certificate_chain=cert)
        self.version = version

    def _look(self) -> Tuple[Any, ...]:
        found = [os.stat(name) for name in self._files]
        return tuple((file.st_ino, file.st_size, file.st_ctime_ns) for file in found)


def _pem(name: str, kind: str) -> bytes:
    """A file's contents, with at least one complete PEM block of that kind. gRPC's library ends the process if a file is
    empty, as it is for a moment while another is copied over it."""
    with open(name, "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        content = file.read()
    # The same rule as batond's: the group may, as in Kubernetes and with Debian's ssl-cert.
    if kind == "PRIVATE KEY" and stat.S_ISREG(mode) and mode & stat.S_IRWXO:
        raise ConfigError(
            f"tls: everybody on this machine may use the private key {name} (its mode is {stat.S_IMODE(mode):04o}): "
            f"run chmod o= {name}, and consider whether it must be replaced"
        )
    begun, ended = (content.count(b"-----%s " % word) for word in (b"BEGIN", b"END"))
    if f"{kind}-----".encode() not in content or begun != ended:
        raise ConfigError(f"tls: {name} holds no {kind.lower()}, or only a part of it")
    return content
