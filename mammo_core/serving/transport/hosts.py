"""The check of the Host header: a page of another site cannot reach the server by DNS."""

import ipaddress
from collections.abc import Sequence

from mammo_core.serving.faults import RequestError


def require_allowed_host(host: str | None, allowed: Sequence[str]) -> None:
    """Reject a request for another host.

    Addresses and `localhost` are always allowed: a rebound DNS name is a name.

    Args:
        host: The Host header.
        allowed: Names; `*.example.org` for all below a name, `*` for any.

    Raises:
        RequestError: The header names another host, or is absent (400).
    """
    name = _name_of(host or "")
    if name is not None and ("*" in allowed or _is_local(name) or _matches(name, allowed)):
        return
    raise RequestError(
        400,
        "The Host header names another server",
        expected="an address, localhost, or a name of --allowed-host",
        received="another name" if host else "none",
    )


def _name_of(host: str) -> str | None:
    """Return the host without its port, in lower case; None if it is neither."""
    if host.startswith("["):
        name, bracket, port = host[1:].partition("]")
        port = port.removeprefix(":") if bracket else "-"
    else:
        name, _, port = host.partition(":")
    if not name or (port and not port.isdecimal()):
        return None
    return name.lower().rstrip(".")


def _is_local(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _matches(name: str, allowed: Sequence[str]) -> bool:
    return any(
        name.endswith(pattern[1:].lower()) if pattern.startswith("*.") else name == pattern.lower()
        for pattern in allowed
    )
