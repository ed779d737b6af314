"""The network address of the client that sent a request, behind any number of trusted proxies."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from xqueue_bridge.conf import options

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: One customer of a provider has at least so many bits of IPv6 addresses.
_IPV6_PREFIX = 64


def source_address(meta: dict[str, object]) -> str:
    """Return the client's address, from the ``META`` of a request; "unknown" if there is none.

    X-Forwarded-For is read from its end, and only as far as the addresses before are those of
    TRUSTED_PROXIES. A connection over a UNIX socket has no address, and is trusted if there are
    trusted proxies.
    """
    remote = str(meta.get("REMOTE_ADDR") or "")
    address = _parse(remote)
    trusted = _networks()
    is_socket = not remote and bool(trusted)
    if not is_socket and not _is_trusted(address, trusted):
        return str(address) if address else "unknown"
    for hop in reversed(str(meta.get("HTTP_X_FORWARDED_FOR") or "").split(",")):
        forwarded = _parse(hop)
        if forwarded is None:
            break
        address = forwarded
        if not _is_trusted(address, trusted):
            break
    return str(address) if address else "unknown"


def network_of(address: str) -> str:
    """Return the network by which requests are counted: the address; of IPv6, its /64."""
    parsed = _parse(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((parsed, _IPV6_PREFIX), strict=False))
    return address


def _is_trusted(address: Address | None, trusted: list[Network]) -> bool:
    return address is not None and any(address in network for network in trusted)


def _networks() -> list[Network]:
    networks = []
    for text in options().TRUSTED_PROXIES:
        try:
            networks.append(ip_network(text, strict=False))
        except ValueError:
            continue  # a system check reports it
    return networks


def _parse(text: str) -> Address | None:
    """Return an address, which some proxies write with a port; None if it is not one."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
