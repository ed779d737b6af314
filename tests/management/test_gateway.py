"""xqueue_bridge_gateway without what it needs. tests/gateway/test_process.py runs it."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command


def test_command_names_the_setting_that_is_missing(settings) -> None:
    settings.XQUEUE_BRIDGE = {}
    with pytest.raises(CommandError, match=r"XQUEUE_BRIDGE\['GATEWAY'\] is None"):
        call_command("xqueue_bridge_gateway")


def test_command_names_the_extra_that_is_missing(settings, monkeypatch) -> None:
    settings.XQUEUE_BRIDGE = {"GATEWAY": {}}
    name = "xqueue_bridge.management.commands.xqueue_bridge_gateway.find_spec"
    monkeypatch.setattr(name, lambda package: None)
    with pytest.raises(CommandError, match=r"pip install 'xqueue-bridge\[gateway\]'"):
        call_command("xqueue_bridge_gateway")
