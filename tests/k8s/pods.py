"""Pods without Kubernetes: batond with the options of deploy/k8s, in a network namespace of each life, found by its name.

What a StatefulSet promises is played: a pod that ends comes back with another address, on another host, with its name and its disk.
Encryption is left out; who is believed by which certificate, and after which rotation, is tested in tests/interop.
"""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Dict, List

import yaml
from harness import BUILD, DEADLINE, GRPC_PORT, HTTP_PORT, NET, ROOT, SANITIZERS, Cluster, Node, Process, wait_for
from test_names import SERVER, NameService

MANIFESTS = ROOT / "deploy/k8s"
NAMESPACE = "baton"
POD_ADDRESSES = "198.18.1"  # of the cloud gcp, from .31 on: nothing between pods but a bridge
HOSTS = itertools.count(31)  # none twice in a world: neighbours remember for a while whose an address was


def container() -> Any:
    return yaml.safe_load((MANIFESTS / "base/statefulset.yaml").read_text())["spec"]["template"]["spec"]["containers"][0]


def founding() -> List[Any]:
    """What the first apply adds to the environment."""
    (patch,) = yaml.safe_load((MANIFESTS / "founding/kustomization.yaml").read_text())["patches"]
    return [each["value"] for each in yaml.safe_load(patch["patch"]) if each["path"].endswith("/env/-")]


def environment(pod: str, variables: List[Any]) -> Dict[str, str]:
    """As the kubelet makes it: a $(NAME) stands for a variable that was defined before."""
    fields = {"metadata.name": pod, "metadata.namespace": NAMESPACE}
    known: Dict[str, str] = {}
    for variable in variables:
        if "valueFrom" in variable:
            known[variable["name"]] = fields[variable["valueFrom"]["fieldRef"]["fieldPath"]]
        else:
            known[variable["name"]] = re.sub(r"\$\((\w+)\)", lambda name: known.get(name[1], name[0]), variable["value"])
    return known


class Pod(Node):
    """One ordinal through its lives."""

    def __init__(self, ordinal: int, cluster: Pods) -> None:
        self.ordinal = ordinal
        self.cluster = cluster
        name = f"baton-{ordinal}"
        self.data = cluster.directory / name / "data"
        self.data.parent.mkdir()
        config = cluster.directory / name / "baton.conf"
        lines = (MANIFESTS / "base/baton.conf").read_text().splitlines(keepends=True)
        kept = [line for line in lines if not line.startswith(("BATON_TLS_", "BATON_DATA_DIR="))]
        config.write_text("".join(kept) + f"BATON_DATA_DIR={self.data}\nBATON_INSECURE=true\n")
        command = [str(BUILD / "batond"), "--config", str(config), "--placement", "off", "--log-level", "debug", "--log-format", "logfmt"]
        Process.__init__(self, name, cluster.directory / f"{name}.log", command, {})
        self._channel = None
        self.known_as = f"{name}.baton.{NAMESPACE}.svc.cluster.local:{GRPC_PORT}"

    def schedule(self, founder: bool = False) -> None:
        """On a new host with a new address, of which the name service tells once the pod has it."""
        self.close()
        host = self.cluster.new_host()
        self.run_on(host)
        self.place = None  # type: ignore[assignment]
        self.ip = f"{POD_ADDRESSES}.{host[1:]}"
        self.address, self.http = f"{self.ip}:{GRPC_PORT}", f"http://{self.ip}:{HTTP_PORT}"
        variables = container()["env"] + (founding() if founder else [])
        self.environment = {**SANITIZERS, **environment(self.name, variables)}
        self.start()
        self.cluster.publish(self)

    def vanish(self) -> None:
        """The machine is gone: nothing says goodbye, and nobody answers at the address any more."""
        subprocess.run(["ip", "-n", "baton-wan", "link", "del", self.host], check=True)
        self.kill()

    def lose_disk(self) -> None:
        shutil.rmtree(self.data)

    def is_ready(self) -> bool:
        return self.get("/readyz")[0] == 200


class Pods(Cluster):
    """The StatefulSet, its headless service, and what an operator does with batonctl."""

    def __init__(self, directory: Path, names: NameService, name_servers: Any) -> None:
        self.directory = directory
        self.nodes: Dict[str, Node] = {}
        self._workers = {}
        self._names = names
        self._name_servers = name_servers  # a context that lasts as long as the pods

    def new_host(self) -> str:
        """Names of hosts are short, as interfaces' are; the number is the address's end."""
        number = next(HOSTS)
        host = f"p{number}"
        subprocess.run([NET, "up", f"{host}=gcp/{POD_ADDRESSES}.{number}"], check=True, stdin=subprocess.DEVNULL)
        script = ROOT / "tests/cluster/name_server.py"
        command = [NET, "run", host, "/usr/bin/python3", str(script), str(self.directory / "names"), SERVER]
        server = self._name_servers.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
        self._name_servers.callback(server.kill)
        assert server.stdout is not None and server.stdout.readline() == b"listening\n"
        return host

    def publish(self, pod: Pod) -> None:
        """Ready or not: publishNotReadyAddresses."""
        self._names.become({**self._names.names, pod.known_as.partition(":")[0]: pod.ip})

    def pod(self, ordinal: int) -> Pod:
        pod = self.nodes[f"baton-{ordinal}"]
        assert isinstance(pod, Pod)
        return pod

    def add_pod(self, ordinal: int, founder: bool = False) -> Pod:
        pod = Pod(ordinal, self)
        pod.schedule(founder)
        self.nodes[pod.name] = pod  # now that it has an address, since writers may ask for it at once
        return pod

    def wait_ready(self, *ordinals: int) -> None:
        for ordinal in ordinals:
            wait_for(self.pod(ordinal).is_ready, f"baton-{ordinal} is ready")

    def batonctl(self, *words: str) -> str:
        """From a pod's host, by the names that a client would use."""
        running = [node for node in self.nodes.values() if node.running]
        command = [NET, "run", running[0].host, str(BUILD / "batonctl"), *words]
        done = subprocess.run([*command, "--endpoints", ",".join(node.known_as for node in running)], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=2 * DEADLINE)  # fmt: skip
        assert done.returncode == 0, f"batonctl {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout

    def forget(self, ordinal: int) -> None:
        """The pod is scaled away: its member was removed, of which it heard."""
        pod = self.pod(ordinal)
        pod.close()
        del self.nodes[pod.name]
