#!/usr/bin/python3
"""fleet.py COUNT HOST:PORT,... - so many workers in one process: each a session of baton-worker, over shared connections.

Ends at SIGTERM and prints a line of JSON: `epochs` by worker; `lost`, how many leases ended without an answer; `wronged`,
the workers that were declared offline although their lease held, or were forgotten, which no leader may do; `errors`, those
that ended.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any, Dict, List

os.environ["GRPC_CLIENT_CHANNEL_BACKUP_POLL_INTERVAL_MS"] = "20"  # as tests/cluster/harness.py
import grpc  # noqa: E402
import grpc.aio  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "worker"))
from baton_worker._proto import worker_pb2_grpc  # noqa: E402
from baton_worker.config import Config  # noqa: E402
from baton_worker.session import INTERVAL, Call, EpochRaised, Lost, Session  # noqa: E402
from baton_worker.worker import clock  # noqa: E402

OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.keepalive_time_ms", 4000),
    ("grpc.keepalive_timeout_ms", 2000),
    ("grpc.enable_http_proxy", 0),
]


class Fleet:
    def __init__(self, count: int, endpoints: List[str]) -> None:
        self.over = asyncio.Event()
        self.lost = 0
        self.wronged: List[str] = []
        self._stubs: Dict[str, Any] = {}
        known = {"address": "198.18.1.12:9000", "cloud": "gcp", "endpoints": tuple(endpoints)}
        self.sessions = [
            Session(Config(id=f"worker-{number:04}", **known), f"instance-{number:04}")  # type: ignore[arg-type]
            for number in range(count)
        ]

    def _stub(self, address: str) -> Any:
        if address not in self._stubs:
            channel = grpc.aio.insecure_channel(address, options=OPTIONS)
            self._stubs[address] = worker_pb2_grpc.WorkerServiceStub(channel)  # type: ignore[no-untyped-call]
        return self._stubs[address]

    async def _make(self, session: Session, call: Call) -> None:
        method = getattr(self._stub(call.address), call.method)
        try:
            reply = await method(call.request, timeout=call.timeout)
            session.poll(clock())  # whether the lease has ended before the reply came
            session.replied(call, reply, clock())
        except grpc.aio.AioRpcError as error:
            session.failed(call, error.code().name, error.details() or "", clock())

    def _take_events(self, session: Session, lease_held: bool) -> bool:
        for event in session.take_events():
            if isinstance(event, Lost) and event.reason.startswith("no heartbeat"):
                self.lost += 1
                lease_held = False
            elif isinstance(event, Lost):
                self.wronged.append(f"{session.config.id}: {event.reason}")
            elif isinstance(event, EpochRaised) and lease_held:
                self.wronged.append(f"{session.config.id}: declared offline although its lease held")
            else:
                lease_held = True
        return lease_held

    async def _live(self, session: Session) -> None:
        await asyncio.sleep(random.uniform(0, INTERVAL))  # so that heartbeats do not come all at once
        session.start(clock())
        lease_held = True
        while not self.over.is_set() and not session.state.final:
            step = session.poll(clock())
            if step.call is not None:
                await self._make(session, step.call)
            else:
                await asyncio.sleep(max(0.0, step.wake_at - clock()))
            lease_held = self._take_events(session, lease_held)

    async def run(self) -> None:
        lives = [asyncio.ensure_future(self._live(session)) for session in self.sessions]
        await self.over.wait()
        for life in lives:
            life.cancel()
        ended = await asyncio.gather(*lives, return_exceptions=True)
        errors = [repr(error) for error in ended if isinstance(error, Exception)]
        ended_by_themselves = [f"{s.config.id} {s.state.value}: {s.error}" for s in self.sessions if s.state.final]
        found = {"epochs": {s.config.id: s.epoch for s in self.sessions}, "lost": self.lost, "wronged": self.wronged}
        print(json.dumps({**found, "errors": errors + ended_by_themselves}))


async def main() -> None:
    logging.basicConfig(level=logging.ERROR)
    fleet = Fleet(int(sys.argv[1]), sys.argv[2].split(","))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, fleet.over.set)
    await fleet.run()


asyncio.run(main())
