"""How the agent proves to the server who it is: tokens in files or in the environment, or a certificate.

A token never stands in the agent's file: that file is copied, shown and kept in version control.
"""

from __future__ import annotations

import csv
import io
import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote

from smpdfu.agent.ddi.counted import counted
from smpdfu.agent.ddi.server_address import Token
from smpdfu.dfu.fleet.description.table import Table
from smpdfu.errors import AgentFileError
from smpdfu.untrusted.files import read_start
from smpdfu.untrusted.programs import withhold

CREDENTIALS_DIRECTORY = "CREDENTIALS_DIRECTORY"
"""systemd's variable for the folder of a service's credentials (systemd.exec(5), "Credentials")."""
TOKEN_SUFFIX = ".token"
_MAX_TOKEN = 512  # characters; hawkBit's tokens have 32
_MAX_TOKENS_BYTES = 16 * 1024 * 1024
_OTHERS = 0o077
_SECRETS = ("token", "gateway_token", "target_token", "password")


class Way(StrEnum):
    """How the agent proves who it is. The values are the keys of ``[authentication]``."""

    GATEWAY_TOKEN_FILE = "gateway_token_file"
    GATEWAY_TOKEN_ENV = "gateway_token_env"
    TARGET_TOKENS = "target_tokens"
    CERTIFICATE = "certificate"


@dataclass(frozen=True, slots=True)
class Authentication:
    """Where the secrets are. ``source`` is a file, a folder, or the name of a variable, by ``way``.

    TARGET_TOKENS: a CSV file with the columns name,token, or a folder with a file NAME.token for each device; in the
    name of such a file, every character that a file name cannot have is written as in a URL (``%2F``). CERTIFICATE:
    ``source`` is the certificate and ``key`` its private key, both in PEM.
    """

    way: Way
    source: str
    key: Path | None = None

    @classmethod
    def read(cls, table: Table, folder: Path) -> Authentication:
        """Read ``[authentication]`` of a file in ``folder``. Raises FleetFileError or AgentFileError."""
        refuse_secrets(table, "gateway_token_file")
        said = {way: text for way in Way if (text := table.text(way, None)) is not None}
        key = table.text("key", None)
        table.nothing_else()
        if len(said) != 1:
            many = "more than one" if said else "none"
            raise AgentFileError(f"{table.where} has {many} of {', '.join(Way)}: give exactly one")
        ((way, source),) = said.items()
        if (way is Way.CERTIFICATE) != (key is not None):
            raise AgentFileError(f"{table.where}: 'certificate' and 'key' belong together")
        if way is not Way.GATEWAY_TOKEN_ENV:
            source = str(secret_path(source, folder))
        return cls(way, source, None if key is None else secret_path(key, folder))

    def credentials(self, devices: Iterable[str]) -> Credentials:
        """Read the secrets; with target tokens, each of ``devices`` must have one.

        Raises AgentFileError, or OSError for a file that cannot be read.
        """
        if self.way is Way.CERTIFICATE:
            assert self.key is not None  # read() has seen to it
            check_secret_file(self.key)
            return Credentials(certificate=Path(self.source), key=self.key)
        if self.way is Way.TARGET_TOKENS:
            tokens = _target_tokens(Path(self.source), devices)
            missing = [name for name in devices if name not in tokens]
            if missing:
                raise AgentFileError(_no_token_of(missing[0], len(missing) - 1, self.source))
            return Credentials(target_tokens=tokens)
        if self.way is Way.GATEWAY_TOKEN_ENV:
            text = os.environ.get(self.source)
            if not text:
                raise AgentFileError(f"the environment variable {self.source} has no gateway token")
            withhold(self.source)
            return Credentials(gateway_token=_token(text, f"the environment variable {self.source}"))
        return Credentials(gateway_token=_token_in(Path(self.source)))


