"""deploy/k8s: what `kubectl apply -k` would send is what the API server takes, and batond takes what the pods are given.

build/tools/manifests (deploy/tools, from tests/k8s/manifests) renders it and checks each document by Kubernetes' own code.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import textwrap
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import pytest
from harness import BUILD, GRPC_PORT, HTTP_PORT, ROOT
from pods import MANIFESTS, environment

TOOL = ROOT / "build/tools/manifests"
CSI = "csi.cert-manager.io/"
# What cert-manager's csi-driver 0.10 understands of what we may want; it ignores what it does not know.
CSI_ATTRIBUTES = {
    *("issuer-name", "issuer-kind", "issuer-group", "common-name", "dns-names", "uri-sans", "duration", "renew-before"),
    *("key-usages", "key-algorithm", "key-size", "key-encoding", "certificate-file", "privatekey-file", "ca-file", "fs-group"),
}

pytestmark = pytest.mark.skipif(not TOOL.exists(), reason=f"{TOOL.relative_to(ROOT)} is missing: deploy/tools manifests says why")


def render(folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([TOOL, folder], capture_output=True, text=True)


@pytest.fixture(scope="module")
def later() -> List[Any]:
    done = render(MANIFESTS)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def first() -> List[Any]:
    done = render(MANIFESTS / "bootstrap")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def one(documents: List[Any], kind: str, name: str = "baton") -> Any:
    (found,) = [each for each in documents if each["kind"] == kind and each["metadata"]["name"] == name]
    return found


def pod(documents: List[Any]) -> Tuple[Any, Any]:
    """Its labels' template, and its container."""
    template = one(documents, "StatefulSet")["spec"]["template"]
    (container,) = template["spec"]["containers"]
    return template, container


def options_file(documents: List[Any]) -> str:
    (found,) = [each for each in documents if each["kind"] == "ConfigMap"]
    return found["data"]["baton.conf"]  # type: ignore[no-any-return]


def options(documents: List[Any], name: str = "baton-0") -> Dict[str, str]:
    lines = [line for line in options_file(documents).splitlines() if line and not line.startswith("#")]
    given = dict(line.split("=", 1) for line in lines)
    variables = environment(name, pod(documents)[1]["env"])
    return {**given, **{name: value for name, value in variables.items() if name.startswith("BATON_")}}


