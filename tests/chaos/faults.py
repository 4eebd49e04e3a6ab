"""The faults themselves: each begins, lasts, and is healed, on a thread of its own, beside others."""

from __future__ import annotations

import random
import signal
import subprocess
import threading
import time
import traceback
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

import harness
import plan

CLOUDS = ("gcp-to-aws", "aws-to-gcp")
WAN = [("n1", "n3"), ("n2", "n3")]
HOSTS = tuple(harness.NODES)


class Fault:
    """What happened, for the report and for the judgement of gaps. Times are unix times."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.began = time.time()
        self.ended = 0.0
        self.what = ""
        self.down: List[Tuple[str, float, float]] = []  # a host whose node serves nobody, from when to when
        self.apart: List[Tuple[str, str, float, float]] = []  # two hosts that do not hear each other
        self.slow: List[Tuple[float, float]] = []  # when nothing is said about rates

    def told(self) -> Dict[str, Any]:
        return {**vars(self), "began": round(self.began, 3), "ended": round(self.ended, 3)}


class Busy:
    """What a fault uses, so that another one does not heal it: a host's process, its disk, a link."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: "set[str]" = set()

    def take(self, *names: str) -> bool:
        with self._lock:
            if self._taken & set(names):
                return False
            self._taken |= set(names)
            return True

    def give(self, *names: str) -> None:
        with self._lock:
            self._taken -= set(names)


def filter_packets(action: str, host: str, source: str) -> None:
    """Whether a host hears another: -A it does not, -D it does."""
    rule = ["iptables", "-w", action, "INPUT", "-s", harness.NODES[source].host, "-j", "DROP"]
    subprocess.run(["nsenter", f"--net=/run/netns/baton-{host}", "--", *rule], check=True, stdin=subprocess.DEVNULL)


