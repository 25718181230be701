"""What MCUboot refuses, and what becomes of it; and what it should have refused and does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from smpdfu.image.format import Flag, Image, Tlv, Version
from smpdfu.image.keys.keys import generate
from smpdfu.virtual.boot.bootloader import BootResult, Ending
from smpdfu.virtual.boot.build import AddressCheck, BootOptions

if TYPE_CHECKING:
    from tests.virtual.conftest import Bench

OLD, NEW = Version(1), Version(2)
STRANGER = generate("ecdsa-p256")


def version_of(result: BootResult) -> Version | None:
    return None if result.running is None else result.running.header.version


def flipped(image: bytes, offset: int) -> bytes:
    changed = bytearray(image)
    changed[offset] ^= 1
    return bytes(changed)


def with_tlv(image: bytes) -> bytes:
    """The image with a vendor's TLV in the area that nothing protects."""
    parsed = Image.from_bytes(image)
    return replace(parsed, unprotected=(*parsed.unprotected, Tlv(0xA0, b"?"))).to_bytes()


def without_signature(image: bytes) -> bytes:
    parsed = Image.from_bytes(image)
    return replace(parsed, unprotected=parsed.unprotected[:1]).to_bytes()


REFUSED: dict[str, Callable[[Bench], bytes]] = {
    "another key": lambda bench: bench.app_image(2, key=STRANGER),
    "not signed": lambda bench: bench.app_image(2, key=None),
    "signature removed": lambda bench: without_signature(bench.app_image(2)),
    "bit flipped in the magic": lambda bench: flipped(bench.app_image(2), 0),
    "bit flipped in the version": lambda bench: flipped(bench.app_image(2), 20),
    "bit flipped in the header's padding": lambda bench: flipped(bench.app_image(2), 100),
    "bit flipped in the payload": lambda bench: flipped(bench.app_image(2), 4000),
    "bit flipped in the signature": lambda bench: flipped(bench.app_image(2), len(bench.app_image(2)) - 5),
    "cut off": lambda bench: bench.app_image(2)[:5000],
    "TLV not allowed": lambda bench: with_tlv(bench.app_image(2)),
    "encrypted": lambda bench: bench.app_image(2, encrypt=STRANGER),
    "no image at all": lambda bench: bytes(9000),
}


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("permanent", [False, True], ids=("test", "permanent"))
def test_a_refused_image_is_erased_and_the_old_one_runs(
    bench: Bench, make: Callable[[Bench], bytes], permanent: bool
) -> None:
    old = bench.app_image(1, version=OLD)
    bench.write("primary", old)
    bench.upload(make(bench), permanent=permanent)
    result = bench.boot()
    assert (version_of(result), result.swapped) == (OLD, False)
    assert bench.holds("primary", old)
    assert bench.is_blank("secondary")
    assert "E: Image in the secondary slot is not valid!" in bench.log
    assert version_of(bench.boot()) == OLD


ENCRYPTED_REFUSED: dict[str, Callable[[Bench], bytes]] = {
    "for another device": lambda bench: bench.app_image(2, encrypt=STRANGER),
    "another key length": lambda bench: bench.app_image(2, encrypt=bench.keys.decryption, encrypt_keylen=256),
    "signed by another key": lambda bench: bench.app_image(2, encrypt=bench.keys.decryption, key=STRANGER),
    "payload not encrypted": lambda bench: bench.app_image(2, encrypt=bench.keys.decryption, clear=True),
    "bit flipped in the payload": lambda bench: flipped(bench.app_image(2, encrypt=bench.keys.decryption), 4000),
    "bit flipped in the wrapped key": lambda bench: flipped(bench.app_image(2, encrypt=bench.keys.decryption), -1),
}


@pytest.mark.parametrize("make", ENCRYPTED_REFUSED.values(), ids=ENCRYPTED_REFUSED)
def test_a_refused_encrypted_image_is_erased(encrypted_bench: Bench, make: Callable[[Bench], bytes]) -> None:
    device = encrypted_bench
    device.write("primary", device.app_image(1, version=OLD))
    device.upload(make(device))
    assert version_of(device.boot()) == OLD
    assert device.is_blank("secondary")


def test_a_device_with_a_long_content_key_takes_aes_256(encrypted_bench: Bench) -> None:
    device = replace(encrypted_bench, keys=replace(encrypted_bench.keys, content_key_size=32))
    device.write("primary", device.app_image(1, version=OLD))
    new = device.app_image(2, version=NEW, encrypt=device.keys.decryption, encrypt_keylen=256)
    device.upload(new)
    assert version_of(device.boot()) == NEW
    assert version_of(device.boot()) == OLD
    assert device.holds("secondary", new)


