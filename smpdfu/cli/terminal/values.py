"""Text from a command line into values; shared by both doors. Every function raises ValueError with a sentence."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from smpdfu.image.format import Dependency, Tlv, Version

_HEADER_SIZE = 32  # the smallest there is
_DEPENDENCY = re.compile(r"\(\s*(\d+)\s*,\s*([^\s,()]+)\s*\)", re.ASCII)


def number(text: str) -> int:
    """A whole number: decimal, 0x hexadecimal, 0o octal or 0b binary."""
    if len(text) > 100:
        raise ValueError("the number has too many digits")
    try:
        return int(text, 0)
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number: write it in decimal, or with 0x, 0o or 0b") from None


def unsigned32(text: str) -> int:
    """A number that fits the 32 bits of an address or a counter."""
    value = number(text)
    if not 0 <= value <= 0xFFFFFFFF:
        raise ValueError(f"{text} does not fit 32 bits")
    return value


def one_of(*choices: int) -> Callable[[str], int]:
    """What reads one of these numbers, and nothing else."""

    def choose(text: str) -> int:
        value = number(text)
        if value not in choices:
            raise ValueError(f"{text} is not one of {', '.join(map(str, choices))}")
        return value

    return choose


def word_of(*choices: str) -> Callable[[str], str]:
    """What takes one of these words, and nothing else."""

    def choose(text: str) -> str:
        if text not in choices:
            raise ValueError(f"{text!r} is not one of {', '.join(choices)}")
        return text

    return choose


def version(text: str) -> Version:
    """An image version, such as 1.2.3+4."""
    from smpdfu.image.format import Version  # here and below: --help names these functions and reads no image

    return Version.from_text(text)


def imgtool_version(text: str) -> Version:
    """The same as imgtool takes it: the build number stands behind a +, never behind a dot."""
    if text.count(".") > 2:
        raise ValueError(f"{text!r} is not a version: write major.minor.revision+build, the later parts optional")
    return version(text)


def header_size(text: str) -> int:
    """Bytes of the header, or ``auto``: the least."""
    size = _HEADER_SIZE if text.lower() == "auto" else number(text)
    if size < _HEADER_SIZE:
        raise ValueError(f"the header size is {text}: it must be {_HEADER_SIZE} or more")
    return size


def security_counter(text: str) -> int | Literal["auto"]:
    """A security counter, or ``auto``: made from the version."""
    return "auto" if text.lower() == "auto" else unsigned32(text)


def dependencies(text: str) -> tuple[Dependency, ...]:
    """``(image,version),(image,version)...``: what an image asks of the other images."""
    from smpdfu.image.format import Dependency, Version

    found = _DEPENDENCY.findall(text)
    if not found or _DEPENDENCY.sub("", text).strip(" ,"):
        raise ValueError(f"{text!r} is not a list of dependencies: write (image,version), such as (1,2.0.0)")
    return tuple(Dependency(number(image), Version.from_text(needed)) for image, needed in found)


def custom_tlvs(pairs: Sequence[Sequence[str]], files: Sequence[Sequence[str]] = ()) -> tuple[Tlv, ...]:
    """Pairs of tag and value, then pairs of tag and file name; raises OSError when such a file cannot be read.

    A value of ``0x`` and an even number of hex digits is bytes, any other is UTF-8 text.
    """
    from smpdfu.image.files import read_bounded
    from smpdfu.image.format import Tlv

    made = [Tlv(_tag(tag), _tlv_data(tag, value)) for tag, value in pairs]
    made += (Tlv(_tag(tag), read_bounded(name)) for tag, name in files)
    return tuple(made)


def _tag(text: str) -> int:
    tag = number(text)
    if not 0 <= tag <= 0xFFFF:
        raise ValueError(f"custom TLV tag {text} does not fit 16 bits")
    return tag


def _tlv_data(tag: str, value: str) -> bytes:
    if not value.startswith("0x"):
        return value.encode()
    try:
        return bytes.fromhex(value[2:])
    except ValueError:
        raise ValueError(
            f"custom TLV {tag}: {value[:40]!r} is not a row of bytes: write two hex digits for each"
        ) from None
