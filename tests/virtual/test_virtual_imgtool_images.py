"""Images made by the real imgtool: what MCUboot does with them, the virtual device does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from smpdfu.image.format import Version
from smpdfu.image.keys.keys import PrivateKey, generate
from smpdfu.image.trailer import SwapMode, max_image_size_bytes
from smpdfu.virtual.boot.bootloader import BootKeys, BootResult

if TYPE_CHECKING:
    from tests.virtual.virtual_bench import SIGNING, Bench, small_layout
else:
    from virtual_bench import SIGNING, Bench, small_layout

OLD, NEW = Version(1), Version(2)
SLOT = "0x7000"

Sign = Callable[..., bytes]
"""``sign(device, payload, option, ...)``: an image of version 2 by imgtool; ``-E`` stands alone, for the device."""


@pytest.fixture
def sign(tmp_path: Path) -> Sign:
    from imgtool.main import imgtool

    def run(device: Bench, payload: bytes, *options: str, signer: PrivateKey | None = None) -> bytes:
        source, target, key, recipient = (tmp_path / name for name in ("in.bin", "out.bin", "key.pem", "to.pem"))
        source.write_bytes(payload)
        key.write_bytes(device.signing_pem if signer is None else signer.to_private_pem())
        arguments = ["sign", "-k", str(key), "-v", "2.0.0", "-S", SLOT, "--align", "4", "--pad-header", *options]
        if "-E" in options:
            assert isinstance(device.keys.decryption, PrivateKey)
            recipient.write_bytes(device.keys.decryption.public.to_pem())
            arguments.insert(arguments.index("-E") + 1, str(recipient))
        if "-H" not in options:
            arguments += ["-H", "0x200"]
        outcome = CliRunner().invoke(imgtool, [*arguments, str(source), str(target)])
        assert outcome.exit_code == 0, outcome.output
        return target.read_bytes()

    return run


def app_payload(device: Bench, header: int = 0x200) -> bytes:
    return device.payload(device.layout.primary.start + header)


def version_of(result: BootResult) -> Version | None:
    return None if result.running is None else result.running.header.version


def update(device: Bench, image: bytes) -> list[Version | None]:
    """The versions that run after the next boots when this image is tested."""
    device.write("primary", device.app_image(1, version=OLD))
    device.upload(image)
    return [version_of(device.boot()) for _ in range(3)]


def test_a_signed_image_is_tested_and_reverted(bench: Bench, sign: Sign) -> None:
    image = sign(bench, app_payload(bench))
    assert update(bench, image) == [NEW, OLD, OLD]
    assert bench.holds("secondary", image)


def test_an_encrypted_image_is_tested_and_reverted(encrypted_bench: Bench, sign: Sign) -> None:
    image = sign(encrypted_bench, app_payload(encrypted_bench), "-E")
    assert update(encrypted_bench, image) == [NEW, OLD, OLD]
    assert encrypted_bench.holds("secondary", image)


@pytest.mark.parametrize(("mark", "versions"), [("--test", [NEW, OLD, OLD]), ("--confirm", [NEW, NEW, NEW])])
def test_a_padded_image_marks_itself(bench: Bench, sign: Sign, mark: str, versions: list[Version]) -> None:
    bench.write("primary", bench.app_image(1, version=OLD))
    bench.write("secondary", sign(bench, app_payload(bench), mark))
    assert [version_of(bench.boot()) for _ in range(3)] == versions


def test_a_confirmed_image_in_the_primary_slot_boots(bench: Bench, sign: Sign) -> None:
    bench.write("primary", sign(bench, app_payload(bench), "--confirm"))
    assert [version_of(bench.boot()) for _ in range(2)] == [NEW, NEW]


def test_a_network_image_is_handed_over(bench: Bench, sign: Sign) -> None:
    payload = bench.payload(bench.layout.net.app.start)
    assert update(bench, sign(bench, payload)) == [OLD, OLD, OLD]
    assert bench.net.app.read(0, len(payload)) == payload


def test_the_size_that_imgtool_lets_through_is_not_what_fits(bench: Bench, sign: Sign) -> None:
    payload = bench.payload(bench.layout.primary.start + 0x200, size=0x7000 - 4096)
    image = sign(bench, payload)
    assert len(image) > max_image_size_bytes(bench.layout.geometry())
    assert update(bench, image) == [OLD, OLD, OLD]
    assert bench.is_blank("secondary")


def test_another_length_of_content_key_is_refused(encrypted_bench: Bench, sign: Sign) -> None:
    image = sign(encrypted_bench, app_payload(encrypted_bench), "-E", "--encrypt-keylen", "256")
    assert update(encrypted_bench, image) == [OLD, OLD, OLD]


def test_an_encrypted_image_with_a_header_of_no_whole_blocks_bricks_the_device(
    encrypted_bench: Bench, sign: Sign
) -> None:
    """The loader finds the image valid, decrypts it wrongly on the way, and has nothing to boot."""
    image = sign(encrypted_bench, app_payload(encrypted_bench, 0x28), "-E", "-H", "0x28")
    assert update(encrypted_bench, image) == [None, OLD, OLD]  # with --test, a watchdog's reset saves it
    assert "E: Image in the primary slot is not valid!" in encrypted_bench.log
    encrypted_bench.upload(image, permanent=True)
    assert [encrypted_bench.boot().running for _ in range(3)] == [None, None, None]


@pytest.mark.parametrize("header", ["0x20", "0x400", "0x500"])
def test_an_encrypted_image_with_whole_blocks_runs(encrypted_bench: Bench, sign: Sign, header: str) -> None:
    image = sign(encrypted_bench, app_payload(encrypted_bench, int(header, 0)), "-E", "-H", header)
    assert update(encrypted_bench, image) == [NEW, OLD, OLD]


# --- what imgtool signs and the loader refuses, in every way of updating --------------------------------------------

M, S, F, W = SwapMode.MOVE, SwapMode.SCRATCH, SwapMode.OFFSET, SwapMode.OVERWRITE_ONLY
TAKEN, REFUSED, BRICKED = "taken", "refused", "bricked"
AFTER = {
    (TAKEN, False): [NEW, OLD, OLD],
    (TAKEN, True): [NEW, NEW, NEW],
    (REFUSED, False): [OLD, OLD, OLD],
    (REFUSED, True): [OLD, OLD, OLD],
    (BRICKED, False): [None, OLD, OLD],  # a test: a watchdog's reset saves it
    (BRICKED, True): [None, None, None],
}
SIZE = 0x7000


@dataclass(frozen=True)
class Row:
    """An image by imgtool, and what becomes of it by the bootloader's way of updating; ``others`` where not named."""

    name: str
    options: tuple[str, ...] = ()
    size: int = 9000
    header: int = 0x200
    signer: str = "ecdsa-p256"
    recipient: str = "ecdsa-p256"
    others: str = TAKEN
    by_mode: tuple[tuple[SwapMode, str], ...] = ()

    def outcome(self, mode: SwapMode) -> str:
        return dict(self.by_mode).get(mode, self.others)


