"""Where a management API is, and how smpdfu logs in there."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

from smpdfu.agent.ddi.server_address import ServerAddress, Token
from smpdfu.agent.description.server_settings import is_loopback
from smpdfu.errors import ServerLinkError


@dataclass(frozen=True, slots=True)
class ManagementAccess:
    """A server with a login. ``tenant``: refuse a login of another tenant; None: take the login's own.

    ``ca`` is a file of certificates in PEM by which the server's certificate is checked. ``insecure_http``: allow http
    to another computer; without it, such an address is a ServerLinkError. ``proxy`` is that of ``ServerAddress``.
    Raises ValueError for what is no address.
    """

    url: str
    login: Token
    ca: Path | None = None
    tenant: str | None = None
    insecure_http: bool = False
    proxy: str | None = None

    def __post_init__(self) -> None:
        origin = address_of(self).origin
        if origin.scheme == "http" and not (self.insecure_http or is_loopback(origin.host)):
            text = f"{origin} has no TLS: everybody on the way can read the login"
            raise ServerLinkError(text).because("publish-without-tls")


def address_of(access: ManagementAccess) -> ServerAddress:
    """Return the address of a server, checked. Raises ValueError."""
    return ServerAddress(access.url, proxy=access.proxy)


def password_login(user: str, password: str) -> Token:
    """Log in as a user of the management API (HTTP Basic, RFC 7617). Raises ValueError, without the password."""
    if not user or ":" in user or not user.isprintable():
        raise ValueError("a user name has printable characters, and no colon")
    if not password or not password.isprintable():
        raise ValueError("a password has one line of printable characters")
    return Token("Basic", b64encode(f"{user}:{password}".encode()).decode(), password=password)


def token_login(token: str) -> Token:
    """Log in with an access token of OpenID Connect, where the server takes such tokens (RFC 6750).

    Raises ValueError, without the token.
    """
    return Token("Bearer", token)
