"""Which links of the server an agent follows, and which of them may see the token.

- A resource (``deploymentBase``, ``configData``, ...) is at the server's own origin, or it is refused.
- An artifact may be at another host over https. Only a request to the server's own origin has the token.
- Under a server with https, a link with http is refused unless the agent file allows it. It never sees the token.
- User names, fragments, control characters, backslashes and schemes other than http and https are refused.

An origin is scheme, host and port (RFC 6454). A link is put together anew from its checked parts, so that the HTTP
client cannot read it in another way than this module did.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

from smpdfu.agent.ddi.limits import MAX_LINK
from smpdfu.errors import ServerProtocolError
from smpdfu.untrusted.text import line

MAX_REDIRECTS = 5
"""Redirects that a request follows."""
_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"(?:\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?\.?)")
_NETLOC = re.compile(rf"(?P<host>{_HOST.pattern})(?::(?P<port>[0-9]{{1,5}}))?")
_PATH_CHARACTERS = "/%:@!$&'()*+,;=~-._"
_QUERY_CHARACTERS = _PATH_CHARACTERS + "?"
_SHOWN = 120


@dataclass(frozen=True)
class Origin:
    """Scheme, host in lower case, and port, which is never left out."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}"


@dataclass(frozen=True)
class Link:
    """A link that may be followed. ``url`` is plain ASCII and quoted. ``token``: the request may have the token."""

    url: str
    origin: Origin
    token: bool

    @property
    def shown(self) -> str:
        """The address for people: without its query, which may hold a signature of a store."""
        return self.url.partition("?")[0]


def parse_url(url: str) -> tuple[str, Origin]:
    """Return an absolute http or https address, quoted and put together anew, and its origin.

    Raises ``ServerProtocolError`` with one sentence, and nothing else.
    """
    if len(url) > MAX_LINK:
        raise ServerProtocolError(f"a link of the server has more than {MAX_LINK} characters")
    if not url.isprintable() or "\\" in url:
        raise _refused(url, "has control characters or backslashes")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _refused(url, "is no address") from None
    scheme = parts.scheme.lower()
    if scheme not in _PORTS:
        raise _refused(url, "is neither http nor https")
    if "@" in parts.netloc:
        raise ServerProtocolError("a link of the server has a user name in it; smpdfu does not follow it")
    if parts.fragment or url.endswith("#"):
        raise _refused(url, "has a fragment (#)")
    netloc = _NETLOC.fullmatch(parts.netloc)
    port = int(netloc["port"]) if netloc and netloc["port"] else _PORTS[scheme]
    if netloc is None or not 0 < port < 1 << 16:
        raise _refused(url, "has no valid host and port")
    origin = Origin(scheme, netloc["host"].lower().removesuffix("."), port)
    try:
        path = quote(parts.path or "/", safe=_PATH_CHARACTERS)
        query = "?" + quote(parts.query, safe=_QUERY_CHARACTERS) if parts.query else ""
    except UnicodeEncodeError:
        raise _refused(url, "has half a character (a lone surrogate)") from None
    return f"{origin}{path}{query}", origin


def check_resource_link(link: str, server: Origin) -> Link:
    """Return a link to a resource of DDI, which must be at the server's own origin.

    Raises ``ServerProtocolError``.
    """
    url, origin = parse_url(link)
    if origin != server:
        raise ServerProtocolError(
            f"the server gives a link to {origin}, but its address is {server}. smpdfu does not send the token there. "
            "If a proxy stands before the server, the proxy must forward the outer address (X-Forwarded-Host, -Proto)"
        )
    return Link(url, origin, token=True)


def check_artifact_link(link: str, server: Origin, *, allow_http: bool = False) -> Link:
    """Return a link to an artifact, which may be at another host: the token stays at the server's own origin.

    ``allow_http``: take http although the server has https. Raises ``ServerProtocolError``.
    """
    url, origin = parse_url(link)
    if origin.scheme == "http" and server.scheme == "https" and not allow_http:
        raise ServerProtocolError(f"the server gives a link without TLS ({origin}); smpdfu does not follow it")
    return Link(url, origin, token=origin == server)


def redirected(link: Link, location: str, server: Origin, *, allow_http: bool = False) -> Link:
    """Return where a redirect of an artifact leads: the same rules, and once the token is gone it stays away.

    Raises ``ServerProtocolError``.
    """
    found = check_artifact_link(_joined(link, location), server, allow_http=allow_http)
    if link.origin.scheme == "https" and found.origin.scheme == "http" and not allow_http:
        raise ServerProtocolError(f"a redirect leads to an address without TLS ({found.origin})")
    return Link(found.url, found.origin, token=found.token and link.token)


def redirected_resource(link: Link, location: str, server: Origin) -> Link:
    """Return where a redirect of a resource leads, which must be at the server's own origin.

    Raises ``ServerProtocolError``.
    """
    return check_resource_link(_joined(link, location), server)


def _joined(link: Link, location: str) -> str:
    """The address of a redirect, which may be relative to where we were."""
    if not location or len(location) > MAX_LINK or not location.isprintable() or "\\" in location:
        raise ServerProtocolError("the server redirects to an address that is not usable")
    try:
        return urljoin(link.url, location)
    except ValueError:
        raise ServerProtocolError("the server redirects to an address that is not usable") from None


def path_segment(text: str) -> str:
    """Return an id as one segment of a path: everything but letters, digits, ``-``, ``.``, ``_`` and ``~`` is quoted.

    A segment of dots only would be read as a folder, so its dots are quoted, too. Raises ``ValueError`` for an empty
    text and for half a character (a lone surrogate).
    """
    if not text:
        raise ValueError("an empty text is no segment of a path")
    return "%2E" * len(text) if text in (".", "..") else quote(text, safe="")


def feedback_link(resource: Link) -> Link:
    """Return where feedback on a resource goes: its own address, without the query, and ``/feedback``."""
    url = f"{resource.url.partition('?')[0].rstrip('/')}/feedback"
    return Link(url, resource.origin, resource.token)


def with_history(resource: Link, messages: int) -> Link:
    """Return the address of a resource with the last ``messages`` of its history (``actionHistory``)."""
    joint = "&" if "?" in resource.url else "?"
    return Link(f"{resource.url}{joint}actionHistory={messages}", resource.origin, resource.token)


def _refused(url: str, why: str) -> ServerProtocolError:
    shown = line(url.partition("?")[0][:_SHOWN])
    return ServerProtocolError(f"a link of the server {why}; smpdfu does not follow it: {shown}")