@pytest.mark.parametrize(
    "change",
    [
        ("base/statefulset.yaml", "terminationGracePeriodSeconds", "terminationGraceSeconds", 'unknown field "spec.template.spec.'),
        ("base/poddisruptionbudget.yaml", "maxUnavailable", "maxUnavailible", 'unknown field "spec.maxUnavailible"'),
        ("base/certificates.yaml", "secretName: baton-operator", "secret: baton-operator", 'unknown field "spec.secret"'),
        ("base/statefulset.yaml", "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "not restricted: allowPrivilege"),
        ("base/services.yaml", "port: 7400", "port: 74000", "spec.ports[0].port"),
        ("base/networkpolicy.yaml", "port: 7400", "port: 74000", "spec.ingress[0].ports[0].port"),
        ("base/statefulset.yaml", "type: RuntimeDefault", "type: Default", "seccompProfile.type"),
        ("base/statefulset.yaml", "name: data\n      spec", "name: disk\n      spec", 'Not found: "data"'),
        ("base/certificates.yaml", "    - client auth", "    - client", "unknown key usages: [client]"),
    ],
    ids=lambda change: re.sub(r"\W+", "-", change[2]).strip("-"),
)
def TestManifestsAreCheckedAsTheServerWould(tmp_path: Path, change: Tuple[str, str, str, str]) -> None:
    """A mistake of each kind is noticed: the check is worth something."""
    name, old, new, why = change
    folder = tmp_path / "k8s"
    shutil.copytree(MANIFESTS, folder)
    assert old in (folder / name).read_text()
    (folder / name).write_text((folder / name).read_text().replace(old, new, 1))
    done = render(folder)
    assert done.returncode == 1 and why in done.stderr, done


def TestManifestsNamesAndPortsAgree(later: List[Any]) -> None:
    """Whoever selects pods selects these; whoever names a port names one of theirs, which batond listens on."""
    template, container = pod(later)
    labels = template["metadata"]["labels"].items()
    given = options(later)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"grpc": GRPC_PORT, "https": HTTP_PORT}
    assert given["BATON_LISTEN"] == f"0.0.0.0:{ports['grpc']}" and given["BATON_HTTP"] == f"0.0.0.0:{ports['https']}"
    selectors = [one(later, "Service")["spec"]["selector"], one(later, "Service", "baton-client")["spec"]["selector"]]
    selectors.append(one(later, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"])
    policy = one(later, "NetworkPolicy")["spec"]
    selectors.append(policy["podSelector"]["matchLabels"])
    selectors.append(policy["egress"][0]["to"][0]["podSelector"]["matchLabels"])
    for selector in selectors:
        assert selector and selector.items() <= labels
    for service in ("baton", "baton-client"):
        for port in one(later, "Service", service)["spec"]["ports"]:
            assert ports[port["targetPort"]] == port["port"]
    for rule in [*policy["ingress"], policy["egress"][0]]:
        assert {port["port"] for port in rule["ports"]} <= set(ports.values())
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] == "https" and container[probe]["httpGet"]["scheme"] == "HTTPS"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == container["startupProbe"]["httpGet"]["path"] == "/livez"


def TestManifestsPodsFindEachOtherBeforeTheyAreReady(later: List[Any]) -> None:
    """None is ready without a leader, so names, and the start of the second pod, must not wait for that."""
    service, pods = one(later, "Service"), one(later, "StatefulSet")["spec"]
    assert pods["serviceName"] == service["metadata"]["name"]
    assert service["spec"]["clusterIP"] == "None" and service["spec"]["publishNotReadyAddresses"] is True
    assert pods["podManagementPolicy"] == "Parallel"
    assert "publishNotReadyAddresses" not in one(later, "Service", "baton-client")["spec"]
    address = options(later, "baton-2")["BATON_ADVERTISE"]
    namespace = service["metadata"]["namespace"]
    assert address == f"baton-2.{service['metadata']['name']}.{namespace}.svc.cluster.local:{GRPC_PORT}"


def TestManifestsOnlyTheFirstApplyFounds(first: List[Any], later: List[Any]) -> None:
    """A pod that has lost its disk must not found a cluster."""
    assert not {"BATON_BOOTSTRAP", "BATON_PEERS"} & set(options(later))
    founding = one(first, "StatefulSet")["spec"]
    given = [options(first, f"baton-{ordinal}") for ordinal in range(founding["replicas"])]
    members = [f"{each['BATON_NODE_ID']}={each['BATON_ADVERTISE']}/{each['BATON_CLOUD']}" for each in given]
    assert all(each["BATON_PEERS"] == ",".join(members) for each in given)
    for documents in (first, later):  # but for that they are the same
        container = pod(documents)[1]
        container["env"] = [each for each in container["env"] if each["name"] not in ("BATON_BOOTSTRAP", "BATON_PEERS")]
    assert first == later


def TestManifestsAreABaseForOthers(tmp_path: Path) -> None:
    """An operator's own image, namespace and disks, as docs/operations.md has it: for the first apply, and for the later ones."""
    shutil.copytree(MANIFESTS, tmp_path / "deploy/k8s")
    document = (ROOT / "docs/operations.md").read_text()
    written = re.findall(r"^    # (mine[a-z-]*)/kustomization.yaml.*\n((?:    .+\n)+)", document, re.MULTILINE)
    assert [name for name, _ in written] == ["mine", "mine-first"]
    for name, text in written:
        (tmp_path / name).mkdir()
        (tmp_path / name / "kustomization.yaml").write_text(textwrap.dedent(text))
        done = render(tmp_path / name)
        assert done.returncode == 0, done.stderr
        documents = json.loads(done.stdout)
        assert {each["metadata"].get("namespace", each["metadata"]["name"]) for each in documents} == {"mine"}
        container = pod(documents)[1]
        assert container["image"] == "registry.mine/baton-node:1"
        assert [each["name"] for each in container["env"] if each["name"] == "BATON_PEERS"] == ["BATON_PEERS"] * (name == "mine-first")
        (claim,) = one(documents, "StatefulSet")["spec"]["volumeClaimTemplates"]
        assert claim["spec"]["storageClassName"] == "fast"


def TestManifestsPodsHaveNoPrivilege(later: List[Any]) -> None:
    """What the restricted standard of the namespace asks for, and a root file system that nobody writes."""
    template, container = pod(later)
    assert one(later, "Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    whole, own = template["spec"]["securityContext"], container["securityContext"]
    assert whole["runAsNonRoot"] and whole["runAsUser"] == whole["fsGroup"] == 7400 and whole["seccompProfile"]["type"] == "RuntimeDefault"
    assert "--uid 7400 " in (ROOT / "deploy/docker/Dockerfile").read_text()
    assert own == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    assert template["spec"]["automountServiceAccountToken"] is False


def TestManifestsFilesAreWhereTheyAreMounted(later: List[Any]) -> None:
    template, container = pod(later)
    given, spec = options(later), one(later, "StatefulSet")["spec"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
    assert set(mounts) == set(volumes) | {claim["metadata"]["name"] for claim in spec["volumeClaimTemplates"]}
    assert given["BATON_DATA_DIR"].startswith(mounts["data"] + "/")
    (config,) = [each["metadata"]["name"] for each in later if each["kind"] == "ConfigMap"]
    assert volumes["config"]["configMap"]["name"] == config
    assert container["args"] == ["--config", f"{mounts['config']}/baton.conf"]
    attributes = volumes["certs"]["csi"]["volumeAttributes"]
    assert {name[len(CSI):] for name in attributes} <= CSI_ATTRIBUTES and all(name.startswith(CSI) for name in attributes)
    for option, attribute in (("CERT", "certificate-file"), ("KEY", "privatekey-file"), ("CA", "ca-file")):
        assert given[f"BATON_TLS_{option}"] == f"{mounts['certs']}/{attributes[CSI + attribute]}"
    assert attributes[CSI + "fs-group"] == str(template["spec"]["securityContext"]["fsGroup"])
    issuer = one(later, attributes[CSI + "issuer-kind"], attributes[CSI + "issuer-name"])
    assert one(later, "Certificate", "baton-ca")["spec"]["secretName"] == issuer["spec"]["ca"]["secretName"]


def certificate_for(name: str, later: List[Any], folder: Path) -> None:
    """What the csi-driver would put there: the identity and the names that the volume asks for, in files of these names."""
    attributes = {volume["name"]: volume for volume in pod(later)[0]["spec"]["volumes"]}["certs"]["csi"]["volumeAttributes"]
    expand: Callable[[str], str] = lambda text: text.replace("${POD_NAME}", name).replace("${POD_NAMESPACE}", "baton")
    (uri,) = expand(attributes[CSI + "uri-sans"]).split(",")
    names = [each.strip() for each in expand(attributes[CSI + "dns-names"]).split(",")]
    assert not [each for each in names if not re.fullmatch(r"[a-z0-9.-]+", each)]
    identity = uri[len("baton://"):]
    made = folder / identity.partition("/")[2]
    subprocess.run([ROOT / "deploy/tls/make-certs", folder, f"{identity}={','.join(names)}"], check=True, capture_output=True)
    for source, attribute in ((f"{made}.pem", "certificate-file"), (f"{made}-key.pem", "privatekey-file"), (folder / "ca.pem", "ca-file")):
        shutil.copy(source, folder / attributes[CSI + attribute])


@pytest.mark.parametrize("which", ["first", "later"])
def TestManifestsBatondTakesTheOptions(which: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Each by its name, and all together, certificates included: as pod baton-1 starts, but for where the files are."""
    documents = request.getfixturevalue(which)
    certificate_for("baton-1", documents, tmp_path)
    text = options_file(documents).replace("/certs/", f"{tmp_path}/").replace("/var/lib/baton", str(tmp_path))
    (tmp_path / "baton.conf").write_text(text)
    help_text = subprocess.run([BUILD / "batond", "--help"], check=True, capture_output=True, text=True).stdout
    for name in options(documents):
        assert f"--{name[len('BATON_'):].lower().replace('_', '-')}" in help_text, name
    command = [BUILD / "batond", "--config", tmp_path / "baton.conf", "--check-config"]
    done = subprocess.run(command, env=environment("baton-1", pod(documents)[1]["env"]), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
