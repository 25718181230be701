"""Key URIs as text: ``pkcs11:`` (RFC 7512), and what may stand behind the ``?`` of any of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote, unquote_to_bytes

from smpdfu.errors import KeyFileError

# RFC 7512, section 2.3: what a URI may say of the token and of the key.
TOKEN_ATTRIBUTES = ("token", "manufacturer", "serial", "model", "slot-id", "slot-description", "slot-manufacturer")
KEY_ATTRIBUTES = ("object", "id", "type")
QUERY_ATTRIBUTES = ("module-path", "pin-source", "pub")


@dataclass(frozen=True, slots=True)
class Pkcs11Uri:
    """A key in a token. ``token`` has what was said of the token, by RFC 7512's names; ``query`` the rest."""

    token: dict[str, str]
    object: str | None
    id: bytes | None
    query: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The key, for people."""
        what = self.object if self.object is not None else (self.id or b"").hex()
        where = self.token.get("token") or ", ".join(f"{name} {value}" for name, value in self.token.items())
        return f"the key {what!r} in " + (f"the token {where!r}" if where else "the only token")

    @classmethod
    def from_text(cls, text: str) -> Pkcs11Uri:
        """Read a URI; raises ``KeyFileError`` for one that is not well-formed, or that holds a PIN."""
        path, _, query = text.partition(":")[2].partition("?")
        attributes = _pairs(path, ";", (*TOKEN_ATTRIBUTES, *KEY_ATTRIBUTES))
        options = _pairs(query, "&", (*QUERY_ATTRIBUTES, "pin-value"))
        if "pin-value" in options:
            raise KeyFileError(
                "everybody can see a PIN in the URI (pin-value): use pin-source=file:PATH or pin-source=env:NAME"
            )
        if attributes.get("type", "private") != "private":
            raise KeyFileError(f"the pkcs11: URI asks for a {attributes['type']}; signing needs type=private")
        if "object" not in attributes and "id" not in attributes:
            raise KeyFileError("the pkcs11: URI does not say which key: it needs object=LABEL or id=%01")
        raw_id = attributes.get("id")
        return cls(
            {name: unquote(value) for name, value in attributes.items() if name in TOKEN_ATTRIBUTES},
            unquote(attributes["object"]) if "object" in attributes else None,
            None if raw_id is None else unquote_to_bytes(raw_id),
            {name: unquote(value) for name, value in options.items()},
        )


def _pairs(text: str, separator: str, known: tuple[str, ...]) -> dict[str, str]:
    """The attributes of one half of a URI, values still percent-encoded."""
    found: dict[str, str] = {}
    for pair in filter(None, text.split(separator)):
        name, equals, value = pair.partition("=")
        if not equals or name not in known:
            shown = name if equals else "a part without ="
            raise KeyFileError(f"the pkcs11: URI has {shown!r}, which smpdfu does not know: use {', '.join(known)}")
        if name in found:
            raise KeyFileError(f"the pkcs11: URI says {name} twice")
        found[name] = value
    return found


_OPTION = re.compile(r"(\w+)=([^&]*)")


def split_options(text: str, known: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """A URI without its ``?name=value&...``, and these. A ``?`` before anything but known names belongs to the URI."""
    head, mark, tail = text.rpartition("?")
    matches = [_OPTION.fullmatch(part) for part in tail.split("&")]
    pairs = [(match[1], unquote(match[2])) for match in matches if match and match[1] in known]
    if not mark or len(pairs) != len(matches):
        return text, {}
    return head, dict(pairs)
