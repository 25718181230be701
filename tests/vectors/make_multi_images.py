"""Makes ``multi_images.json``: dfu_multi_image.bin files, good and bad, byte by byte, without a CBOR library or ours.

    python tests/vectors/make_multi_images.py          writes the file
    python tests/vectors/make_multi_images.py --check  says whether the file is what would be made now

``good`` are files that the SDK's tool writes and its reader on the device takes, with the images in them. ``bad`` are
files that the reader refuses, or that make it wait or write over an image; ``why`` is a part of what a reader says.
Source: nRF Connect SDK, ``scripts/bootloader/dfu_multi_image_tool.py`` and ``subsys/dfu/dfu_multi_image``; RFC 8949.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

FILE = Path(__file__).with_name("multi_images.json")


def head(major: int, argument: int, width: int | None = None) -> bytes:
    """The first bytes of a CBOR item; as short as they can be, or with ``width`` bytes of argument."""
    if width is None:
        if argument < 24:
            return bytes([major << 5 | argument])
        width = next(size for size in (1, 2, 4, 8) if argument < 1 << 8 * size)
    return bytes([major << 5 | 24 + (1, 2, 4, 8).index(width)]) + argument.to_bytes(width, "big")


def text(word: str) -> bytes:
    """A text."""
    return head(3, len(word)) + word.encode()


def number(value: int) -> bytes:
    """A whole number."""
    return head(0, value) if value >= 0 else head(1, -1 - value)


def entry(identity: int, size: int) -> bytes:
    """What the header says of an image."""
    return head(5, 2) + text("id") + number(identity) + text("size") + number(size)


def file(header: bytes, *images: bytes) -> bytes:
    """A file with this header."""
    return len(header).to_bytes(2, "little") + header + b"".join(images)


def header(*entries: bytes) -> bytes:
    """The map of a file with these entries."""
    return head(5, 1) + text("img") + head(4, len(entries)) + b"".join(entries)


def usual(*images: tuple[int, bytes]) -> bytes:
    """What the SDK's tool writes."""
    return file(header(*(entry(one, len(data)) for one, data in images)), *(data for _, data in images))


A, B, C = b"application" * 30, b"network core", b"x"
GOOD = {
    "both cores": ((0, A), (1, B)),
    "the application": ((0, A),),
    "the network core first": ((1, B), (0, A)),
    "the bootloader, too": ((0, A), (1, B), (-2, B), (-1, C)),
    "with patches": ((0, A), (1, B), (2, C)),
    "the lowest and highest number": ((-(1 << 31), A), ((1 << 31) - 1, B)),
}
# What a device takes, though the SDK's tool writes it otherwise: the same images as "both cores".
OTHER_FORMS = {
    "maps and lists without lengths": b"\xbf"
    + text("img")
    + b"\x9f"
    + b"".join(
        b"\xbf" + text("id") + number(one) + text("size") + number(size) + b"\xff" for one, size in ((0, 330), (1, 12))
    )
    + b"\xff\xff",
    "numbers of four bytes": header(
        *(
            head(5, 2) + text("id") + head(0, one, 4) + text("size") + head(0, size, 4)
            for one, size in ((0, 330), (1, 12))
        )
    ),
    "bytes behind the map": header(entry(0, 330), entry(1, 12)) + bytes(3),
}
BAD = {
    "nothing": (b"", "ends before its header"),
    "one byte": (b"\x10", "ends before its header"),
    "a header that is cut off": (usual((0, A))[:12], "header has"),
    "an image that is cut off": (usual((0, A), (1, B))[:-1], "describes"),
    "a byte behind the last image": (usual((0, A)) + b"\0", "describes"),
    "a number twice": (usual((0, A), (0, B)), "two images with the number 0"),
    "no image": (file(header()), "has 0 images"),
    "an empty image": (usual((0, b""), (1, B)), "has 0 bytes"),
    "an image of 4 GiB": (file(header(entry(0, 0xFFFF_FFFF)), A), "has 4294967295 bytes"),
    "sizes that add up, one of them negative": (file(header(entry(0, 350), entry(1, -20)), A), "bytes; 1 to"),
    "a number of 33 bits": (usual((1 << 31, A)), "more than 32 bits"),
    "size before id": (
        file(head(5, 1) + text("img") + head(4, 1) + head(5, 2) + text("size") + number(1) + text("id") + number(0), C),
        "other keys",
    ),
    "one more key of an image": (
        file(head(5, 1) + text("img") + head(4, 1) + head(5, 3) + entry(0, 1)[1:] + text("slot") + number(0), C),
        "other keys",
    ),
    "one more key": (file(head(5, 2) + header(entry(0, 1))[1:] + text("v") + number(1), C), "no list"),
    "a size that is true": (
        file(head(5, 1) + text("img") + head(4, 1) + head(5, 2) + text("id") + number(0) + text("size") + b"\xf5", C),
        "not a whole number",
    ),
    "an image that is a number": (file(head(5, 1) + text("img") + head(4, 1) + number(5), C), "other keys"),
    "a tag": (file(head(5, 1) + text("img") + head(6, 1) + header(entry(0, 1))[5:], C), "not CBOR"),
    "seventeen images": (usual(*((one, C) for one in range(17))), "1 to 16"),
}


def made() -> str:
    """The file's text."""
    good = [
        {"name": name, "images": [[one, data.hex()] for one, data in images], "file": usual(*images).hex()}
        for name, images in GOOD.items()
    ]
    other = [{"name": name, "file": file(found, A, B).hex()} for name, found in OTHER_FORMS.items()]
    bad = [{"name": name, "file": data.hex(), "why": why} for name, (data, why) in BAD.items()]
    return json.dumps({"good": good, "other_forms": other, "bad": bad}, indent=1) + "\n"


def main() -> None:
    """Write the file, or compare it."""
    if sys.argv[1:] == ["--check"]:
        sys.exit(0 if FILE.read_text() == made() else f"{FILE.name} is not what would be made now")
    FILE.write_text(made())


if __name__ == "__main__":
    main()
