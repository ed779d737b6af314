"""The address of a request's client, with and without trusted proxies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xqueue_bridge.grader_api.source_address import network_of, source_address

PROXIES = ("10.0.0.0/8", "2001:db8:1::/48")


def meta(remote: str, forwarded: str | None = None) -> dict[str, str]:
    headers = {} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded}
    return {"REMOTE_ADDR": remote, **headers}


@pytest.mark.parametrize(
    ("remote", "forwarded", "expected"),
    [
        ("192.0.2.7", None, "192.0.2.7"),
        ("192.0.2.7", "203.0.113.9", "192.0.2.7"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9:4711", "203.0.113.9"),
        ("10.0.0.1", "[2001:db8:2::9]:4711", "2001:db8:2::9"),
        ("2001:db8:1::1", "2001:db8:2::9", "2001:db8:2::9"),
        ("::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "unknown, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("", "203.0.113.9", "203.0.113.9"),
        ("", None, "unknown"),
        ("nonsense", "203.0.113.9", "unknown"),
    ],
)
def test_address_behind_trusted_proxies_is_the_last_untrusted_one(
    settings, remote, forwarded, expected
):
    """C61: addresses before the last one that is not a trusted proxy's are ignored."""
    settings.XQUEUE_BRIDGE = {"TRUSTED_PROXIES": PROXIES}
    assert source_address(meta(remote, forwarded)) == expected


@pytest.mark.parametrize("remote", ["10.0.0.1", "192.0.2.7"])
def test_header_without_trusted_proxies_is_ignored(remote):
    """C61: any client can send the header."""
    assert source_address(meta(remote, "203.0.113.9")) == remote


def test_missing_address_without_trusted_proxies_is_unknown():
    assert source_address(meta("", "203.0.113.9")) == "unknown"


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:2:3:4::9", "2001:db8:2:3::/64"),
        ("unknown", "unknown"),
    ],
)
def test_network_is_the_ipv4_address_or_the_ipv6_prefix(address, network):
    """C61: a client may have many IPv6 addresses in one network."""
    assert network_of(address) == network


@given(remote=st.text(), forwarded=st.text())
def test_any_text_is_an_address_or_unknown(remote, forwarded):
    assert source_address(meta(remote, forwarded))
