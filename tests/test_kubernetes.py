"""The manifests in contrib/kubernetes: their commands, probes, names and metrics exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.test import Client

from tests.test_docs_commands import error_of
from xqueue_bridge.gateway.application import _SERVED
from xqueue_bridge.grader import cli
from xqueue_bridge.metrics.exposition import GAUGES, PREFIX
from xqueue_bridge.worker.stop_signals import LIMIT_SECONDS

FOLDER = Path(__file__).resolve().parent.parent / "contrib" / "kubernetes"


def read(*names: str) -> list[dict[str, Any]]:
    return [
        each for name in names for each in yaml.safe_load_all((FOLDER / name).read_text("utf-8"))
    ]


SITE, GRADERS = read("site.yaml"), read("graders.yaml")


def named(kind: str, name: str) -> dict[str, Any]:
    [found] = (
        each
        for each in [*SITE, *GRADERS]
        if each["kind"] == kind and each["metadata"]["name"] == name
    )
    return found


def deployments() -> list[dict[str, Any]]:
    return [each for each in [*SITE, *GRADERS] if each["kind"] == "Deployment"]


def container(name: str) -> dict[str, Any]:
    [found] = named("Deployment", name)["spec"]["template"]["spec"]["containers"]
    return dict(found)


def test_commands_are_accepted() -> None:
    calls = [container(name)["args"] for name in ("xqueue-gateway", "xqueue-sweeper")]
    for python, manage, *call in calls:
        assert (python, manage) == ("python", "manage.py")
        assert error_of(shlex.join(call)) is None
    command, *arguments = container("python-graders")["args"]
    assert command == "xqueue-grader"
    cli._parser().parse_args(arguments)


def test_environment_of_graders_is_read(monkeypatch, tmp_path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("text\n")
    given = {each["name"]: each["value"] for each in container("python-graders")["env"]}
    assert Path(given["XQUEUE_GRADER_SECRET_FILE"]).name == secret.name
    given["XQUEUE_GRADER_SECRET_FILE"] = str(secret)
    config = cli.Config.from_environment(given, url="https://x", queues=["python"])
    assert (config.name, config.secret) == ("python-graders", "text")


def test_selectors_select_the_pods_and_references_exist() -> None:
    labels = {}
    for each in deployments():
        template = each["spec"]["template"]
        labels[each["metadata"]["name"]] = template["metadata"]["labels"]
        assert each["spec"]["selector"]["matchLabels"] == template["metadata"]["labels"]
    for each in SITE:
        if each["kind"] == "Service":
            assert each["spec"]["selector"] == labels[each["metadata"]["name"]]
        if each["kind"] == "HorizontalPodAutoscaler":
            assert each["spec"]["scaleTargetRef"]["name"] in labels
    assert named("ScaledObject", "python-graders")["spec"]["scaleTargetRef"]["name"] in labels


def paths() -> Iterator[tuple[str, dict[str, Any]]]:
    [rule] = named("Ingress", "xqueue")["spec"]["rules"]
    for each in rule["http"]["paths"]:
        yield each["path"], each["backend"]["service"]


def test_requests_reach_the_port_on_which_the_process_listens() -> None:
    assert dict(paths())["/xqueue/get_submission"]["name"] == "xqueue-gateway"
    for _, service in paths():
        [port] = named("Service", service["name"])["spec"]["ports"]
        assert port["name"] == service["port"]["name"]
        [opened] = container(service["name"])["ports"]
        assert port["targetPort"] == opened["name"]
        assert port["port"] == opened["containerPort"]
        text = shlex.join(container(service["name"])["args"])
        assert re.search(r"[ :]0\.0\.0\.0[: ]", text)
        assert str(opened["containerPort"]) in text


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["xqueue-web", "xqueue-gateway"])
def test_probe_is_answered_by_a_site_that_checks_the_host_and_the_scheme(name, settings) -> None:
    """Without its headers kubelet sends the pod's address, which is none of ALLOWED_HOSTS."""
    settings.ALLOWED_HOSTS = ["learn.example.com"]
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.MIDDLEWARE = ["django.middleware.security.SecurityMiddleware", *settings.MIDDLEWARE]
    probe = container(name)["readinessProbe"]["httpGet"]
    assert probe["path"].split("/")[2] in _SERVED
    headers = {each["name"]: each["value"] for each in probe["httpHeaders"]}
    assert Client().get(probe["path"], headers=headers).status_code == 200
    assert Client().get(probe["path"], headers={"Host": "10.0.0.1:8030"}).status_code != 200


def test_grace_is_longer_than_the_end_of_the_process() -> None:
    for each in deployments():
        spec = each["spec"]["template"]["spec"]
        [process] = spec["containers"]
        hook = process.get("lifecycle", {}).get("preStop", {"exec": {"command": ["sleep", "0"]}})
        seconds = int(hook["exec"]["command"][1])
        ends = {"grader": cli.Config.stop_seconds, "web": 30}.get(process["name"], LIMIT_SECONDS)
        assert spec["terminationGracePeriodSeconds"] > seconds + ends


def test_metrics_of_the_query_exist() -> None:
    [trigger] = named("ScaledObject", "python-graders")["spec"]["triggers"]
    names = set(re.findall(rf"{PREFIX}\w+", trigger["metadata"]["query"]))
    assert len(names) == 2
    assert names <= {PREFIX + name for name, _text, _figure in GAUGES}
