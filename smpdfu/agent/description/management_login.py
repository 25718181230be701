"""The table ``[management]`` of an agent's file: a login that may read targets, to see what other gateways claim."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from smpdfu.agent.description.authentication import check_secret_file, refuse_secrets, secret_path
from smpdfu.dfu.fleet.description.table import Table
from smpdfu.errors import AgentFileError
from smpdfu.untrusted.files import read_start

_MAX_PASSWORD = 512


@dataclass(frozen=True, slots=True)
class ManagementLogin:
    """``user`` needs no more than the right to read targets (hawkBit's READ_TARGET)."""

    user: str
    password_file: Path

    @classmethod
    def read(cls, table: Table, folder: Path) -> ManagementLogin:
        """Read ``[management]`` of a file in ``folder``. Raises FleetFileError or AgentFileError."""
        refuse_secrets(table, "password_file")
        user = table.text("user", None)
        name = table.text("password_file", None)
        table.nothing_else()
        if user is None or name is None:
            raise AgentFileError(f"{table.where} must have user and password_file")
        if ":" in user or not user.isprintable():
            raise AgentFileError(f"'user' in {table.where} must be printable, without a colon")
        return cls(user, secret_path(name, folder))

    def password(self) -> str:
        """Read the password. Raises AgentFileError, or OSError for a file that cannot be read."""
        check_secret_file(self.password_file)
        data = read_start(self.password_file, 4 * _MAX_PASSWORD + 1)
        text = data.decode("utf-8", "replace").strip()
        if not 0 < len(text) <= _MAX_PASSWORD or not text.isprintable():
            raise AgentFileError(f"{self.password_file} must have one password: one line of printable characters")
        return text
