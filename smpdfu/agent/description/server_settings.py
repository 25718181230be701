"""The table ``[server]`` of an agent's file: where the update server is, and how its certificate is checked."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from smpdfu.agent.ddi.links import parse_url
from smpdfu.agent.ddi.server_address import ServerAddress
from smpdfu.dfu.fleet.description.table import Table
from smpdfu.errors import AgentFileError, ServerProtocolError

DEFAULT_TENANT = "DEFAULT"
"""The tenant that hawkBit has from the beginning."""
_EXAMPLE = "such as https://hawkbit.example.com"


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """``ca`` is a file of certificates in PEM that are trusted instead of the system's.

    ``insecure_http``: the file allows http to another computer.
    """

    address: ServerAddress
    ca: Path | None = None
    insecure_http: bool = False

    @classmethod
    def read(cls, table: Table, folder: Path) -> ServerSettings:
        """Read ``[server]`` of a file in ``folder``. Raises FleetFileError or AgentFileError."""
        url = table.text("url", None)
        if url is None:
            raise AgentFileError(f"{table.where} has no url, {_EXAMPLE}")
        tenant = table.text("tenant", DEFAULT_TENANT)
        ca = table.text("ca", None)
        insecure = table.switch("insecure_http", default=False)
        artifacts = table.switch("http_artifacts", default=False)
        proxy = table.text("proxy", None)
        table.nothing_else()
        check_url(url, table.where, insecure_http=insecure)
        if not tenant.isprintable() or tenant != tenant.strip():
            raise AgentFileError(f"'tenant' in {table.where} must be printable, without spaces at its ends")
        try:
            address = ServerAddress(url, tenant, artifacts, proxy)
        except ValueError as error:
            raise AgentFileError(f"{table.where}: {error}") from error
        return cls(address, None if ca is None else folder / ca, insecure)


def check_url(url: str, where: str, *, insecure_http: bool) -> None:
    """Raise AgentFileError for an address to which the agent must not send a token."""
    if "@" in url:
        raise AgentFileError(f"'url' in {where} has a user name or a password. Remove it; use [authentication]")
    try:
        _, origin = parse_url(url)
    except ServerProtocolError as error:
        raise AgentFileError(f"'url' in {where} is not an address {_EXAMPLE}") from error
    if "?" in url:
        raise AgentFileError(f"'url' in {where} must end with its path, without '?'")
    if origin.scheme == "http" and not (insecure_http or is_loopback(origin.host)):
        raise AgentFileError(
            f"'url' in {where} begins with http: everybody on the way can read the token. Use https. "
            "For a trial in a network of your own, add insecure_http = true"
        )


def is_loopback(host: str) -> bool:
    """Return whether the host of an address is this computer."""
    if host == "localhost":  # RFC 6761: always the loopback
        return True
    try:
        return ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False
