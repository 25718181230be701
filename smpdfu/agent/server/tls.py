"""TLS to the server: always verified, with the system's authorities or with those of a file."""

from __future__ import annotations

import ssl

from smpdfu.agent.server.settings import TlsFiles
from smpdfu.errors import ServerLinkError


def context_of(files: TlsFiles) -> ssl.SSLContext:
    """Return the settings of TLS: the server's certificate and its name are checked, TLS 1.2 is the oldest.

    Raises ``ServerLinkError`` with the code ``tls-files`` for a file that cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=None if files.ca is None else str(files.ca))
    except (OSError, ValueError) as error:
        raise _unusable(f"the authorities in {files.ca}", error) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if files.certificate is not None:
        try:
            context.load_cert_chain(files.certificate, files.key, password=_no_passphrase)
        except (OSError, ValueError) as error:
            raise _unusable(f"the client certificate {files.certificate} with its key", error) from None
    return context


def _no_passphrase() -> str:
    """Called for a key with a passphrase: nobody is there to type one."""
    raise ValueError("the key has a passphrase")


def _unusable(what: str, error: Exception) -> ServerLinkError:
    why = error.reason if isinstance(error, ssl.SSLError) and error.reason else str(error)
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        why = error.strerror or type(error).__name__
    found = ServerLinkError(f"smpdfu cannot use {what}: {why}")
    return found.because("tls-files")
