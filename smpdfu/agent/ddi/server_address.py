"""Where the server is, and what an agent shows it: address, tenant, token."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from smpdfu.agent.ddi.limits import MAX_ID
from smpdfu.agent.ddi.links import Link, Origin, parse_url, path_segment
from smpdfu.errors import ServerProtocolError

MAX_TOKEN = 4096
_LEAST_HIDDEN = 8


@dataclass(frozen=True)
class ServerAddress:
    """An update server and the tenant there.

    ``url`` is what stands before the tenant: ``https://hawkbit.example.com``, or with a path behind a proxy.
    ``http_artifacts``: artifacts may come over http although the server has https. ``proxy`` is the HTTP proxy between
    this computer and the server, such as ``http://proxy.example.com:3128``; TLS goes through it (CONNECT, RFC 9110,
    9.3.6), so that it sees no token. Raises ``ValueError`` with one sentence for an address or a tenant that is none.
    """

    url: str
    tenant: str = "DEFAULT"
    http_artifacts: bool = False
    proxy: str | None = None

    def __post_init__(self) -> None:
        try:
            url, _ = parse_url(self.url)
        except ServerProtocolError:
            raise ValueError("the address of the server must be such as https://hawkbit.example.com") from None
        if "?" in url:
            raise ValueError("the address of a server has no query (?)")
        if not 0 < len(self.tenant) <= MAX_ID:
            raise ValueError(f"a tenant has 1 to {MAX_ID} characters")
        object.__setattr__(self, "url", url.rstrip("/"))
        if self.proxy is not None:
            object.__setattr__(self, "proxy", self._checked_proxy(self.proxy))

    def _checked_proxy(self, text: str) -> str:
        try:
            url, origin = parse_url(text)
        except ServerProtocolError:
            url, origin = "", None
        if origin is None or origin.scheme != "http" or url != f"{origin}/":
            raise ValueError("the address of a proxy must be such as http://proxy.example.com:3128, without a user")
        if self.origin.scheme != "https":
            raise ValueError("a proxy needs https to the server: over http, the proxy can read the token")
        return str(origin)

    @cached_property
    def origin(self) -> Origin:
        """Scheme, host and port: who may see the token."""
        return parse_url(self.url)[1]

    def link(self, *segments: str) -> Link:
        """Return the address of ``segments`` below the server, each quoted. Raises ``ValueError`` for an empty one."""
        path = "/".join(map(path_segment, segments))
        return Link(f"{self.url}/{path}", self.origin, token=True)

    def controller(self, controller: str, *segments: str) -> Link:
        """Return the address of a target (its base), or of ``segments`` below it."""
        return self.link(self.tenant, "controller", "v1", controller, *segments)


class Token:
    """The ``Authorization`` header of a request. It shows its secret to nobody: not in repr, str, pickle or errors."""

    __slots__ = ("_header", "_hidden")

    def __init__(self, scheme: str, secret: str, *, password: str = "") -> None:
        """``scheme`` is ``TargetToken``, ``GatewayToken`` or ``Basic``; ``password`` is what ``secret`` was made of.

        Raises ``ValueError`` without the secret.
        """
        if not 0 < len(secret) <= MAX_TOKEN or not all("!" <= one <= "~" for one in secret):
            raise ValueError("a token has printable ASCII characters without spaces")
        self._header = f"{scheme} {secret}"
        self._hidden = tuple(one.encode() for one in (secret, password) if len(one) >= _LEAST_HIDDEN)

    @classmethod
    def of_target(cls, secret: str) -> Token:
        """The token of one target."""
        return cls("TargetToken", secret)

    @classmethod
    def of_gateway(cls, secret: str) -> Token:
        """The token of a gateway, for all targets of a tenant."""
        return cls("GatewayToken", secret)

    def header(self) -> str:
        """Return the value of the header. Only the HTTP client calls this."""
        return self._header

    def hide(self, data: bytes) -> bytes:
        """Return what a server said without the secret, which some servers repeat in a refusal.

        A secret that is so short that it may stand there by chance stays.
        """
        for secret in self._hidden:
            if secret.lower() in data.lower():
                data = re.sub(re.escape(secret), b"[token]", data, flags=re.IGNORECASE)
        return data

    def hide_text(self, text: str) -> str:
        """As ``hide``, of a text."""
        return self.hide(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def __repr__(self) -> str:
        return "Token(...)"

    def __reduce__(self) -> tuple[type[Token], tuple[str, str]]:
        raise TypeError("a token is not written anywhere")