ROWS = [
    Row("a plain image"),
    Row("one that leaves no free sector", size=SIZE - 6500, by_mode=((M, REFUSED), (F, REFUSED))),
    Row("encrypted", ("-E",)),
    Row("encrypted with 256 bits for a loader of 128", ("-E", "--encrypt-keylen", "256"), others=REFUSED),
    Row("encrypted, a header of 0x28", ("-E", "-H", "0x28"), header=0x28, others=BRICKED),
    Row("encrypted, a header of 0x34", ("-E", "-H", "0x34"), header=0x34, others=BRICKED),
    Row("encrypted, a header of 0x500", ("-E", "-H", "0x500"), header=0x500),
    Row("plain, a header of 0x28", ("-H", "0x28"), header=0x28),
    Row("encrypted and clear", ("-E", "--clear"), others=REFUSED),
    Row("big endian", ("-e", "big"), others=REFUSED),
    Row("P-384 for P-384, without a key in it", ("-E",), signer="ecdsa-p384", recipient="ecdsa-p384", others=REFUSED),
    Row("RSA-3072 for RSA-3072", ("-E",), signer="rsa-3072", recipient="rsa-3072", others=REFUSED),
    Row("of another key", signer="ed25519", others=REFUSED),
    Row("not to be booted", ("--non-bootable",), others=REFUSED),
    Row("with a TLV of its own", ("--custom-tlv", "0xa0", "0x01")),
]


@cache
def key_of(kind: str) -> PrivateKey:
    return generate(kind)


@pytest.mark.parametrize("mode", SwapMode)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_loader_decides_and_not_imgtool(row: Row, mode: SwapMode, sign: Sign) -> None:
    signer = None if row.signer == "ecdsa-p256" else key_of(row.signer)
    trusted = () if signer is None or row.signer == "ed25519" else (signer.public,)
    secret = key_of(row.recipient) if "-E" in row.options else None
    device = Bench(small_layout(mode), BootKeys((SIGNING.public, *trusted), secret))
    payload = device.payload(device.layout.primary.start + row.header, size=row.size)
    image = sign(device, payload, *row.options, signer=signer)
    outcome = row.outcome(mode)
    assert update(device, image) == AFTER[outcome, mode is SwapMode.OVERWRITE_ONLY]
    # Swap using offset finds no magic where it looks, and takes the first sector for an erased header.
    unseen = row.name == "big endian" and mode is SwapMode.OFFSET
    if outcome == REFUSED and row.name != "not to be booted" and not unseen:
        assert device.is_blank("secondary")


@pytest.mark.parametrize(("beyond", "outcome"), [(0, TAKEN), (4, REFUSED)])
def test_the_last_bytes_of_a_slot_that_is_overwritten_are_not_an_image_s(beyond: int, outcome: str, sign: Sign) -> None:
    """imgtool leaves 32 bytes for the trailer, the loader 40."""
    device = Bench(small_layout(SwapMode.OVERWRITE_ONLY))
    options, start = ("--overwrite-only", "--pad-sig"), device.layout.primary.start + 0x200
    overhead = len(sign(device, device.payload(start), *options)) - 9000
    image = sign(device, device.payload(start, SIZE - 40 + beyond - overhead), *options)
    assert len(image) == SIZE - 40 + beyond
    device.write("primary", device.app_image(1, version=OLD))
    device.write("secondary", image)
    device.slots.secondary.write_magic()  # swap_info would no longer be blank
    assert [version_of(device.boot()) for _ in range(3)] == AFTER[outcome, True]
