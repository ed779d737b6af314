"""The options are read once, and again when the host's settings are replaced."""

from __future__ import annotations

from django.conf import settings

from xqueue_bridge.conf import options


def test_options_are_read_once(settings):
    settings.XQUEUE_BRIDGE = {"LEASE_SECONDS": 5}
    assert options() is options()
    del settings.XQUEUE_BRIDGE
    assert options() is options()


def test_replaced_settings_are_read(settings):
    for seconds in (5, 6):
        settings.XQUEUE_BRIDGE = {"LEASE_SECONDS": seconds}
        assert seconds == options().LEASE_SECONDS
    settings.XQUEUE_BRIDGE = "no mapping"
    assert options().LEASE_SECONDS == 300
    del settings.XQUEUE_BRIDGE
    assert options().LEASE_SECONDS == 300


def test_other_defaults_in_an_lms(monkeypatch):
    """Django's own signal would import the apps and URLs that do not exist here."""
    assert options().REPLY_BACKEND == "state"
    monkeypatch.setattr(settings, "INSTALLED_APPS", ["lms.djangoapps.courseware"])
    monkeypatch.setattr(settings, "ROOT_URLCONF", "lms.urls")
    assert options().REPLY_BACKEND == "block"
    monkeypatch.setattr(settings, "ROOT_URLCONF", "cms.urls")
    assert options().REPLY_BACKEND == "state"
