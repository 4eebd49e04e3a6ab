"""What operators do meanwhile: transfers, certificates, snapshots, backups, members replaced, all nodes restarted one by one, on
another version if there is one."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import List, NamedTuple, Optional

import grpc
import harness
import plan
from faults import Fault, Faults
from nodes import PATIENCE, Node, World


class Backup(NamedTuple):
    file: Path
    at: int  # its index


class Operations:
    """One at a time: that is how operators work. Other faults happen meanwhile."""

    def __init__(self, world: World, faults: Faults, next_program: Optional[Path]) -> None:
        self.backups: List[Backup] = []
        self._world, self._faults, self._next = world, faults, next_program
        faults.add("transfer", self._transfer)
        faults.add("certificates", self._certificates)
        faults.add("snapshot", self._snapshot)
        faults.add("backup", self._backup)
        faults.add("replacement", self._replacement)
        faults.add("rolling restart", self._rolling_restart)

    def _transfer(self, fault: Fault, event: plan.Event, rng: random.Random) -> bool:
        leader = self._world.leader()
        others = sorted(node.name for node in self._world.nodes if leader is None or node.name != leader.name)
        target = rng.choice(others)
        if leader is None:
            return False
        fault.what = f"from {leader.name} to {target}"
        try:
            leader.call("TransferLeadership", target=target, timeout=5.0)
        except (grpc.RpcError, ValueError) as error:  # it may well fail, as everything does
            fault.what += f", refused ({error.code().name if isinstance(error, grpc.RpcError) else error})"
        return True

    def _certificates(self, fault: Fault, event: plan.Event, rng: random.Random) -> bool:
        with self._faults.taken_all("operator") as has:
            if has:
                fault.what = "all, of nodes, workers and operators"
                self._world.certificates.make_all()
            return has

    def _snapshot(self, fault: Fault, event: plan.Event, rng: random.Random) -> bool:
        node = rng.choice(self._world.nodes)
        fault.what = node.name
        try:
            node.call("Snapshot", timeout=5.0)
        except (grpc.RpcError, ValueError) as error:
            fault.what += f", refused ({error.code().name if isinstance(error, grpc.RpcError) else error})"
        return True

    def _backup(self, fault: Fault, event: plan.Event, rng: random.Random) -> bool:
        with self._faults.taken_all("operator") as has:
            if not has:
                return False
            node = rng.choice(self._world.nodes)
            file = self._world.directory / f"backup-{len(self.backups)}"
            self._world.batonctl("backup", str(file), "--from", node.name, "--force")
            told = json.loads(self._world.batonctl("backup", "check", str(file), "-o", "json"))
            self.backups.append(Backup(file, told["index"]))
            fault.what = f"from {node.name}, index {told['index']}"
        return True

    def _replacement(self, fault: Fault, event: plan.Event, rng: random.Random) -> bool:
        """Of a node by one with an empty disk; in half of the cases the old one's disk is lost first."""
        lost = rng.random() < 0.5
        with self._faults.taken_all("operator") as has:
            if not has:
                return False
            hosts = list(harness.NODES)
            rng.shuffle(hosts)
            host = next((host for host in hosts if self._faults.busy.take(*self._aspects(host))), None)
            if host is None:
                return False
            try:
                self._replace(fault, host, lost)
            finally:
                self._faults.busy.give(*self._aspects(host))
        return True

    @staticmethod
    def _aspects(host: str) -> List[str]:
        return [f"{aspect} {host}" for aspect in ("process", "speed", "space", "clock")]

    def _replace(self, fault: Fault, host: str, lost: bool) -> None:
        world = self._world
        old = world.on(host)
        began = time.time()
        if lost:
            old.kill()
            world.leave(old)
        new = world.join(host)
        fault.what = f"{old.name}{', whose disk was lost,' if lost else ''} by {new.name}"
        new.start()
        if not lost:
            old.expected_exit = 0
        world.batonctl("member", "replace", old.name, f"{new.name}={new.address}/{new.place.cloud}")
        if not lost:
            status = old.wait(PATIENCE)
            assert status == 0, f"{old.name} was removed, and ended with {status}\n{old.log_tail()}"
            world.leave(old)
        fault.down.append((host, began, time.time()))

    def _rolling_restart(self, fault: Fault, event: plan.Event, rng: random.Random) -> bool:
        """The leader last. The first time that all can, they change to the next version, and back before the last one has."""
        with self._faults.taken_all("operator") as has:
            if not has:
                return False
            before = self._world.program
            to = self._next if self._next is not None and before != self._next else before
            upgraded = "" if to == before else " to the next version"
            leader = self._world.leader()
            order = sorted(harness.NODES, key=lambda host: leader is not None and leader.host_name == host)
            if upgraded:
                self._restart(fault, order[0], to)
                self._restart(fault, order[0], before)
            self._world.program = to
            for host in order:
                self._restart(fault, host, to)
            fault.what = f"all{upgraded}"
        return True

    def _restart(self, fault: Fault, host: str, program: Path) -> None:
        while not self._faults.busy.take(f"process {host}"):
            time.sleep(harness.POLL)
        try:
            node: Node = self._world.on(host)
            node.program = program
            self._faults.restart(fault, host, False, 0.0)
        finally:
            self._faults.busy.give(f"process {host}")
