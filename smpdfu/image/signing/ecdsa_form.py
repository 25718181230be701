"""The two numbers of an ECDSA signature as each of MCUboot's backends reads them out of the signature TLV.

A signature is a DER sequence of two integers (RFC 3279, 2.2.3), and ``--pad-sig`` puts zeros behind it. What is no
strict DER some backends take and others refuse. Source: MCUboot's ``crypto/ecdsa.h``; mbedTLS' ``asn1parse.c`` and
``ecdsa.c``.
"""

from __future__ import annotations

from typing import get_args

from smpdfu.image.loader_build import Backend

Numbers = tuple[int, int]

_SEQUENCE, _INTEGER = 0x30, 0x02
_P256_BYTES = 32
BACKENDS: tuple[Backend, ...] = get_args(Backend)


def backends(size: int) -> tuple[Backend, ...]:
    """Which backends there are for numbers of ``size`` bytes: MCUboot checks P-384 with PSA only."""
    return BACKENDS if size == _P256_BYTES else ("psa",)


def numbers(signature: bytes, size: int, backend: Backend) -> Numbers | None:
    """The two numbers, of ``size`` bytes each; None where this backend finds none."""
    try:
        match backend:
            case "tinycrypt":
                return _tinycrypt(signature, size)
            case "mbedtls":
                return _mbedtls(signature, size)
            case "psa":
                return _psa(signature, size)
    except (IndexError, ValueError):  # it ends too early; a tag is not there
        return None


def to_der(pair: Numbers) -> bytes:
    """The strict form."""
    body = b"".join(_integer(number) for number in pair)
    return bytes((_SEQUENCE, len(body))) + body


def _integer(number: int) -> bytes:
    data = number.to_bytes(number.bit_length() // 8 + 1, "big")
    return bytes((_INTEGER, len(data))) + data


def _tinycrypt(signature: bytes, size: int) -> Numbers:
    """Of each integer the last ``size`` bytes; where the sequence ends does not matter."""
    at, _ = _element(signature, 0, _SEQUENCE)
    first, end = _element(signature, at, _INTEGER)
    second, last = _element(signature, end, _INTEGER)
    return _last(signature[first:end], size), _last(signature[second:last], size)


def _mbedtls(signature: bytes, size: int) -> Numbers | None:
    """The integers as they are, however many zeros they begin with; nothing may follow them or the sequence."""
    at, stop = _element(signature, 0, _SEQUENCE)
    first, end = _element(signature, at, _INTEGER)
    second, last = _element(signature, end, _INTEGER)
    if not last == stop == len(signature):
        return None
    pair = int.from_bytes(signature[first:end], "big"), int.from_bytes(signature[second:last], "big")
    return pair if max(pair).bit_length() <= size * 8 else None


def _psa(signature: bytes, size: int) -> Numbers:
    """Lengths in one byte at fixed places; only a first integer of at most one byte more than ``size`` is followed."""
    length, at = signature[3], 4
    if length >= size:
        at += length - size
        first = signature[at : at + size]
        length -= length % 2
    else:
        first = signature[at : at + length]
    second = at + length + 2
    length = signature[second - 1]
    if second + length > len(signature):
        raise IndexError
    return int.from_bytes(first, "big"), _last(signature[second : second + length], size)


def _last(data: bytes, size: int) -> int:
    return int.from_bytes(data[-size:], "big")


def _element(data: bytes, at: int, tag: int) -> tuple[int, int]:
    """Where the value of the element at ``at`` begins and ends, by mbedTLS' rules: long lengths need not be minimal."""
    if data[at] != tag:
        raise ValueError
    length, start = data[at + 1], at + 2
    if length >= 0x80:
        digits = length - 0x80
        if not 1 <= digits <= 4 or start + digits > len(data):
            raise ValueError
        length, start = int.from_bytes(data[start : start + digits], "big"), start + digits
    if start + length > len(data):
        raise IndexError
    return start, start + length