class Faults:
    """`world` has the nodes, of baton or of etcd. `over` ends those that last."""

    def __init__(self, world: Any, now: Callable[[], float]) -> None:
        self.done: List[Fault] = []
        self.skipped: List[str] = []
        self.complaints: List[str] = []
        self.over = threading.Event()
        self.world = world
        self._now = now
        self.busy = Busy()
        self._threads: List[threading.Thread] = []
        self._kinds: Dict[str, Callable[[Fault, plan.Event, random.Random], bool]] = {
            "kill": self._end_process, "stop": self._end_process, "kill all": self._kill_all, "pause": self._pause,
            "cut": self._cut, "one-way cut": self._cut, "isolation": self._isolate, "partial cut": self._part,
            "partial one-way cut": self._part, "leader apart": self._part_leader, "loss": self._quality, "jitter": self._quality,
            "slow disk": self._slow_disk, "full disk": self._full_disk, "clock": self._step_clock,
        }  # fmt: skip

    def add(self, kind: str, how: Callable[[Fault, plan.Event, random.Random], bool]) -> None:
        self._kinds[kind] = how

    # How they run.

    def begin(self, event: plan.Event) -> None:
        thread = threading.Thread(target=self._run, args=(event,), daemon=True, name=event.kind)
        self._threads.append(thread)
        thread.start()

    def _run(self, event: plan.Event) -> None:
        fault = Fault(event.kind)
        try:
            if not self._kinds[event.kind](fault, event, random.Random(event.seed)):
                self.skipped.append(event.kind)
                return
        except Exception:  # of whatever kind: the run goes on, and fails
            self.complaints.append(f"{event.kind} ({fault.what}) at {event.at:.1f} s: {traceback.format_exc()}")
        fault.ended = time.time()
        self.done.append(fault)
        say(f"[{self._now():6.1f} s] {event.kind}: {fault.what}, {fault.ended - fault.began:.1f} s")

    def end(self, patience: float) -> None:
        """Heals what lasts, and waits for all."""
        self.over.set()
        until = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(0.1, until - time.monotonic()))
            if thread.is_alive():
                self.complaints.append(f"{thread.name} has not ended")

    def rests(self, seconds: float) -> None:
        self.over.wait(seconds)

    @contextmanager
    def taken(self, rng: random.Random, aspect: str, leader_too: float = 0.4) -> Iterator[Optional[str]]:
        """A host with that aspect free; often the leader's, since that is where it hurts."""
        order = list(HOSTS)
        rng.shuffle(order)
        if rng.random() < leader_too:
            leader = self.world.leader()
            if leader is not None:
                order.insert(0, leader.host_name)
        found = next((host for host in order if self.busy.take(f"{aspect} {host}")), None)
        try:
            yield found
        finally:
            if found is not None:
                self.busy.give(f"{aspect} {found}")

    @contextmanager
    def taken_all(self, *names: str) -> Iterator[bool]:
        has = self.busy.take(*names)
        try:
            yield has
        finally:
            if has:
                self.busy.give(*names)

    # Processes.

    def _end_process(self, fault: Fault, event: plan.Event, rng: random.Random) -> bool:
        with self.taken(rng, "process") as host:
            if host is None:
                return False
            self.restart(fault, host, event.kind == "kill", event.seconds)
        return True

    def restart(self, fault: Fault, host: str, kill: bool, seconds: float) -> None:
        node = self.world.on(host)
        fault.what = node.name
        began = time.time()
        if kill:
            node.kill()
        else:
            node.terminate()
            node.wait(harness.DEADLINE * 4)
            self.check_exit(node)
        self.rests(seconds)
        node.start()
        self.world.wait_serving(node)
        fault.down.append((host, began, time.time()))

    def check_exit(self, node: Any) -> None:
        if node.exit_status not in self.world.exits:
            self.complaints.append(f"{node.name} ended with {node.exit_status} on SIGTERM:\n{node.log_tail(10)}")

    def _kill_all(self, fault: Fault, event: plan.Event, rng: random.Random) -> bool:
        names = [f"process {host}" for host in HOSTS]
        with self.taken_all(*names) as has:
            if not has:
                return False
            nodes = [self.world.on(host) for host in HOSTS]
            fault.what = "all"
            began = time.time()
            for node in nodes:
                node.expected_exit = -signal.SIGKILL
                node.signal(signal.SIGKILL)
            for node in nodes:
                node.wait()
            self.rests(event.seconds)
            for node in nodes:
                node.start()
            for node in nodes:
                self.world.wait_serving(node)
            fault.down += [(host, began, time.time()) for host in HOSTS]
        return True

    def _pause(self, fault: Fault, event: plan.Event, rng: random.Random) -> bool:
        with self.taken(rng, "process") as host:
            if host is None:
                return False
            node = self.world.on(host)
            fault.what = node.name
            began = time.time()
            node.pause()
            # Half of them are so short that a leader may not notice that it has been succeeded.
            self.rests(rng.uniform(0.35, 0.65) if rng.random() < 0.5 else event.seconds)
            node.resume()
            fault.down.append((host, began, time.time()))
        return True

    # The network.

    def _cut(self, fault: Fault, event: plan.Event, rng: random.Random) -> bool:
        """The link between the clouds, or one direction of it."""
        direction = rng.choice(CLOUDS)
        with self.taken_all("link") as has:
            if not has:
                return False
            words = ["--direction", direction] if event.kind == "one-way cut" else []
            fault.what = " ".join(words[1:]) or "both ways"
            began = time.time()
            harness.net("wan", "cut", *words)
            self.rests(event.seconds)
            harness.net("wan", "heal")
            fault.apart += [(*pair, began, time.time()) for pair in WAN]
        return True

    def _isolate(self, fault: Fault, event: plan.Event, rng: random.Random) -> bool:
        """A host from all others and from the clients; no connection is closed."""
        with self.taken(rng, "port") as host:
            if host is None:
                return False
            fault.what = host
            port = ["ip", "-n", "baton-wan", "link", "set", host]
            began = time.time()
            subprocess.run([*port, "nomaster"], check=True)
            self.rests(event.seconds)
            subprocess.run([*port, "master", harness.NODES[host].cloud], check=True)
            fault.down.append((host, began, time.time()))
        return True

    def _part(self, fault: Fault, event: plan.Event, rng: random.Random) -> bool:
        """Two hosts, or one does not hear the other; the clients and the third node hear both."""
        one, other = rng.sample(HOSTS, 2)
        with self.taken_all(" ".join(sorted((one, other)))) as has:
            if not has:
                return False
            ways = [(one, other)] if event.kind == "partial one-way cut" else [(one, other), (other, one)]
            fault.what = f"{one} {'<' if len(ways) == 1 else '<>'} {other}"
            began = time.time()
            for host, source in ways:
                filter_packets("-A", host, source)
            self.rests(event.seconds)
            for host, source in ways:
                filter_packets("-D", host, source)
            fault.apart.append((one, other, began, time.time()))
        return True

    def _part_leader(self, fault: Fault, event: plan.Event, rng: random.Random) -> bool:
        """The leader from both others; the clients hear it as long as it believes to lead, and the next one, too."""
        leader = self.world.leader()
        if leader is None:
            return False
        pairs = [(leader.host_name, host) for host in HOSTS if host != leader.host_name]
        with self.taken_all(*(" ".join(sorted(pair)) for pair in pairs)) as has:
            if not has:
                return False
            fault.what = leader.name
            began = time.time()
            for one, other in pairs:
                filter_packets("-A", one, other)
                filter_packets("-A", other, one)
            self.rests(event.seconds)
            for one, other in pairs:
                filter_packets("-D", one, other)
                filter_packets("-D", other, one)
            fault.apart += [(one, other, began, time.time()) for one, other in pairs]
        return True

    def _quality(self, fault: Fault, event: plan.Event, rng: random.Random) -> bool:
        with self.taken_all(event.kind) as has:
            if not has:
                return False
            if event.kind == "loss":
                value = f"{rng.choice((1, 3, 10, 20))}%"
                change, back = ["--loss", value], ["--loss", "0%"]
            else:
                value = f"{rng.choice((5, 15, 25))}ms"
                change, back = ["--jitter", value], ["--jitter", "0ms"]
            fault.what = value
            harness.net("wan", "set", *change)
            self.rests(event.seconds)
            harness.net("wan", "set", *back)
            fault.slow.append((fault.began, time.time()))
        return True

    # Disks and clocks.

    def _slow_disk(self, fault: Fault, event: plan.Event, rng: random.Random) -> bool:
        with self.taken(rng, "speed") as host:
            if host is None:
                return False
            node = self.world.on(host)
            fault.what = node.name
            node.slow.touch()
            self.rests(event.seconds)
            node.slow.unlink()
            fault.slow.append((fault.began, time.time()))
        return True

    def _full_disk(self, fault: Fault, event: plan.Event, rng: random.Random) -> bool:
        with self.taken(rng, "space") as host:
            if host is None:
                return False
            node = self.world.on(host)
            fault.what = node.name
            began = time.time()
            with node.disk.full():
                self.rests(event.seconds)
            fault.down.append((host, began, time.time()))
        return True

    def _step_clock(self, fault: Fault, event: plan.Event, rng: random.Random) -> bool:
        with self.taken(rng, "clock") as host:
            if host is None:
                return False
            node = self.world.on(host)
            seconds = rng.choice((-1, 1)) * rng.choice((0.5, 5.0, 60.0, 3600.0))
            fault.what = f"{node.name} {seconds:+g} s"
            node.step_clock(seconds)
            self.rests(event.seconds)
            node.step_clock(0.0)
        return True


def say(text: str) -> None:
    print(text, flush=True)
