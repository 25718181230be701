"""CBOR (RFC 8949) as SMP uses it: cbor2, with the limits that bytes from a device need.

The reader accepts integers, bytes, text, arrays, maps, booleans, null and floats, of definite length and (as Zephyr
sends them) of indefinite length. It refuses tags: no SMP server sends them, and they can be dates, big numbers, regular
expressions and circular references.
"""

from __future__ import annotations

from typing import NoReturn

import cbor2

from smpdfu.errors import LocalProtocolError, RemoteProtocolError
from smpdfu.untrusted.nesting import TooDeepError, check_depth

MAX_DEPTH = 16
"""The most levels of nesting. The deepest SMP body (slot info) has five, and Zephyr reads at most 15
(CONFIG_MCUMGR_SMP_CBOR_MAX_DECODING_LEVELS)."""
UINT, BYTES = 0, 2
"""Major types of items (RFC 8949, 3.1)."""
_ONE_BYTE = 24
"""Says in a head that the argument follows in one byte; the next ones say two, four and eight bytes."""
UINT_MAX = 2**64 - 1
NINT_MIN = -(2**64)


def head_size(argument: int) -> int:
    """Return the bytes that a CBOR head needs for ``argument``: a value, a length or a count."""
    if argument < 24:
        return 1
    if argument < 0x100:
        return 2
    if argument < 0x10000:
        return 3
    return 5 if argument < 0x100000000 else 9


def head(major: int, argument: int) -> bytes:
    """Encode the head of an item of type ``major`` (RFC 8949, 3.1), with its value, length or count ``argument``."""
    size = head_size(argument) - 1
    if not size:
        return bytes((major << 5 | argument,))
    return bytes((major << 5 | _ONE_BYTE + size.bit_length() - 1,)) + argument.to_bytes(size, "big")


def dumps(value: object) -> bytes:
    """Encode ``value``. Raises LocalProtocolError if SMP cannot carry it: text that is not Unicode, or deep nesting."""
    try:
        check_depth(value, MAX_DEPTH)
        return cbor2.dumps(value)
    except UnicodeEncodeError:
        raise LocalProtocolError("a text to send has bytes that are not UTF-8, and SMP carries only UTF-8") from None
    except TooDeepError:
        raise LocalProtocolError(
            f"the value to send is nested too deeply: SMP has at most {MAX_DEPTH} levels"
        ) from None


def loads(data: bytes, *, duplicates: bool = False) -> object:
    """Decode the first item in ``data``. Raises RemoteProtocolError if there is none within the limits.

    With ``duplicates``, a map may have a key twice, and the last value counts: a server that names its threads by their
    priorities sends such maps. No server accepts one. Bytes after the item are ignored, as every server does. Text that
    ends in the middle of a character, as console output can, is read up to there.
    """
    try:
        return cbor2.loads(
            data,
            tag_hook=_refuse,
            semantic_decoders=_NO_TAGS,
            str_errors="replace",
            max_depth=MAX_DEPTH,
            allow_duplicate_keys=duplicates,
            strict_hashable_types=True,
        )
    except cbor2.CBORDecodeError as error:
        raise RemoteProtocolError(f"the CBOR cannot be read: {error}") from None


def _refuse(*_: object) -> NoReturn:
    raise ValueError("tags are not part of SMP")


# The tags that cbor2 has decoders for (RFC 8949, 3.4, and the IANA registry); for all others it asks the hook.
_NO_TAGS = dict.fromkeys(
    (*range(6), 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799), _refuse
)
