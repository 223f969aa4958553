"""Where the ops port listens, and which Host headers it answers to."""

from __future__ import annotations

import errno
import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from keeper.errors import ConfigError

__all__ = ["HostCheck", "Listen", "bind_error", "parse_listen"]

_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})

_HOST = re.compile(r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::(?P<port>\d{1,5}))?\Z")


@dataclass(frozen=True, slots=True)
class Listen:
    """A host and a port; port 0 lets the system choose."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        address = _address(self.host)
        return self.host == "localhost" if address is None else address.is_loopback

    @property
    def wildcard(self) -> bool:
        """Whether it means every address of the machine."""
        address = _address(self.host)
        return address is not None and address.is_unspecified


def parse_listen(text: str) -> Listen:
    """Read ``host:port``; an IPv6 host stands in brackets.

    Raises:
        ConfigError: when it is anything else.
    """
    match = _HOST.match(text)
    if match is None or match["port"] is None or int(match["port"]) > 65_535:
        raise ConfigError(f'web.listen = "{text}": write host:port, for example "127.0.0.1:9464" or "[::1]:9464"')
    return Listen(match["six"] or match["name"].lower(), int(match["port"]))


@dataclass(frozen=True, slots=True)
class HostCheck:
    """Refuses requests under foreign names: a web page could reach the port by rebinding its own name to it."""

    listen: Listen
    #: Further names to answer to, e.g. the service name inside a container network.
    names: Collection[str] = ()

    def allows(self, header: str | None) -> bool:
        """Judge a Host header; its port does not matter (ports are mapped by containers and tunnels)."""
        match = _HOST.match(header or "")
        if match is None:
            return False
        host = (match["six"] or match["name"]).lower()
        if host in _LOOPBACK_NAMES or host == self.listen.host or host in {name.lower() for name in self.names}:
            return True
        # A name can be rebound to another address; an address cannot. Probes of a pod come by address.
        return self.listen.wildcard and _address(host) is not None


def bind_error(listen: Listen, error: OSError) -> ConfigError:
    """Word a failed bind for the operator."""
    where = f'web.listen = "{listen.host}:{listen.port}"'
    if error.errno == errno.EADDRINUSE:
        return ConfigError(
            f"{where}: another process uses this port (`ss -ltnp 'sport = :{listen.port}'` names it); "
            "stop that one, or give web.listen another port"
        )
    if error.errno == errno.EACCES:
        return ConfigError(f"{where}: not permitted; ports below 1024 need privileges, use one above")
    return ConfigError(
        f"{where}: cannot listen there ({error.strerror or error}); use an address of this machine, e.g. 127.0.0.1"
    )


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
