"""The small files that a build writes about itself: names, versions, the key that its bootloader has.

``domains.yaml`` (Zephyr's ``share/sysbuild/cmake/domains.cmake``): the images, and the one that the rest is for.
``build_info.yml`` (Zephyr's ``scripts/schemas/build-schema.yaml``): the board. ``ncs_version.h`` and ``version.h``
(made by CMake for the firmware): the releases. ``autogen-pubkey.c`` (written by ``imgtool getpub``): the public key of
MCUboot. Keys that are not known are passed over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from smpdfu.errors import FormatError
from smpdfu.untrusted import yamltext

_DEFINE = re.compile(rb'^[ \t]*#define[ \t]+([A-Z_]{1,64})[ \t]+"([^"\n]{1,64})"', re.MULTILINE)
_KEY_BYTES = re.compile(rb"_pub_key\[\]\s*=\s*\{([0-9a-fA-Fx,\s]*)\}")
_NAME = re.compile(r"[A-Za-z0-9_.+-]{1,100}")


@dataclass(frozen=True, slots=True)
class Domains:
    """The images of a sysbuild folder by name, and the name of the main one. Names that could be paths are left out."""

    default: str | None
    names: tuple[str, ...]


def parse_domains(data: bytes) -> Domains:
    """Read ``domains.yaml``. The paths in it are those of the computer that built it, and are not used.

    Raises FormatError for what is no YAML of a bounded size.
    """
    document = yamltext.load(data)
    if not isinstance(document, dict):
        return Domains(None, ())
    listed = document.get("domains")
    entries = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    names = tuple(dict.fromkeys(name for one in entries if (name := _plain(one.get("name")))))
    return Domains(_plain(document.get("default")), names)


def _plain(name: object) -> str | None:
    """The name if it is one of a folder beside others."""
    return name if isinstance(name, str) and _NAME.fullmatch(name) and not set(name) <= {"."} else None


def parse_board(data: bytes) -> str | None:
    """The board of a ``build_info.yml`` as ``nrf5340dk/nrf5340/cpuapp``; None where it names none.

    Raises FormatError for what is no YAML of a bounded size.
    """
    document = yamltext.load(data)
    cmake = document.get("cmake") if isinstance(document, dict) else None
    board = cmake.get("board") if isinstance(cmake, dict) else None
    name = board.get("name") if isinstance(board, dict) else None
    if not isinstance(board, dict) or not isinstance(name, str):
        return None
    qualifiers = board.get("qualifiers")
    return f"{name}/{qualifiers}" if isinstance(qualifiers, str) and qualifiers else name


def parse_define(data: bytes, name: str) -> str | None:
    """The text of ``#define NAME "..."`` in a C header; None where it is not there."""
    found = (one[2] for one in _DEFINE.finditer(data) if one[1].decode("ascii") == name)
    return next((text.decode("utf-8", "replace") for text in found), None)


def parse_public_key(data: bytes) -> bytes:
    """The bytes of the key in an ``autogen-pubkey.c``. Raises FormatError for what is no such file."""
    found = _KEY_BYTES.search(data)
    words = [] if found is None else found[1].replace(b",", b" ").split()
    try:
        key = bytes(int(word, 16) for word in words)
    except ValueError:
        key = b""
    if not key:
        raise FormatError("it has no public key as imgtool writes it")
    return key