def test_a_plain_image_goes_into_a_device_with_encryption_too(encrypted_bench: Bench) -> None:
    encrypted_bench.write("primary", encrypted_bench.app_image(1, version=OLD))
    encrypted_bench.upload(encrypted_bench.app_image(2, version=NEW))
    assert version_of(encrypted_bench.boot()) == NEW


def test_a_plain_payload_under_an_encrypted_header_is_for_the_primary_slot(encrypted_bench: Bench) -> None:
    device = encrypted_bench
    device.write("primary", device.app_image(1, version=OLD, encrypt=device.keys.decryption, clear=True))
    assert version_of(device.boot()) == OLD


def test_several_keys_are_trusted(bench: Bench) -> None:
    device = replace(bench, keys=replace(bench.keys, verifiers=(STRANGER.public, *bench.keys.verifiers)))
    device.write("primary", device.app_image(1, version=OLD))
    device.upload(device.app_image(2, version=NEW, key=STRANGER))
    assert version_of(device.boot()) == NEW


@pytest.mark.parametrize("address", [0x0, 0x0100_0000, 0x10_0000])
def test_an_image_linked_elsewhere_vanishes_where_its_vector_is_checked(bench: Bench, address: int) -> None:
    bench.keys = replace(bench.keys, options=BootOptions(check_address=AddressCheck.VECTOR))
    bench.write("primary", bench.app_image(1, version=OLD))
    bench.upload(bench.linked_image(address, version=NEW))
    assert version_of(bench.boot()) == OLD
    assert bench.is_blank("secondary")
    assert "E: Binary in secondary slot of image 0 is not designated for the primary slot" in bench.log


def test_a_bootloader_with_encryption_does_not_look_where_an_image_is_linked(encrypted_bench: Bench) -> None:
    device = replace(
        encrypted_bench,
        keys=replace(encrypted_bench.keys, options=BootOptions(check_address=AddressCheck.VECTOR)),
    )
    device.write("primary", device.app_image(1, version=OLD))
    device.upload(device.linked_image(0x0, version=NEW))
    result = device.boot()
    assert (result.running, result.ending) == (None, Ending.CRASH)
    assert version_of(device.boot()) == OLD


def test_an_image_that_is_not_to_be_booted_stays_where_it_is(bench: Bench) -> None:
    library = bench.app_image(2, non_bootable=True)
    assert Image.from_bytes(library).header.flags & Flag.NON_BOOTABLE
    bench.write("primary", bench.app_image(1, version=OLD))
    bench.upload(library)
    assert version_of(bench.boot()) == OLD
    assert bench.holds("secondary", library)
    assert bench.slots.secondary.trailer().magic == "unset"


def test_a_running_image_that_cannot_be_encrypted_again_stops_the_bootloader(encrypted_bench: Bench) -> None:
    device = encrypted_bench
    device.write("primary", device.app_image(1, version=OLD, encrypt=STRANGER, clear=True))
    assert version_of(device.boot()) == OLD
    device.upload(device.app_image(2, version=NEW))
    before = device.app.operations
    for _ in range(2):
        assert device.boot().running is None
        assert device.log[-1] == 'assertion "rc >= 0" failed'
    assert device.app.operations == before


def test_a_running_image_whose_end_is_unknown_stops_the_bootloader(bench: Bench) -> None:
    bench.write("primary", flipped(bench.app_image(1), 0x200 + 9000))
    bench.upload(bench.app_image(2))
    assert bench.boot().running is None
    assert bench.log[-1] == 'assertion "rc == 0" failed'


def test_a_running_image_that_is_damaged_is_replaced_all_the_same(bench: Bench) -> None:
    bench.write("primary", flipped(bench.app_image(1), 0x200 + 8000))
    bench.upload(bench.app_image(2, version=NEW))
    assert version_of(bench.boot()) == NEW
    assert version_of(bench.boot()) == NEW  # the revert finds nothing valid to go back to


@pytest.mark.parametrize("offset", [0x200, 0x1000])
def test_a_damaged_primary_image_does_not_boot_and_is_kept(bench: Bench, offset: int) -> None:
    image = flipped(bench.app_image(1), offset)
    bench.write("primary", image)
    assert bench.boot().running is None
    assert bench.holds("primary", image)
