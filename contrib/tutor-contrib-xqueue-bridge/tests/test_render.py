"""The real Tutor renders its environment with the plugin; run by tox -e tutor21,tutor22."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

SWEEP = "xqueue_bridge_sweep --forever --interval 2"
GATEWAY = "xqueue_bridge_gateway --host 0.0.0.0 --port 8030"


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The environment that ``tutor config save`` writes."""
    return rendered(tmp_path_factory.mktemp("tutor"))


def rendered(root: Path, *values: str) -> Path:
    """Render an environment with these values of the configuration."""
    variables = {
        **os.environ,
        "TUTOR_ROOT": str(root),
        "TUTOR_PLUGINS_ROOT": str(root / "plugins"),
    }
    chosen = [
        each
        for value in ("XQUEUE_BRIDGE_SETTINGS={LEASE_SECONDS: 600}", *values)
        for each in ("--set", value)
    ]
    for arguments in (["plugins", "enable", "xqueue-bridge"], ["config", "save", *chosen]):
        done = subprocess.run(
            ["tutor", *arguments], env=variables, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return root / "env"


def assigned(path: Path, name: str) -> Any:
    """Return the last value that a settings file assigns to a name."""
    found = None
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            found = eval(ast.unparse(node.value), {})
    return found


@pytest.mark.parametrize("kind", ["production", "development"])
def test_settings(env: Path, kind: str) -> None:
    """The LMS's settings are Python, with the configured keys."""
    path = env / "apps" / "openedx" / "settings" / "lms" / f"{kind}.py"
    bridge = assigned(path, "XQUEUE_BRIDGE")
    assert bridge["LEASE_SECONDS"] == 600
    assert bridge["PUBLIC_URL"].startswith("http")
    storage = assigned(path, "STORAGES['xqueue_bridge']")
    assert storage["OPTIONS"]["location"] == "/openedx/media-private/xqueue_bridge"


def test_release_of_the_platform(env: Path) -> None:
    """Each supported Tutor builds the image of its release."""
    release = {"21": "ulmo", "22": "verawood"}[version("tutor").partition(".")[0]]
    assert f"release/{release}" in (env / "build" / "openedx" / "Dockerfile").read_text()


def test_init_task(env: Path) -> None:
    """``tutor local launch`` migrates, and stops at errors of the checks."""
    variables = {**os.environ, "TUTOR_ROOT": str(env.parent)}
    variables["TUTOR_PLUGINS_ROOT"] = str(env.parent / "plugins")
    code = (
        "from tutor import hooks; from tutor.plugins.v1 import *; import tutorxqueuebridge.plugin;"
        "print([task for service, task in hooks.Filters.CLI_DO_INIT_TASKS.iterate()"
        " if service == 'lms'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "./manage.py lms migrate xqueue_bridge" in done.stdout
    assert "./manage.py lms check --tag xqueue_bridge" in done.stdout


def test_image_is_built_without_upgrades(env: Path) -> None:
    text = (env / "build" / "openedx" / "Dockerfile").read_text()
    assert 'pip install --constraint /tmp/installed.txt "xqueue-bridge"' in text


def test_sweeper_of_docker_compose(env: Path) -> None:
    """It has the volumes and settings of the LMS's worker."""
    services = yaml.safe_load((env / "local" / "docker-compose.prod.yml").read_text())["services"]
    sweeper, worker = services["xqueue-bridge-sweeper"], services["lms-worker"]
    assert sweeper["command"] == f"./manage.py lms {SWEEP}"
    assert sweeper["image"] == worker["image"]
    assert sweeper["volumes"] == worker["volumes"]
    assert sweeper["environment"] == worker["environment"]


def test_sweeper_of_kubernetes(env: Path) -> None:
    """It is the LMS's worker with another command."""
    documents = list(yaml.safe_load_all((env / "k8s" / "deployments.yml").read_text()))
    by_name = {each["metadata"]["name"]: each for each in documents if each}
    spec = by_name["xqueue-bridge-sweeper"]["spec"]["template"]["spec"]
    worker = by_name["lms-worker"]["spec"]["template"]["spec"]
    assert " ".join(spec["containers"][0].pop("args")) == f"./manage.py lms {SWEEP}"
    worker["containers"][0].pop("args")
    worker["containers"][0]["name"] = "xqueue-bridge-sweeper"
    assert spec == worker


@pytest.fixture(scope="module")
def with_gateway(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The environment with the gateway switched on."""
    return rendered(
        tmp_path_factory.mktemp("gateway"), "XQUEUE_BRIDGE_RUN_GATEWAY=true", "ENABLE_HTTPS=true"
    )


def test_learners_events_pass_caddy(tmp_path: Path) -> None:
    events = "XQUEUE_BRIDGE_SETTINGS={GATEWAY: {LEARNER_EVENTS: true}}"
    env = rendered(tmp_path, "XQUEUE_BRIDGE_RUN_GATEWAY=true", events)
    caddy = (env / "apps" / "caddy" / "Caddyfile").read_text()
    assert caddy.count("reverse_proxy xqueue-bridge-gateway:8030") == 2
    assert "header Accept text/event-stream" in caddy


def test_gateway_is_off_by_default(env: Path) -> None:
    path = env / "apps" / "openedx" / "settings" / "lms" / "production.py"
    assert "GATEWAY" not in assigned(path, "XQUEUE_BRIDGE")
    for name in ("local/docker-compose.prod.yml", "k8s/deployments.yml", "apps/caddy/Caddyfile"):
        assert "xqueue-bridge-gateway" not in (env / name).read_text()
    assert "uvicorn httptools" not in (env / "build" / "openedx" / "Dockerfile").read_text()


def test_gateway(with_gateway: Path) -> None:
    """It runs beside the sweeper with the same settings, and Caddy sends pulls to it."""
    path = with_gateway / "apps" / "openedx" / "settings" / "lms" / "production.py"
    assert assigned(path, "XQUEUE_BRIDGE")["GATEWAY"] == {}
    text = (with_gateway / "local" / "docker-compose.prod.yml").read_text()
    services = yaml.safe_load(text)["services"]
    gateway, sweeper = services["xqueue-bridge-gateway"], services["xqueue-bridge-sweeper"]
    assert gateway.pop("command") == f"./manage.py lms {GATEWAY}"
    sweeper.pop("command")
    assert gateway == sweeper
    documents = list(yaml.safe_load_all((with_gateway / "k8s" / "deployments.yml").read_text()))
    by_name = {each["metadata"]["name"]: each for each in documents if each}
    spec = by_name["xqueue-bridge-gateway"]["spec"]["template"]["spec"]
    assert " ".join(spec["containers"][0]["args"]) == f"./manage.py lms {GATEWAY}"
    services_text = (with_gateway / "k8s" / "services.yml").read_text()
    names = {each["metadata"]["name"] for each in yaml.safe_load_all(services_text) if each}
    assert "xqueue-bridge-gateway" in names
    caddy = (with_gateway / "apps" / "caddy" / "Caddyfile").read_text()
    assert "reverse_proxy xqueue-bridge-gateway:8030" in caddy
    # With it, Caddy keeps the request when a grader is gone, which then gets a lease.
    assert "flush_interval" not in caddy
    assert "text/event-stream" not in caddy
    assert "uvicorn httptools" in (with_gateway / "build" / "openedx" / "Dockerfile").read_text()
