"""Convert frozen dataclasses to the CBOR maps of SMP bodies and back, by the annotations of the fields.

The name of a field is the key of the map, unless ``key()`` gives another. A field that is None is left out. A field
without default must be in the map. Unknown keys are ignored, because newer devices send more. A wrong type or range in
the peer's bytes raises RemoteProtocolError; a wrong value of our own raises ValueError.

A field can be ``int`` (bounded by ``Annotated[int, Range(...)]``), ``bool``, ``str``, ``bytes``, ``tuple[X, ...]``,
``dict[str, X]``, another ``Body``, one of several of these (``X | Y``), and each ``| None``.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Protocol, Self, Union, get_args, get_origin, get_type_hints

from smpdfu.errors import RemoteProtocolError
from smpdfu.smp import cbor


@dataclass(frozen=True, slots=True)
class Range:
    """The values that an integer may have, both ends included."""

    low: int
    high: int


U8 = Annotated[int, Range(0, 0xFF)]
U16 = Annotated[int, Range(0, 0xFFFF)]
U32 = Annotated[int, Range(0, 0xFFFFFFFF)]
U64 = Annotated[int, Range(0, cbor.UINT_MAX)]
I32 = Annotated[int, Range(-(2**31), 2**31 - 1)]


def key(name: str, default: Any) -> Any:
    """Make a field whose CBOR key is ``name``, which is not a Python name (``no-downgrade``)."""
    return dataclasses.field(default=default, metadata={"key": name})


class Body:
    """Base of the frozen dataclasses that are CBOR maps on the wire."""

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    def to_map(self) -> dict[str, object]:
        """Return the map, in the order of the fields. Raises ValueError if a field has a wrong type or range."""
        entries: dict[str, object] = {}
        for field in _fields(type(self)):
            value = getattr(self, field.name)
            if value is not None:
                entries[field.key] = field.codec.encode(value, field.where)
        return entries

    @classmethod
    def from_map(cls, entries: Mapping[Any, object]) -> Self:
        """Read the known keys of ``entries``. Raises RemoteProtocolError if one is missing or wrong."""
        values: dict[str, object] = {}
        for field in _fields(cls):
            if field.key in entries:
                values[field.name] = field.codec.decode(entries[field.key], field.where)
            elif field.required:
                raise RemoteProtocolError(f"{field.where} is missing")
        return cls(**values)

    def to_body(self) -> bytes:
        """Return ``to_map()`` as CBOR."""
        return cbor.dumps(self.to_map())


def decode_map(body: bytes) -> dict[object, object]:
    """Decode ``body`` to a map with all its keys. Raises RemoteProtocolError if it is not a map."""
    value = cbor.loads(body, duplicates=True)
    if not isinstance(value, dict):
        raise RemoteProtocolError(f"the body is {_kind(value)}, not a map")
    return value


# --- one codec per kind of field ------------------------------------------------------------------------------------


class _Codec(Protocol):
    def encode(self, value: Any, where: str) -> object: ...

    def decode(self, value: object, where: str) -> object: ...


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    key: str
    codec: _Codec
    required: bool
    where: str


class _Integer:
    def __init__(self, bounds: Range) -> None:
        self.low, self.high = bounds.low, bounds.high

    def encode(self, value: Any, where: str) -> object:
        if type(value) is bool or not isinstance(value, int) or not self.low <= value <= self.high:
            raise ValueError(f"{where} must be an integer from {self.low} to {self.high}, not {value!r}")
        return int(value)

    def decode(self, value: object, where: str) -> object:
        if type(value) is not int:
            raise RemoteProtocolError(f"{where} is {_kind(value)}, not an integer")
        if not self.low <= value <= self.high:
            raise RemoteProtocolError(f"{where} is {value}, outside {self.low} to {self.high}")
        return value


class _Plain:
    """bool, str, bytes: the same in Python and in CBOR."""

    def __init__(self, kind: type) -> None:
        self.kind = kind

    def encode(self, value: Any, where: str) -> object:
        if not isinstance(value, self.kind):
            raise ValueError(f"{where} must be of type {self.kind.__name__}, not {type(value).__name__}")  # noqa: TRY004 - misuse is ValueError here
        return value

    def decode(self, value: object, where: str) -> object:
        if not isinstance(value, self.kind):
            raise RemoteProtocolError(f"{where} is {_kind(value)}, not {_NAMES[self.kind]}")
        return value


class _Many:
    """``tuple[X, ...]``: an array."""

    def __init__(self, item: _Codec) -> None:
        self.item = item

    def encode(self, value: Any, where: str) -> object:
        return [self.item.encode(item, where) for item in value]

    def decode(self, value: object, where: str) -> object:
        if not isinstance(value, list):
            raise RemoteProtocolError(f"{where} is {_kind(value)}, not an array")
        return tuple(self.item.decode(item, where) for item in value)


class _Table:
    """``dict[str, X]``: a map whose keys are data."""

    def __init__(self, item: _Codec) -> None:
        self.item = item

    def encode(self, value: Any, where: str) -> object:
        return {str(name): self.item.encode(item, where) for name, item in value.items()}

    def decode(self, value: object, where: str) -> object:
        if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
            raise RemoteProtocolError(f"{where} is {_kind(value)}, not a map of texts")
        return {name: self.item.decode(item, where) for name, item in value.items()}


class _OneOf:
    """``X | Y``: the first that accepts the value."""

    def __init__(self, kinds: tuple[_Codec, ...]) -> None:
        self.kinds = kinds

    def encode(self, value: Any, where: str) -> object:
        return self._first(lambda kind: kind.encode(value, where), ValueError)

    def decode(self, value: object, where: str) -> object:
        return self._first(lambda kind: kind.decode(value, where), RemoteProtocolError)

    def _first(self, take: Callable[[_Codec], object], refusal: type[Exception]) -> object:
        for kind in self.kinds[:-1]:
            with suppress(refusal):
                return take(kind)
        return take(self.kinds[-1])


class _Nested:
    """Another ``Body``."""

    def __init__(self, kind: type[Body]) -> None:
        self.kind = kind

    def encode(self, value: Any, where: str) -> object:
        if not isinstance(value, self.kind):
            raise ValueError(f"{where} must be of type {self.kind.__name__}, not {type(value).__name__}")  # noqa: TRY004 - misuse is ValueError here
        return value.to_map()

    def decode(self, value: object, where: str) -> object:
        if not isinstance(value, dict):
            raise RemoteProtocolError(f"{where} is {_kind(value)}, not a map")
        return self.kind.from_map(value)


_NAMES: dict[type, str] = {
    bool: "a boolean",
    str: "text",
    bytes: "bytes",
    int: "an integer",
    float: "a float",
    list: "an array",
    dict: "a map",
    type(None): "null",
}
_ANY_INTEGER = Range(cbor.NINT_MIN, cbor.UINT_MAX)


def _kind(value: object) -> str:
    return _NAMES.get(type(value), "of a type that SMP does not have")


_LAYOUTS: dict[type[Body], tuple[_Field, ...]] = {}


def _fields(cls: type[Body]) -> tuple[_Field, ...]:
    if cls not in _LAYOUTS:
        _LAYOUTS[cls] = _read_fields(cls)
    return _LAYOUTS[cls]


def _read_fields(cls: type[Body]) -> tuple[_Field, ...]:
    hints = get_type_hints(cls, include_extras=True)
    return tuple(
        _Field(
            name=field.name,
            key=field.metadata.get("key", field.name),
            codec=_codec(hints[field.name]),
            required=field.default is dataclasses.MISSING,
            where=f"{cls.__name__}.{field.name}",
        )
        for field in dataclasses.fields(cls)
    )


def _codec(hint: Any) -> _Codec:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        kinds = tuple(_codec(arg) for arg in args if arg is not type(None))
        return kinds[0] if len(kinds) == 1 else _OneOf(kinds)
    if origin is Annotated:
        return _Integer(args[1])
    if origin is tuple:
        return _Many(_codec(args[0]))
    if origin is dict:
        return _Table(_codec(args[1]))
    if hint is int:
        return _Integer(_ANY_INTEGER)
    if hint in (bool, str, bytes):
        return _Plain(hint)
    if isinstance(hint, type) and issubclass(hint, Body):
        return _Nested(hint)
    raise ValueError(f"a field of an SMP body cannot have the type {hint!r}")
