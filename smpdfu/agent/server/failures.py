"""The wall around aiohttp: whatever it raises becomes one of our errors, without a header and without a token."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import aiohttp

from smpdfu.agent.ddi.links import Link
from smpdfu.agent.ddi.server_address import Token
from smpdfu.errors import ServerError, ServerLinkError, ServerProtocolError
from smpdfu.untrusted.text import line

PROXY_LOGIN = 407
_SHOWN = 160


@contextmanager
def our_errors(link: Link, token: Token | None = None) -> Iterator[None]:
    """Turn what aiohttp, asyncio and the system raise into ``ServerLinkError`` or ``ServerProtocolError``.

    The new error has no cause: an error of aiohttp holds the request with its headers. They are taken out of it, too,
    because Python keeps it as the context of the new one.
    """
    try:
        yield
    except ServerError as error:
        error.url = error.url or link.shown
        raise
    except (TimeoutError, aiohttp.ClientError, OSError, UnicodeError) as error:
        found = _ours(error, link, token)
        if isinstance(error, aiohttp.ClientResponseError):
            error.args = ()
            vars(error)["request_info"] = SimpleNamespace(real_url=link.shown)
        found.url = link.shown
        raise found from None


def _ours(error: Exception, link: Link, token: Token | None) -> ServerError:
    where = str(link.origin)
    if isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.SSLCertVerificationError):
        why = _verification(error)
        return ServerLinkError(f"the certificate of {where} is not trusted: {why}").because("tls-untrusted", why=why)
    if isinstance(error, aiohttp.ClientConnectorSSLError | ssl.SSLError | aiohttp.ServerFingerprintMismatch):
        return ServerLinkError(f"TLS with {where} failed: {_reason(error)}").because("tls")
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        why = _system(error.os_error)
        return ServerLinkError(f"smpdfu cannot connect to the proxy {error.host}:{error.port}: {why}").because("proxy")
    if isinstance(error, aiohttp.ClientHttpProxyError):
        why = "it wants a login" if error.status == PROXY_LOGIN else "it does not connect smpdfu with the server"
        return ServerLinkError(f"the proxy refuses {where} (HTTP {error.status}): {why}").because("proxy-refused")
    if isinstance(error, TimeoutError):
        return ServerLinkError(f"{where} does not answer in time").because("timeout")
    if isinstance(error, aiohttp.ClientConnectorDNSError) and error.host != link.origin.host.strip("[]"):
        return ServerLinkError(f"the name of the proxy {error.host} cannot be looked up").because("proxy")
    if isinstance(error, aiohttp.ClientConnectorDNSError | socket.gaierror | UnicodeError):
        return ServerLinkError(f"the name of {where} cannot be looked up").because("name")
    if isinstance(error, aiohttp.ClientConnectorError) and _ended_in_tls(error.os_error, link):
        return ServerLinkError(f"TLS with {where} failed: the server ended the connection").because("tls")
    if isinstance(error, aiohttp.ClientConnectorError):
        return ServerLinkError(f"smpdfu cannot connect to {where}: {_system(error.os_error)}").because("connect")
    if isinstance(error, aiohttp.ClientResponseError | aiohttp.InvalidURL):
        said = _message(error) if token is None else token.hide_text(_message(error))  # it may quote the answer
        return ServerProtocolError(f"the answer of {where} is not HTTP: {_shown(said)}")
    return ServerLinkError(f"the connection to {where} broke: {_broke(error)}").because("lost")


def _ended_in_tls(error: OSError, link: Link) -> bool:
    """Whether the connection was there: asyncio's own errors in a handshake have no number of the system."""
    return link.origin.scheme == "https" and isinstance(error, ConnectionError) and error.errno is None


def _verification(error: Exception) -> str:
    inner = getattr(error, "certificate_error", error)
    text = getattr(inner, "verify_message", "") or str(inner)
    return _shown(text).removesuffix(".")


def _reason(error: Exception) -> str:
    inner = getattr(error, "os_error", error)
    return _shown(getattr(inner, "reason", None) or getattr(inner, "strerror", None) or type(inner).__name__)


def _system(error: OSError) -> str:
    # asyncio gives the number of the system with words of its own, which name the call and not the reason
    number = error.errno
    known = os.strerror(number) if number is not None and number in errno.errorcode else error.strerror
    return _shown(known or type(error).__name__)


def _broke(error: Exception) -> str:
    return _system(error) if isinstance(error, OSError) and error.strerror else _shown(_words_of(error))


def _words_of(error: Exception) -> str:
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the server closed it without an answer"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the answer ended early"
    return type(error).__name__


def _message(error: Exception) -> str:
    return getattr(error, "message", "") or type(error).__name__


def _shown(text: str) -> str:
    return line(" ".join(text.split())[:_SHOWN])
