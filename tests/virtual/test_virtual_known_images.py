"""What a bootloader found out about an image holds for the same bytes only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from smpdfu.errors import FormatError
from smpdfu.image.format import Image
from smpdfu.image.keys.keys import KeyKind, PublicKey, generate
from smpdfu.image.verification.verify import verify
from smpdfu.virtual.boot.bootloader import BootKeys
from smpdfu.virtual.chip.flash import Area, Flash
from smpdfu.virtual.chip.storage import Storage

if TYPE_CHECKING:
    from tests.virtual.virtual_bench import HEADER, SECTOR, SIGNING, SMALL, Bench
else:
    from virtual_bench import HEADER, SECTOR, SIGNING, SMALL, Bench


@dataclass(frozen=True, slots=True)
class CountingKey(PublicKey):
    """A public key that notes how often it verified."""

    asked: list[bytes] = None  # type: ignore[assignment]

    def verify_digest(self, signature: bytes, digest: bytes) -> None:
        self.asked.append(digest)
        PublicKey.verify_digest(self, signature, digest)


def counting(kind: KeyKind, raw: object) -> CountingKey:
    """The key, which has verified nothing yet."""
    return CountingKey(kind, raw, [])


def on_buffers(bench: Bench) -> Bench:
    """The same with its flash in a buffer, as a stored device has it."""
    flash = bench.chip.app
    storage: Storage = bytearray(flash.read(flash.base, flash.size_bytes))
    bench.chip.app._storage = storage
    return bench


@pytest.fixture(params=["sparse", "buffer"])
def bench(request: pytest.FixtureRequest) -> Bench:
    """A device that has booted its image."""
    key = counting(SIGNING.public.kind, SIGNING.public.raw)
    made = Bench(keys=BootKeys((key,)))
    if request.param == "buffer":
        on_buffers(made)
    made.write("primary", made.app_image(1))
    assert made.boot().running is not None
    return made


def clear_a_bit(area: Area, offset: int) -> None:
    """Change one byte, as a damaged cell does: its lowest set bit becomes 0."""
    start = offset // 4 * 4
    word = bytearray(area.read(start, 4))
    word[offset - start] &= word[offset - start] - 1
    area.program(start, bytes(word))


def test_the_same_image_is_verified_once(bench: Bench) -> None:
    key = bench.keys.verifiers[0]
    assert isinstance(key, CountingKey)
    count = len(key.asked)
    assert all(bench.boot().running is not None for _ in range(5))
    other = replace(bench)
    other.write("primary", other.app_image(1))
    assert len(key.asked) == count


def is_good(bench: Bench) -> bool:
    """What the judge of images says of the bytes in the primary slot now, without any memory."""
    slot, keys = bench.slots.primary, bench.keys
    try:
        image = Image.from_bytes(slot.area.read_all())
    except FormatError:
        return False
    return not verify(image, (SIGNING.public,), slot=slot.geometry, role="primary", build=keys.build).refusals


def test_each_changed_byte_is_noticed(bench: Bench) -> None:
    """A few bytes of a signature's DER mean nothing to some bootloaders: there, too, it is the judge who decides."""
    image = bench.app_image(1)
    area = bench.slots.primary.area
    end = len(image)
    checked = [1, 8, 16, *range(HEADER, end - 200, 97), *range(end - 200, end)]
    changed = [offset for offset in checked if image[offset]]
    assert len(changed) > 200
    kept = {start: area.read(start, SECTOR) for start in range(0, area.size_bytes, SECTOR)}
    refused = 0
    for offset in changed:
        clear_a_bit(area, offset)
        assert (bench.boot().running is not None) == is_good(bench), f"the change of byte {offset}"
        refused += not is_good(bench)
        sector = offset // SECTOR * SECTOR
        area.erase(sector, SECTOR)
        area.program(sector, kept[sector])
        assert bench.boot().running is not None
    assert refused > len(changed) - 20


def test_another_key_is_another_question(bench: Bench) -> None:
    trusted = bench.keys
    for _ in range(2):
        bench.keys = BootKeys((generate("ecdsa-p256").public,))
        assert bench.boot().running is None
        bench.keys = trusted
        assert bench.boot().running is not None


def test_the_part_that_is_read_has_the_whole_image_and_as_a_rule_not_the_trailer() -> None:
    bench = Bench()
    for size in range(9000, 9000 + 2 * SECTOR, 171):
        image = bench.app_image(3, size)
        bench.write("primary", image)
        pieces = bench.slots.primary.image_pieces()
        assert b"".join(pieces) == bench.slots.primary.area.read(0, -(-len(image) // SECTOR) * SECTOR)
        assert bench.slots.primary.image() == Image.from_bytes(image)


@pytest.mark.parametrize("cut", [1, 20, 40, HEADER, 9000, 9000 + HEADER, 9300])
def test_an_image_that_ends_early_is_refused_as_before(cut: int) -> None:
    """Whatever is behind the cut is erased, so that sizes of areas are wrong, too."""
    bench = Bench()
    image = bench.app_image(3)
    bench.write("primary", image[:cut])
    slot = bench.slots.primary
    with pytest.raises(FormatError) as expected:
        Image.from_bytes(slot.area.read_all())
    with pytest.raises(FormatError) as found:
        slot.image()
    assert str(found.value) == str(expected.value)


def test_an_image_that_says_it_is_larger_than_its_slot_is_refused() -> None:
    bench = Bench()
    image = bytearray(bench.app_image(3))
    image[12:16] = (SMALL.images[0].primary.size_bytes - HEADER - 2).to_bytes(4, "little")
    bench.write("primary", bytes(image))
    with pytest.raises(FormatError, match="cut off"):
        bench.slots.primary.image()


def test_pieces_are_what_is_read() -> None:
    size = 4 * SECTOR
    for flash in (Flash(0, size), Flash(0, size, storage=bytearray(b"\xff" * size))):
        flash.program(SECTOR, bytes(range(256)) * 20)
        for start, count in ((0, size), (SECTOR, 2 * SECTOR), (4, 100), (4, SECTOR), (0, SECTOR + 4), (SECTOR, 0)):
            assert b"".join(flash.pieces(start, count)) == flash.read(start, count)
