"""The kept vectors of dfu_multi_image.bin are what their script makes, and its CBOR is CBOR."""

from __future__ import annotations

import json

import cbor2

from tests.vectors.make_multi_images import FILE, made


def test_the_file_is_what_the_script_makes() -> None:
    assert FILE.read_text() == made()


def test_another_reader_finds_the_images_where_the_script_put_them() -> None:
    for vector in json.loads(FILE.read_text())["good"]:
        data = bytes.fromhex(vector["file"])
        start = 2 + int.from_bytes(data[:2], "little")
        found = []
        for one in cbor2.loads(data[2:start])["img"]:
            found.append([one["id"], data[start : start + one["size"]].hex()])
            start += one["size"]
        assert found == vector["images"]
        assert start == len(data)
