"""Fields of a JSON object of the server: each has the type that DDI says, or one sentence names it.

Fields that we do not know are passed over. A field that is null is a field that is not there, as hawkBit writes both.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar

from smpdfu.agent.ddi.limits import MAX_BODY_BYTES, MAX_DEPTH
from smpdfu.errors import FormatError, ServerProtocolError
from smpdfu.untrusted import jsontext
from smpdfu.untrusted.text import line

_SHOWN = 40
_Word = TypeVar("_Word", bound=StrEnum)


class Fields:
    """A JSON object. ``where`` is its place in the document, for sentences: ``deployment.chunks[2]``."""

    def __init__(self, values: Mapping[str, Any], where: str = "") -> None:
        self.values = values
        self.where = where

    @classmethod
    def from_bytes(cls, data: bytes) -> Fields:
        """Read the document. Raises ``ServerProtocolError``."""
        try:
            return cls(jsontext.load(data, MAX_BODY_BYTES, depth=MAX_DEPTH))
        except FormatError as error:
            raise ServerProtocolError(f"the server's answer is not usable: {line(str(error))}") from None

    def wrong(self, name: str, why: str) -> ServerProtocolError:
        """Return the error for a field, to be raised."""
        return ServerProtocolError(f"the server's answer is not usable: {self.place(name)} {why}")

    def place(self, name: str) -> str:
        return f"{self.where}.{name}" if self.where else name

    def has(self, name: str) -> bool:
        return self.values.get(name) is not None

    def part(self, name: str) -> Fields:
        """Return the object in a field that must be there."""
        found = self.optional_part(name)
        if found is None:
            raise self.wrong(name, "is missing")
        return found

    def optional_part(self, name: str) -> Fields | None:
        """Return the object in a field; None if there is none."""
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.wrong(name, "is no object")
        return Fields(value, self.place(name))

    def parts(self, name: str, limit: int) -> list[Fields]:
        """Return the objects in a list of at most ``limit``; [] if there is no such field."""
        values = self._list(name, limit)
        for at, value in enumerate(values):
            if not isinstance(value, dict):
                raise self.wrong(f"{name}[{at}]", "is no object")
        return [Fields(value, self.place(f"{name}[{at}]")) for at, value in enumerate(values)]

    def texts(self, name: str, limit: int, length: int) -> tuple[str, ...]:
        """Return the texts in a list of at most ``limit``; () if there is no such field."""
        return tuple(self._checked(f"{name}[{at}]", value, length) for at, value in enumerate(self._list(name, limit)))

    def text(self, name: str, length: int) -> str:
        """Return a text that must be there, of 1 to ``length`` characters."""
        value = self.optional_text(name, length)
        if value is None:
            raise self.wrong(name, "is missing")
        if not value:
            raise self.wrong(name, "is empty")
        return value

    def optional_text(self, name: str, length: int) -> str | None:
        """Return a text of at most ``length`` characters; None if there is none."""
        value = self.values.get(name)
        return None if value is None else self._checked(name, value, length)

    def identifier(self, name: str, length: int) -> str:
        """Return an id that must be there: a text, or a whole number, which some servers send."""
        value = self.values.get(name)
        if type(value) is int and abs(value) < 1 << 63:
            return str(value)
        return self.text(name, length)

    def optional_whole(self, name: str, limit: int) -> int | None:
        """Return a whole number from 0 to ``limit``; None if there is none."""
        value = self.values.get(name)
        if value is None:
            return None
        if type(value) is not int:
            raise self.wrong(name, "is no whole number")
        if not 0 <= value <= limit:
            raise self.wrong(name, f"is not between 0 and {limit}")
        return value

    def flag(self, name: str) -> bool:
        """Return a field that is true or false; False if there is none."""
        value = self.values.get(name)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(name, "is neither true nor false")
        return bool(value)

    def word(self, name: str, words: type[_Word]) -> _Word:
        """Return a word of a list of words that must be there."""
        found = self.optional_word(name, words)
        if found is None:
            raise self.wrong(name, "is missing")
        return found

    def optional_word(self, name: str, words: type[_Word]) -> _Word | None:
        """Return a word of a list of words; None if there is none."""
        value = self.optional_text(name, _SHOWN)
        if value is None:
            return None
        try:
            return words(value)
        except ValueError:
            known = ", ".join(words)
            raise self.wrong(name, f"is {line(value)!r} and not one of {known}") from None

    def link(self, name: str, length: int) -> str | None:
        """Return the address of a link in HAL's ``_links``; None if there is none."""
        links = self.optional_part("_links")
        found = links.optional_part(name) if links else None
        return found.text("href", length) if found else None

    def _list(self, name: str, limit: int) -> list[Any]:
        value = self.values.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.wrong(name, "is no list")
        if len(value) > limit:
            raise self.wrong(name, f"has {len(value)} entries and may have {limit}")
        return value

    def _checked(self, name: str, value: object, length: int) -> str:
        if not isinstance(value, str):
            raise self.wrong(name, "is no text")
        if len(value) > length:
            raise self.wrong(name, f"has {len(value)} characters and may have {length}")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise self.wrong(name, "has half a character (a lone surrogate)") from None
        return value
