"""One signing as a program orders it: the files that are made, what is refused before, and what is warned of."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import replace
from pathlib import Path

import pytest

from smpdfu.errors import ImageError, SignatureError, SigningError
from smpdfu.image.files import Segment, encode_firmware, read_firmware, read_key_file
from smpdfu.image.format import SIGNATURE_TYPES, Version
from smpdfu.image.image_file import read_image
from smpdfu.image.keys.keys import PrivateKey, generate
from smpdfu.image.signing.cautions import cautions
from smpdfu.image.signing.order import Order, objection_to, sign, write_vector
from smpdfu.image.signing.release import image_warnings, key_warnings
from smpdfu.image.signing.spec import ImageSpec

SPEC = ImageSpec(version=Version(1, 2, 3), header_size=0x200, slot_size=0x20000, pad_header=True, align=4)
DEV_KEY = Path(__file__).parent.parent.parent / "keys" / "dev-sign-p256.pem"


@pytest.fixture
def key() -> PrivateKey:
    return generate("ecdsa-p256")


@pytest.fixture
def order(tmp_path: Path, key: PrivateKey) -> Order:
    """Firmware of an nRF5340's application, to be signed into a .bin and a .hex."""
    source = tmp_path / "app.bin"
    source.write_bytes((0x2000_1000).to_bytes(4, "little") + (0xC3A1).to_bytes(4, "little") * 0xFF)
    outfiles = (tmp_path / "app.signed.bin", tmp_path / "app.signed.hex")
    return Order(SPEC, source, outfiles, (key,), hex_addr=0xC000, sig_out=tmp_path / "app.sig")


def test_all_files_are_of_one_signing(order: Order) -> None:
    signed = sign(order)
    made = [read_image(path) for path in order.outfiles]
    assert made == [signed.image, signed.image]
    assert order.sig_out is not None
    signatures = [tlv.data for tlv in signed.image.unprotected if tlv.type in SIGNATURE_TYPES]
    assert [b64decode(order.sig_out.read_bytes())] == signatures
    assert signed.payload == order.infile.read_bytes()


def test_a_signature_made_elsewhere_is_checked(order: Order, key: PrivateKey, tmp_path: Path) -> None:
    digest, signature = tmp_path / "digest", tmp_path / "signature"
    write_vector(replace(order, outfiles=(digest,), sig_out=None), "digest", key.public)
    signature.write_bytes(key.sign_digest(digest.read_bytes()))
    assert sign(order.with_signature(signature, key.public)).image.hash == digest.read_bytes()
    with pytest.raises(SignatureError):
        sign(order.with_signature(signature, generate("ecdsa-p256").public))
    signature.write_bytes(bytes(0x10001))
    with pytest.raises(ImageError, match="too large"):
        order.with_signature(signature, key.public)


def test_what_is_no_firmware_is_told_before_it_is_signed(order: Order) -> None:
    assert objection_to(order, read_firmware(order.infile)) is None
    order.infile.write_text("this is a text and no firmware at all\n" * 20)
    assert objection_to(order, read_firmware(order.infile))
    assert objection_to(replace(order, spec=replace(SPEC, non_bootable=True)), read_firmware(order.infile)) is None


def test_an_image_and_its_signature_need_two_files(order: Order) -> None:
    with pytest.raises(ImageError, match="the same output file"):
        replace(order, sig_out=order.outfiles[0])


def test_a_missing_load_address_is_found_with_the_slot_where_a_hex_tells_it(order: Order, tmp_path: Path) -> None:
    (found,) = (one for one in cautions(sign(order), None, check_link=True) if one.code == "no-load-address")
    assert found.slot_start is None
    plain = tmp_path / "plain.hex"
    plain.write_bytes(encode_firmware((Segment(0xC200, order.infile.read_bytes()),), plain))
    (found,) = (
        one for one in cautions(sign(replace(order, infile=plain)), None, check_link=True) if one.slot_start is not None
    )
    assert (found.code, found.slot_start) == ("no-load-address", 0xC000)
    assert "--" not in found.message


def test_an_error_about_the_input_names_the_file_and_keeps_its_code(order: Order) -> None:
    far = order.infile.with_suffix(".hex")
    code = order.infile.read_bytes()
    far.write_bytes(encode_firmware((Segment(0xC200, code), Segment(0x0100_8A00, code)), far))
    with pytest.raises(ImageError, match=r"app\.hex: .*parts far apart") as refused:
        sign(replace(order, infile=far))
    assert refused.value.code == "parts-far-apart"


def test_a_release_is_signed_with_a_key_of_ones_own(order: Order, key: PrivateKey) -> None:
    assert key_warnings([key], None, release=True) == ()
    with pytest.raises(SigningError, match="has no signature"):
        key_warnings([], None, release=True)
    known = read_key_file(DEV_KEY, lambda: None)
    assert isinstance(known, PrivateKey)
    (sentence,) = key_warnings([known], None, release=False)
    with pytest.raises(SigningError, match="cannot be released"):
        key_warnings([known], None, release=True)
    image = sign(replace(order, signers=(known,))).image
    assert "dev-sign-p256" in sentence
    assert len(image_warnings(image, release=False)) == 1
    with pytest.raises(SigningError, match="cannot be released"):
        image_warnings(image, release=True)
