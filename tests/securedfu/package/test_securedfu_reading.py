"""What a file is that is no package: a zip that is damaged is not taken for one of another kind."""

from __future__ import annotations

import io
import json
import warnings
import zipfile

import pytest

from smpdfu.errors import FormatError
from smpdfu.securedfu.reading import parse_package

MANIFEST = json.dumps({"manifest": {"application": {"bin_file": "a.bin", "dat_file": "a.dat"}}})


def zipped(*members: tuple[str, str], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns about a name that it has
        for name, text in members:
            archive.writestr(name, text)
    return out.getvalue()


WHOLE = zipped(("manifest.json", MANIFEST), ("a.bin", "firmware"))
ZIPS = {
    "a download that broke off": (WHOLE[:-30], "app.zip cannot be read: the zip is damaged"),
    "a changed byte": (WHOLE.replace(b"bin_file", b"Bin_file", 1), "damaged: its size or checksum"),
    "two files of one name": (zipped(("manifest.json", MANIFEST), ("x", "1"), ("x", "2")), "two files named 'x'"),
    "another method": (zipped(("manifest.json", MANIFEST), method=zipfile.ZIP_BZIP2), "its method is bzip2"),
    "another manifest": (zipped(("manifest.json", "[1]")), "whose manifest.json is not the manifest of a Secure DFU"),
    "no manifest": (zipped(("a.txt", "1")), "is a zip without the manifest of a Secure DFU package"),
}


@pytest.mark.parametrize("title", ZIPS)
def test_a_zip_that_is_no_package_is_told_by_what_is_wrong_with_it(title: str) -> None:
    data, words = ZIPS[title]
    with pytest.raises(FormatError, match=words) as caught:
        parse_package(data, "app.zip")
    assert (caught.value.code, caught.value.facts) == ("not-secure-dfu", {"kind": "ZIP", "file": "app.zip"})
