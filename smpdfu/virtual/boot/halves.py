"""Whether both halves of a split application (QSPI XIP) are of one build: only then does it run.

The linker makes one program and the build cuts it in two images (``cmake/sysbuild/image_signing_split.cmake`` of the
nRF Connect SDK). The internal half jumps to fixed addresses in the external one, so halves of different builds crash;
MCUboot checks each by itself and starts the internal one. What is in the code cannot be compared here. Two facts stand
for it: the SDK signs both halves with one version; and firmware made for a virtual device may carry a mark, the text
``smpdfu-build:`` with a name and a semicolon, which goes before the versions where both halves have one.
"""

from __future__ import annotations

import re

from smpdfu.image.format import Image

_MARK = re.compile(rb"smpdfu-build:([0-9A-Za-z.+-]{1,64});")


def mark(build: str) -> bytes:
    """The text that names the build of a half. ValueError for a name that it cannot carry."""
    made = f"smpdfu-build:{build};".encode()
    if _MARK.fullmatch(made) is None:
        raise ValueError(f"{build!r} is no name of a build: letters, digits, dot, plus and minus only")
    return made


def are_of_one_build(internal: Image, external: Image) -> bool:
    """True if nothing tells the two halves apart; both are as they are stored in their primary slots."""
    marks = [_MARK.search(half.payload) for half in (internal, external)]
    first, second = (None if found is None else found[1] for found in marks)
    if first is not None and second is not None:
        return first == second
    return internal.header.version == external.header.version