@dataclass(frozen=True, slots=True)
class Credentials:
    """The secrets themselves, in memory. Exactly one kind is present; no text of this object shows one."""

    gateway_token: str | None = field(default=None, repr=False)
    target_tokens: Mapping[str, str] = field(default_factory=dict, repr=False)
    certificate: Path | None = None
    key: Path | None = None

    def token(self, controller_id: str) -> Token | None:
        """Return what the server gets to see from one device; None with a certificate.

        Raises AgentFileError if the device has no target token.
        """
        if self.certificate is not None:
            return None
        if self.gateway_token is not None:
            return Token.of_gateway(self.gateway_token)
        token = self.target_tokens.get(controller_id)
        if token is None:
            raise AgentFileError(_no_token_of(controller_id, 0, "the target tokens"))
        return Token.of_target(token)

    def hide(self, text: str) -> str:
        """Return ``text`` without the tokens, for a log."""
        for token in (self.gateway_token, *self.target_tokens.values()):
            if token and token.lower() in text.lower():  # a host or a type of content becomes lower case
                text = re.sub(re.escape(token), "[token]", text, flags=re.IGNORECASE)
        return text


def refuse_secrets(table: Table, instead: str) -> None:
    """Refuse a secret in the agent's file; ``instead`` is the key that names a file with it.

    Raises AgentFileError, without the secret.
    """
    for word in _SECRETS:
        if table.text(word, None) is not None:
            raise AgentFileError(
                f"{word!r} in {table.where}: a secret must not be in this file. Write it into a file that only the "
                f"agent can read (chmod 600), and name that file with {instead!r}"
            )


def secret_path(name: str, folder: Path) -> Path:
    """Find a file with a secret: among the credentials that systemd hands to the service, else beside the agent's file.

    ``name`` is a path; only one without a folder can be a credential.
    """
    given = os.environ.get(CREDENTIALS_DIRECTORY)
    if given and Path(name).name == name and (Path(given) / name).exists():
        return Path(given) / name
    return folder / name


def check_secret_file(path: Path) -> None:
    """Refuse a file that other users can read. Raises AgentFileError, or OSError if there is no such file.

    systemd guards its own folder of credentials; the modes of files there show an access list and no more.
    """
    given = os.environ.get(CREDENTIALS_DIRECTORY)
    if os.name != "posix" or (given and path.is_relative_to(given)):
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & _OTHERS:
        raise AgentFileError(f"other users can access {path}, which has a secret. Run `chmod 600 {path}`")


def _token_in(path: Path) -> str:
    check_secret_file(path)
    data = read_start(path, 4 * _MAX_TOKEN)
    return _token(data.decode("utf-8", "replace"), str(path))


def _token(text: str, where: str) -> str:
    token = text.strip()
    if not (token.isascii() and token.isprintable() and " " not in token and 0 < len(token) <= _MAX_TOKEN):
        raise AgentFileError(f"{where} must have one token: 1 to {_MAX_TOKEN} ASCII characters without spaces")
    return token


def _target_tokens(path: Path, devices: Iterable[str]) -> dict[str, str]:
    if path.is_dir():
        files = {name: path / f"{quote(name, safe='')}{TOKEN_SUFFIX}" for name in devices}
        return {name: _token_in(file) for name, file in files.items() if file.exists()}
    check_secret_file(path)
    data = read_start(path, _MAX_TOKENS_BYTES + 1)
    if len(data) > _MAX_TOKENS_BYTES:
        raise AgentFileError(f"{path.name} is larger than {_MAX_TOKENS_BYTES >> 20} MiB")
    try:
        rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), skipinitialspace=True))
    except (UnicodeDecodeError, csv.Error):
        raise AgentFileError(f"{path.name} is not a CSV file in UTF-8") from None  # its error may quote a token
    tokens: dict[str, str] = {}
    for number, row in enumerate(rows, 2):
        name = (row.get("name") or "").strip()
        where = f"line {number} of {path.name}"
        if not name or name in tokens:
            raise AgentFileError(f"{where} has {'a second token of a device' if name else 'no name'}")
        tokens[name] = _token(row.get("token") or "", where)
    return tokens


def _no_token_of(name: str, more: int, where: str) -> str:
    others = f" and {counted(more, 'more device')} have" if more else " has"
    return f"{name!r}{others} no target token in {where}"
