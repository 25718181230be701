"""``verify --image-pairs``: dependencies count where there are several."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from smpdfu.image.format import Image, Tlv, TlvType
from smpdfu.image.keys.keys import load_private
from tests.resigned import with_protected

if TYPE_CHECKING:
    from tests.cli.conftest import Call, Keys


def test_a_dependency_of_the_wrong_length_by_the_number_of_image_pairs(
    signed: Path, keys: Keys, tmp_path: Path, smpdfu: Call
) -> None:
    short, key = tmp_path / "short.bin", load_private(keys.signing.read_bytes())
    image = with_protected(Image.from_bytes(signed.read_bytes()), key, Tlv(TlvType.DEPENDENCY, bytes(11)))
    short.write_bytes(image.to_bytes())
    unsaid = smpdfu("verify", "-k", keys.signing, short)
    assert unsaid.code == 0
    assert "several image pairs install nothing" in unsaid.err
    assert "installs nothing" in smpdfu("verify", "--image-pairs", "2", "-k", keys.signing, short).refused()
    assert smpdfu("verify", "--image-pairs", "1", "-k", keys.signing, short).err == ""
    assert smpdfu("verify", "--image-pairs", "0", "-k", keys.signing, short).code == 2
