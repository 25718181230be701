"""Where the update server is: its URL, the tenant, and how its certificate is checked."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from smpdfu.dfu.fleet.description.table import Table
from smpdfu.errors import AgentFileError

DEFAULT_TENANT = "DEFAULT"
"""The tenant that hawkBit has from the beginning."""
_MAX_TENANT = 40  # characters, as in hawkBit


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """``url`` is what comes before ``/{tenant}/controller``, without a slash at its end.

    ``ca`` is a file of certificates in PEM that are trusted instead of the system's. ``insecure_http``: the file allows
    http to a host that is not this computer.
    """

    url: str
    tenant: str = DEFAULT_TENANT
    ca: Path | None = None
    insecure_http: bool = False

    @classmethod
    def read(cls, table: Table, folder: Path) -> ServerAddress:
        """Read ``[server]`` of a file in ``folder``. Raises FleetFileError or AgentFileError."""
        url = table.text("url", None)
        if url is None:
            raise AgentFileError(f"{table.where} has no url, such as https://hawkbit.example.com")
        tenant = table.text("tenant", DEFAULT_TENANT)
        if not tenant.isprintable() or len(tenant) > _MAX_TENANT:
            raise AgentFileError(f"'tenant' in {table.where} must have 1 to {_MAX_TENANT} printable characters")
        ca = table.text("ca", None)
        insecure = table.switch("insecure_http", default=False)
        table.nothing_else()
        checked = check_url(url, table.where, insecure_http=insecure)
        return cls(checked, tenant, None if ca is None else folder / ca, insecure)


def check_url(url: str, where: str, *, insecure_http: bool) -> str:
    """Return the URL without a slash at its end. Raises AgentFileError for one that the agent must not use."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # it raises ValueError for a port that is none
    except ValueError as error:
        raise AgentFileError(f"'url' in {where} is not a URL: {error}") from None
    if parts.username is not None or parts.password is not None:
        raise AgentFileError(f"'url' in {where} has a user name or a password. Remove it; use [authentication]")
    if parts.scheme not in ("https", "http") or not parts.hostname or not url.isprintable() or " " in url:
        raise AgentFileError(f"'url' in {where} is not a URL such as https://hawkbit.example.com")
    if parts.query or parts.fragment or "?" in url or "#" in url:
        raise AgentFileError(f"'url' in {where} must end with its path: without '?' and '#'")
    if parts.scheme == "http" and not (insecure_http or is_loopback(parts)):
        raise AgentFileError(
            f"'url' in {where} begins with http: everybody on the way can read the token. Use https. "
            "For a trial in a network of your own, add insecure_http = true"
        )
    return url.rstrip("/")


def is_loopback(parts: SplitResult) -> bool:
    """Return whether a URL leads to this computer."""
    host = parts.hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
