"""An SMP message in words, for logs and captures: one line for people, or a dictionary for JSON.

No function here raises an error, whatever the bytes are. The output is limited: long texts, long lists and deep nesting
are cut, and long bytes are shown as their number and their beginning. Values of settings can be secrets: only their
length is shown.
"""

from __future__ import annotations

import math
from typing import Any

from smpdfu.errors import RemoteProtocolError
from smpdfu.smp.groups import find_request, rc_name
from smpdfu.smp.message import Header, Op, Refusal, Request, decode_map, split_message
from smpdfu.untrusted.text import numbered

LINE_MAX = 400
"""Characters of a line."""
BEGIN = 16
"""How many bytes of a long value are shown."""
_WHOLE = 64  # bytes that are shown whole: every hash is
_TEXT, _ITEMS, _DEPTH = 1024, 64, 6
_SETTINGS = 3

GROUPS = {0: "os", 1: "img", 2: "stat", 3: "settings", 4: "log", 5: "crash", 6: "split", 7: "run", 8: "fs"}
GROUPS |= {9: "shell", 10: "enum", 11: "transport", 63: "zephyr"}
"""The numbers that Zephyr and Mynewt assign (Zephyr, mgmt_defines.h), for devices that report no names."""


def explain(message: bytes) -> dict[str, Any]:
    """Describe ``message`` in a dictionary for JSON.

    ``size_bytes`` is always there. A readable message has ``kind`` ("read", "read reply", "write", "write reply"),
    ``version`` (1 or 2, or the number that it claims), ``sequence``, ``group``, ``command``, ``name`` and the fields of
    its ``body``. A refusal also has ``error`` with ``group`` (None: SMP's own codes), ``rc``, ``name`` and ``reason``.
    If the bytes cannot be read, ``fault`` says why, and ``begins`` is their beginning in hex. ``elided`` is True if
    some bytes are not shown.
    """
    found: dict[str, Any] = {"size_bytes": len(message)}
    try:
        header = Header.from_bytes(message)
    except RemoteProtocolError as error:
        return found | _fault(error, message)
    request = find_request(Op(header.op & ~1), header.group, header.command)
    found |= {
        "kind": Op(header.op).name.lower().replace("_rsp", " reply"),
        "version": header.version + 1,
        "sequence": header.sequence,
        "group": header.group,
        "command": header.command,
        "name": request.title if request else f"{_group(header.group)} command {header.command}",
    }
    try:
        entries = decode_map(split_message(message).body)
        refusal = _error(request, entries) if header.op & 1 else {}
    except RemoteProtocolError as fault:
        return found | _fault(fault, b"" if header.group == _SETTINGS else message)
    plain = _Plain(secret="val" if header.group == _SETTINGS else None)
    body = plain.of(entries)
    return found | {"body": body} | refusal | ({"elided": True} if plain.elided else {})


def line_of(found: dict[str, Any]) -> str:
    """Make one line of at most ``LINE_MAX`` characters of what ``explain`` returned: number, command, fields, fault."""
    words = [f"#{found['sequence']} {found['name']}"] if "name" in found else []
    if found.get("version", 2) != 2:
        words.append(f"(SMP version {found['version']})")
    error = found.get("error")
    if error is not None:
        words.append(f"refused: {_refusal(error)}")
    elif "fault" in found:
        begins = f": {found['begins']}" if found["begins"] else ""
        words.append(f"unreadable ({found['fault']}, {found['size_bytes']} bytes{begins})")
    else:
        words += ["reply:"] if found["kind"].endswith("reply") else []
        words += _fields(found["body"]) or ["(empty)"]
    line = " ".join(words)
    return line if len(line) <= LINE_MAX else line[: LINE_MAX - 1] + "…"


def printable(text: str) -> str:
    """Return the text with control characters written as their numbers, so that a terminal does not obey them."""
    return numbered(text)


def _fields(body: Any) -> list[str]:
    return [f"{printable(str(name))}={_shown(value)}" for name, value in body.items()]


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        if "bytes" in value and set(value) <= {"bytes", "begins"}:
            begins = f" {value['begins']}…" if "begins" in value else ""
            return f"<{value['bytes']} bytes{begins}>"
        return "{" + " ".join(_fields(value)) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_shown, value)) + "]"
    if isinstance(value, str):
        return printable(value) if value.isalnum() else f'"{printable(value)}"'
    return str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)


def _refusal(error: dict[str, Any]) -> str:
    where = "SMP" if error["group"] is None else _group(error["group"])
    reason = f": {printable(error['reason'])}" if error["reason"] else ""
    return f"{error['name'] or 'unknown code'} ({where}, rc {error['rc']}){reason}"


def _group(number: int) -> str:
    return GROUPS.get(number, f"group {number}")


def _error(request: type[Request[Any]] | None, entries: dict[object, object]) -> dict[str, Any]:
    refusal = request.read_refusal(entries) if request else Refusal.from_map(entries)
    if refusal is None:
        return {}
    reason = None if refusal.reason is None else refusal.reason[:_TEXT]
    name = rc_name(refusal.group, refusal.rc)
    return {"error": {"group": refusal.group, "rc": refusal.rc, "name": name, "reason": reason}}


def _fault(error: RemoteProtocolError, message: bytes) -> dict[str, Any]:
    return {"fault": str(error)[:_TEXT], "begins": message[:BEGIN].hex(), "elided": len(message) > BEGIN}


class _Plain:
    """Converts CBOR to JSON. ``secret`` is the key whose bytes are not shown; ``elided``: something was left out."""

    def __init__(self, secret: str | None) -> None:
        self.secret = secret
        self.elided = False

    def of(self, value: object, key: object = None, depth: int = 0) -> Any:
        if key == self.secret is not None:
            self.elided = True
            return {"bytes": len(value)} if isinstance(value, bytes | str) else "…"
        if isinstance(value, bytes):
            return self._bytes(value, key)
        if isinstance(value, dict | list) and depth == _DEPTH:
            self.elided = True
            return "…"
        if isinstance(value, dict):
            return self._map(value, depth)
        if isinstance(value, list):
            return self._list(value, key, depth)
        if isinstance(value, bool | int | None):
            return value
        if isinstance(value, float) and math.isfinite(value):
            return value
        return self._text(str(value))

    def _map(self, value: dict[Any, object], depth: int) -> dict[str, Any]:
        shown = list(value.items())[:_ITEMS]
        found = {self._text(str(name)): self.of(one, name, depth + 1) for name, one in shown}
        return found | self._more(len(value), "…")

    def _list(self, value: list[object], key: object, depth: int) -> list[Any]:
        found = [self.of(one, key, depth + 1) for one in value[:_ITEMS]]
        return [*found, *self._more(len(value), "…").values()]

    def _more(self, count: int, key: str) -> dict[str, str]:
        if count <= _ITEMS:
            return {}
        self.elided = True
        return {key: f"{count - _ITEMS} more"}

    def _bytes(self, value: bytes, key: object) -> Any:
        if len(value) <= (BEGIN if key == "data" else _WHOLE):
            return value.hex()
        self.elided = True
        return {"bytes": len(value), "begins": value[:BEGIN].hex()}

    def _text(self, text: str) -> str:
        if len(text) <= _TEXT:
            return text
        self.elided = True
        return text[:_TEXT] + "…"
