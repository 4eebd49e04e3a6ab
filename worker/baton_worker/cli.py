"""baton-worker: registers this machine as a worker, and deregisters it on SIGTERM or SIGINT.

Exit status: 0 after a signal; 1 if the cluster rejects the worker; 2 for a wrong flag; 4 if another instance replaced it.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import sys
import threading
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import __version__
from .config import ConfigError, check_address, check_cloud, check_endpoints, check_id, check_labels, check_slots
from .logs import FORMATS, LEVELS, LineFormatter
from .session import State
from .tls import check_tls
from .worker import Worker

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_REPLACED = 4
ENVIRONMENT_PREFIX = "BATON_WORKER_"


class Option(NamedTuple):
    parse: Callable[[str], Any]
    metavar: str
    help: str
    default: Optional[str] = None  # None: it must be given

    def default_text(self) -> str:
        return f" (default: {self.default})" if self.default else ""


def _endpoints(text: str) -> Tuple[str, ...]:
    return check_endpoints(tuple(part.strip() for part in text.split(",")))


def _slots(text: str) -> int:
    try:
        return check_slots(int(text))
    except ValueError as error:
        raise error if isinstance(error, ConfigError) else ConfigError(f"slots are a number, not {text!a}") from None


def _file(text: str) -> str:
    return text


def _switch(text: str) -> bool:
    if text not in ("true", "1", "false", "0", ""):
        raise ConfigError(f"it is true or false, not {text!a}")
    return text in ("true", "1")


def _labels(text: str) -> Mapping[str, str]:
    labels: Dict[str, str] = {}
    for part in text.split(",") if text else ():
        key, equals, value = part.partition("=")
        if not equals:
            raise ConfigError(f"a label is KEY=VALUE, not {part!a}")
        labels[key] = value
    return check_labels(labels)


def _one_of(allowed: Sequence[str]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ConfigError(f"it is one of {', '.join(allowed)}, not {text!a}")
        return text

    return parse


OPTIONS: Dict[str, Option] = {
    "id": Option(check_id, "ID", "unique in the cluster", socket.gethostname()),
    "address": Option(check_address, "HOST:PORT", "where this worker takes work"),
    "cloud": Option(check_cloud, "aws|gcp", "where it runs"),
    "endpoints": Option(_endpoints, "HOST:PORT,...", "nodes to try; the others are learned", "127.0.0.1:7400"),
    "slots": Option(_slots, "N", "pieces of work it takes at once", "1"),
    "label": Option(_labels, "KEY=VALUE", "may be repeated; several are separated by commas", ""),
    "tls-cert": Option(_file, "FILE", "speak TLS: the certificate to show", ""),
    "tls-key": Option(_file, "FILE", "its private key", ""),
    "tls-ca": Option(_file, "FILE", "the authorities whose certificates are believed", ""),
    "tls-required": Option(_switch, "", "never speak plaintext", "false"),
    "log-level": Option(_one_of(tuple(LEVELS)), "|".join(LEVELS), "what is logged on standard error", "info"),
    "log-format": Option(_one_of(FORMATS), "|".join(FORMATS), "and how", "logfmt"),
}


def parse_options(arguments: Optional[Sequence[str]], environment: Mapping[str, str]) -> Dict[str, Any]:
    """Flag over environment over default. Exits 2, naming the flag or variable and what is allowed."""
    parser = argparse.ArgumentParser(
        prog="baton-worker",
        description="Registers a worker with a baton cluster and keeps it registered until SIGTERM.",
        epilog="Each flag is also an environment variable, for instance BATON_WORKER_LOG_LEVEL; a flag goes first. "
        "Exit status: 0 after SIGTERM or SIGINT, 1 rejected by the cluster, 2 wrong flag, 4 replaced by another instance.",
        allow_abbrev=False,
    )
    for name, option in OPTIONS.items():
        if option.parse is _switch:
            parser.add_argument(f"--{name}", action="append_const", const="true", help=option.help)
            continue
        parser.add_argument(
            f"--{name}", metavar=option.metavar, action="append", help=option.help + option.default_text()
        )
    parser.add_argument("--version", action="version", version=f"baton-worker {__version__}")
    flags = vars(parser.parse_args(arguments))

    values: Dict[str, Any] = {}
    for name, option in OPTIONS.items():
        key = name.replace("-", "_")
        given: Optional[List[str]] = flags[key]
        variable = ENVIRONMENT_PREFIX + key.upper()
        source = f"--{name}"
        if given is not None:
            text = ",".join(given) if name == "label" else given[-1]
        elif environment.get(variable):
            text, source = environment[variable], variable
        elif option.default is not None:
            text = option.default
        else:
            parser.error(f"--{name} {option.metavar} (or {variable}) is missing")
        try:
            values[key] = option.parse(text)
        except ConfigError as error:
            parser.error(f"{source}: {error}")
    try:
        files = (values.pop(f"tls_{part}") for part in ("cert", "key", "ca", "required"))
        values["tls"] = check_tls(*files)
    except ConfigError as error:
        parser.error(str(error))
    return values


def _set_up_log(worker: str, level: str, form: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(worker, form))
    logger = logging.getLogger("baton_worker")
    logger.addHandler(handler)
    logger.setLevel(LEVELS[level])
    logger.propagate = False


class _Wakeup:
    """A pipe on which the main thread sleeps; signals and wake() write to it."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        signal.set_wakeup_fd(self._write)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    @staticmethod
    def _on_signal(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)  # a second signal ends the process at once

    def wait(self) -> None:
        os.read(self._read, 1)

    def wake(self) -> None:
        os.write(self._write, b"\0")


def main(arguments: Optional[Sequence[str]] = None) -> int:
    options = parse_options(arguments, os.environ)
    _set_up_log(options["id"], options["log_level"], options["log_format"])
    # gRPC's own log lines have another format and no more information than ours. It reads this at the first call.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    wakeup = _Wakeup()
    try:
        worker = Worker(
            options["id"],
            options["address"],
            options["cloud"],
            options["endpoints"],
            slots=options["slots"],
            labels=options["label"],
            tls=options["tls"],
        )
    except ConfigError as error:
        print(f"baton-worker: {error}", file=sys.stderr)
        return EXIT_USAGE
    with worker:
        threading.Thread(target=lambda: wakeup.wake() if worker.wait() else None, daemon=True).start()
        wakeup.wait()
    if worker.state is State.REPLACED:
        print(f"baton-worker: another instance of {worker.id} has taken over; this one has stopped", file=sys.stderr)
        return EXIT_REPLACED
    if worker.error:
        print(f"baton-worker: {worker.error}", file=sys.stderr)
        return EXIT_FAILED
    return 0
