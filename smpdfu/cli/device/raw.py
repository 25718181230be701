"""``raw``: any SMP command, for groups that only their vendor knows."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

from smpdfu.cli.app.command import Connection
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.interruption import AGAIN, MAY_HAVE_RUN, leaves
from smpdfu.cli.terminal.show import print_json
from smpdfu.image.files import read_bounded
from smpdfu.smp.groups.raw import RawRequest
from smpdfu.smp.message import Op
from smpdfu.untrusted.nesting import TooDeepError, load_json

MAX_PAYLOAD_BYTES = 1 << 20
INTEGERS = range(-(1 << 64), 1 << 64)
"""What CBOR has without tags."""


async def send(conn: Connection, group: int, number: int, json_payload: str | None, *, write: bool) -> None:
    """Send a request and print the answer."""
    payload = read_payload("{}" if json_payload is None else json_payload)
    request = RawRequest(group, number, Op.WRITE if write else Op.READ, payload)
    async with conn.client() as client:
        await client.params()  # finds out whether somebody is there, in which version and how much a message may hold
        with leaves(MAY_HAVE_RUN if write else AGAIN):  # who knows what a second one would do
            answer = await client.request(request, attempts=1 if write else None)
    print_json(plain(answer.entries))


def read_payload(text: str) -> dict[str, object]:
    """The map to send from ``--json-payload``. Raises typer.BadParameter, or OSError for a file."""
    try:
        value = load_json(_from_file(text[1:]) if text.startswith("@") else text)
    except TooDeepError as error:
        raise typer.BadParameter(f"--json-payload cannot be sent: {error}") from None
    except ValueError as error:
        raise typer.BadParameter(f"--json-payload is no JSON: {error}") from None
    if not isinstance(value, dict) or _is_bytes(value):
        raise typer.BadParameter('--json-payload must be a JSON object, such as \'{"d": "hello"}\'')
    return {name: _cbor(item) for name, item in value.items()}


def _from_file(name: str) -> str:
    if name == "-":
        return sys.stdin.read(MAX_PAYLOAD_BYTES)
    return read_bounded(Path(name), MAX_PAYLOAD_BYTES).decode()


def _is_bytes(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"bytes"} and isinstance(value["bytes"], str)


def _cbor(value: Any) -> object:
    """What JSON means, as CBOR has it."""
    if _is_bytes(value):
        try:
            return bytes.fromhex(value["bytes"])
        except ValueError:
            raise typer.BadParameter(
                f'{value["bytes"]!r} is not hex; bytes are written as {{"bytes": "00ff"}}'
            ) from None
    if isinstance(value, dict):
        return {name: _cbor(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_cbor(item) for item in value]
    if isinstance(value, int) and value not in INTEGERS:
        raise typer.BadParameter(f"{value} has more than 64 bits, which SMP cannot carry")
    return value


def plain(value: object) -> Any:
    """What a device sent, as JSON has it: bytes as ``{"bytes": hex}``, keys as text, no NaN."""
    if isinstance(value, dict):
        return {name if isinstance(name, str) else str(plain(name)): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
