"""YAML of strangers: one named error, bounded words, and nothing is built beyond the bounds."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.cli.image.manifest_file import read_manifest
from smpdfu.errors import FormatError, ImageError
from smpdfu.untrusted import yamltext
from smpdfu.virtual.chip.partitions import read_layout


def billion_laughs(levels: int = 9, width: int = 9) -> bytes:
    lines = ["a0: &a0 [lol, lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines).encode()


BAD = {
    "aliases": (billion_laughs(), "line 2 has an alias or an anchor"),
    "merged aliases": (b"a: &a {b: 1}\nc:\n  <<: *a\n", "alias or an anchor"),
    "lists of lists": (b"- &a [[a]]\n- *a", "alias or an anchor"),
    "a loop": (b"a: &a [*a]", "alias or an anchor"),
    "an empty int": (b'a: !!int ""', "has a tag"),
    "a python object": (b"a: !!python/object/apply:os.system [ls]", "has a tag"),
    "binary": (b"a: !!binary x", "has a tag"),
    "an own tag": (b"!x a", "has a tag"),
    "hex without digits": (b"a: 0x_", "a value that cannot be read"),
    "binary without digits": (b"a: +0b_", "a value that cannot be read"),
    "no month": (b"a: 2001-99-99", "a value that cannot be read"),
    "no time zone": (b"a: 2001-12-14t21:59:43.10-99:99", "a value that cannot be read"),
    "no character": (b'a: "\\U0011ffff"', "a value that cannot be read"),
    "merge of a number": (b"<<: 5", "not YAML"),
    "equals": (b"=: =", "not YAML"),
    "brackets": (b"[" * 100_000, "nested or split up"),
    "braces": (b"{" * 100_000, "nested or split up"),
    "dashes": (b"- " * 100_000, "nested or split up"),
    "question marks": (b"? " * 100_000, "nested or split up"),
    "many": (b"- a\n" * 50_000, "more than 20000 parts"),
    "a long word": (b"a: " + b"9" * 5000, "more than 1024 characters"),
    "a long name": (b"? " + b"a" * 2000 + b"\n: 1", "more than 1024 characters"),
    "large": (b" " * ((1 << 18) + 1), "larger than 256 KiB"),
    "two documents": (b"a\n---\nb", "not YAML"),
    "no unicode": (b"\xff\xfe\x00", "not YAML"),
    "a map as a key": (b"{a: 1}: 2", "not YAML"),
}
READERS: dict[str, Callable[[bytes, Path], object]] = {
    "load": lambda text, path: yamltext.load(text),
    "partitions": lambda text, path: read_layout(text, "x"),
    "manifest": lambda text, path: read_manifest(path, "little"),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", BAD)
def test_what_is_beyond_the_bounds_is_one_short_sentence(name: str, reader: str, tmp_path: Path) -> None:
    text, words = BAD[name]
    path = tmp_path / "x.yml"
    path.write_bytes(text)
    tracemalloc.start()
    try:
        with pytest.raises(ImageError, match=words) as caught:
            READERS[reader](text, path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(path))


PLACE = b"mcuboot: {address: 0, size: 0xc000}\nmcuboot_primary: {address: 0xc000, size: 0x76000}\n"


@pytest.mark.parametrize("value", [
    b"[1]", b"{a: 1}", b"null", b"true", b"1.5", b"2001-01-01", b".nan", b"-1", b"1:1", b"0x" + b"f" * 1000, b"'1'",
])  # fmt: skip
@pytest.mark.parametrize("key", [b"region", b"address", b"size", b"end_address"])
def test_a_partition_of_odd_values_is_a_sentence(key: bytes, value: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        read_layout(PLACE + b"mcuboot_secondary: {address: 1, size: 2, " + key + b": " + value + b"}\n", "x")
    assert len(str(caught.value)) < 1500


@pytest.mark.parametrize("value", [
    b"[1]", b"{a: 1}", b"null", b"true", b"1.5", b"2001-01-01", b".nan", b"-1", b"0x" + b"f" * 1000, b"''",
])  # fmt: skip
@pytest.mark.parametrize("key", ["format", "images", "manifest_index", "path", "hash", "index"])
def test_a_manifest_of_odd_values_is_a_sentence(key: str, value: bytes, tmp_path: Path) -> None:
    fields = {"format": b"1", "images": b"[{hash: '" + b"00" * 32 + b"', index: 1}]", "manifest_index": b"0"}
    if key in fields:
        fields[key] = value
    else:
        fields["images"] = b"[{" + key.encode() + b": " + value + b"}]"
    path = tmp_path / "m.yml"
    path.write_bytes(b"".join(name.encode() + b": " + text + b"\n" for name, text in fields.items()))
    with suppress(ImageError, OSError):
        read_manifest(path, "little")


def test_aliases_of_lists_of_names_are_what_the_sdk_writes() -> None:
    text = b"app: {span: &id001 [app]}\nother: {span: *id001, orig: &id002 [a, b]}\nlast: [*id002, &n 5, *n]\n"
    assert yamltext.load(text) == yaml.safe_load(text)


def test_plain_data_is_as_pyyaml_reads_it() -> None:
    text = b"a: {b: [1, 0x10, true, ~, 1.5, text], c: 'x: y'}\n? long\n: |\n  lines\n  of text\n"
    assert yamltext.load(text) == yaml.safe_load(text)
    assert yamltext.load(b"") is None


@given(st.text(alphabet="ab01:-?[]{}&*!|>'\"%@`,# \n\t.xe_~<=", max_size=60))
def test_any_text_is_data_or_a_format_error(text: str) -> None:
    with suppress(FormatError):
        yamltext.load(text.encode())
