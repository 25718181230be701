"""CBOR (RFC 8949) as SMP speaks it: cbor2, with the bounds that bytes from a device need.

Read are integers, bytes, text, arrays, maps, booleans, null and floats, of definite and (as Zephyr sends them) of
indefinite length. Tags are refused: no SMP server sends any, and behind them are dates, big numbers, regular
expressions and references that loop.
"""

from __future__ import annotations

from typing import NoReturn

import cbor2

from smpdfu.errors import LocalProtocolError, RemoteProtocolError
from smpdfu.untrusted.nesting import TooDeepError, check_depth

MAX_DEPTH = 16
"""Levels of nesting that are read and sent: the deepest SMP body (slot info) has five, and Zephyr reads 15 at most
(CONFIG_MCUMGR_SMP_CBOR_MAX_DECODING_LEVELS)."""
UINT_MAX = 2**64 - 1
NINT_MIN = -(2**64)


def head_size(argument: int) -> int:
    """Bytes that a CBOR head takes for ``argument``: a value, a length or a count."""
    if argument < 24:
        return 1
    if argument < 0x100:
        return 2
    if argument < 0x10000:
        return 3
    return 5 if argument < 0x100000000 else 9


def dumps(value: object) -> bytes:
    """Encode ``value``; LocalProtocolError for what SMP cannot carry: text that is not Unicode, deep nesting."""
    try:
        check_depth(value, MAX_DEPTH)
        return cbor2.dumps(value)
    except UnicodeEncodeError:
        raise LocalProtocolError("SMP carries text in UTF-8, and a text to be sent has bytes that are none") from None
    except TooDeepError:
        raise LocalProtocolError(
            f"what is to be sent is nested too deeply: SMP has at most {MAX_DEPTH} levels"
        ) from None


def loads(data: bytes, *, duplicates: bool = False) -> object:
    """Decode the item that ``data`` begins with; RemoteProtocolError if there is none within the bounds.

    With ``duplicates``, a key may come twice in a map, and its last value holds: a server that names its threads by
    their priorities writes such maps. No server takes one.
    What follows the item is left alone, as every server does with a request. Text that is cut in the middle of a
    character, as console output can be, is read as far as it goes.
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
