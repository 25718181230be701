"""Every finding of preflight: a real package and a virtual device that lead to it, through ``smpdfu update``.

For each: what is said, the exit code, that nothing was written; and what becomes of the device with ``--force``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.dfu.findings import FINAL, SOURCES, Severity
from smpdfu.dfu.package import Core, CoreImage
from smpdfu.image.encrypt import ctr, unwrap_key
from smpdfu.image.format import Dependency, Flag, Image, Tlv, TlvType, Version
from smpdfu.image.keys import PrivateKey, generate
from smpdfu.image.trailer import Padding, pad_to_slot
from smpdfu.image.verdict import Code
from smpdfu.smp.groups.image import ImageSlot, SlotInfo
from smpdfu.smp.groups.os import BootloaderInfo, BootloaderMode
from smpdfu.virtual.bootloader import BootOptions
from smpdfu.virtual.content import Content
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.groups import image as image_group
from smpdfu.virtual.groups import os as os_group
from smpdfu.virtual.groups.os import Build
from smpdfu.virtual.layout import LAYOUTS
from tests.cli.device.preflight_bench import SIMULTANEOUS, STAGED, Bench, Built, remade, with_flags, without
from tests.dfu.conftest import Maker

if TYPE_CHECKING:
    from tests.cli.conftest import Call

Prepare = Callable[[Bench], Path]
ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
OVERWRITE, OFFSET, SCRATCH = "nrf5340dk-staged-overwrite", "nrf5340dk-staged-offset", "nrf5340dk-staged-scratch"
OLD, NEW = ("1.0.0", "1.0.0"), ("2.0.0", "2.0.0")
AS_USUAL = Built()
APP_ONLY, NET_ONLY = ("2.0.0", "1.0.0"), ("1.0.0", "2.0.0")


@dataclass(frozen=True)
class Row:
    """``forced``: the exit code with --force (of a warning or a note: without it). ``then``: the versions that both
    cores run after it was switched off and on; None: that core is dead, and a debugger is needed.
    """

    code: str
    severity: Severity
    prepare: Prepare
    forced: int
    then: tuple[str | None, str | None]
    built: Built = AS_USUAL
    arguments: tuple[str, ...] = ()
    trusts_both: bool = False


# --- packages ---------------------------------------------------------------------------------------------------------


def app(**how: Any) -> Prepare:
    return lambda bench: bench.package(bench.image(**how))


def net(**how: Any) -> Prepare:
    return lambda bench: bench.package(bench.image(Core.NET, **how))


def both(**net_how: Any) -> Prepare:
    return lambda bench: bench.package(bench.image(), bench.image(Core.NET, **net_how))


def changed(change: Callable[[Image], Image], **how: Any) -> Prepare:
    """An application that is signed anew after the change."""
    return lambda bench: bench.package(bench.image(change=lambda image: remade(change(image), bench.keys.key), **how))


def broken(change: Callable[[Image], Image], **how: Any) -> Prepare:
    """An application that is changed and not signed anew."""
    return lambda bench: bench.package(bench.image(change=change, **how))


def other_key(bench: Bench) -> Path:
    return bench.package(bench.image(), bench.image(Core.NET, key=bench.stranger))


def flipped(image: Image) -> Image:
    return replace(image, payload=image.payload[:300] + bytes([image.payload[300] ^ 1]) + image.payload[301:])


def wrong_core(bench: Bench) -> Path:
    """The network core's firmware under the application's name."""
    found = bench.image(Core.NET)
    return bench.package(
        CoreImage(Core.APP, "app_update.bin", found.data, found.image, {"load_address": bench.app_code})
    )


def padded(bench: Bench) -> Path:
    """As ``imgtool sign --pad --confirm`` writes it."""
    slot = LAYOUTS[bench.built.layout].secondary
    data = pad_to_slot(bench.data(), Padding(slot.size_bytes, confirm=True))
    return bench.package(CoreImage.from_bytes(data, "app_update.bin", {"load_address": bench.app_code}))


def with_tlv(image: Image, kind: int, data: bytes) -> Image:
    """The same with one more TLV, where no hash covers it."""
    return replace(image, unprotected=(*image.unprotected, Tlv(kind, data)))


def odd_header(bench: Bench) -> Path:
    """Encrypted, with a header that is no multiple of 16 long; everything else about it is in order."""

    def change(image: Image) -> Image:
        header = replace(image.header, hdr_size=image.header.hdr_size + 4)
        image = remade(replace(image, header=header, header_pad=image.header_pad + b"\xff" * 4), bench.keys.key)
        tlv = image.encryption_key_tlv
        assert tlv is not None
        return replace(image, payload=ctr(image.payload, unwrap_key(tlv, bench.keys.encryption, 16)))

    return bench.package(bench.image(encrypted=True, spec={"clear": True}, change=change))


def short_dependency(image: Image) -> Image:
    header = replace(image.header, protect_tlv_size=image.header.protect_tlv_size - 4)
    return replace(image, header=header, protected=(Tlv(TlvType.DEPENDENCY, bytes(8)),))


def other_inside(image: Image) -> Image:
    """Compressed, and what comes out of it has another hash than it says."""
    wrong = tuple(Tlv(tlv.type, bytes(32)) if tlv.type == TlvType.DECOMP_SHA else tlv for tlv in image.protected)
    return replace(image, protected=wrong)


# --- devices ----------------------------------------------------------------------------------------------------------


def after(prepare: Prepare, *lines: Callable[[Bench], None]) -> Prepare:
    def prepared(bench: Bench) -> Path:
        for line in lines:
            line(bench)
        return prepare(bench)

    return prepared


def in_recovery(bench: Bench) -> None:
    bench.do("reset", "--boot-mode", "1")


def marked(version: str) -> Callable[[Bench], None]:
    return lambda bench: bench.do("upload", bench.file(bench.image(version=version)), "--test")


def restarted(bench: Bench) -> None:
    bench.do("reset")


def updated(**how: Any) -> Callable[[Bench], None]:
    return lambda bench: bench.do("update", bench.package(bench.image(**how)))


def flagless(bench: Bench) -> None:
    """An SMP server that lists its images without flags."""

    def line(image: int, slot: int, content: Content, flags: dict[str, bool]) -> ImageSlot:
        return ImageSlot(image=image, slot=slot, version=str(content.version), hash=content.hash)

    bench.patch.setattr(image_group, "_line", line)


def says(mode: BootloaderMode) -> Callable[[Bench], None]:
    """The device tells this mode of its bootloader, whatever that does."""
    return lambda bench: bench.patch.setattr(os_group, "MODES", dict.fromkeys(os_group.MODES, mode))


def other_board(bench: Bench) -> None:
    bench.patch.setattr(VirtualNrf5340, "build", Build(platform="thingy53/nrf5340/cpuapp"))


NEEDS_NET: dict[str, Any] = {"spec": {"dependencies": (Dependency(1, Version(3)),)}}
PACKED: dict[str, Any] = {"spec": {"compression": "lzma2"}}
FIRST_COUNTER = updated(version="2.0.0", counter=7)
NO_DOWNGRADE = Built(options=BootOptions(downgrade_prevention=True))

ROWS = (
    # The device.
    Row("recovery", ERROR, after(app(), in_recovery), 6, OLD),
    Row("no-running-image", ERROR, after(app(), flagless), 8, APP_ONLY),
    Row("bootloader-mode", ERROR, after(app(), says(BootloaderMode.DIRECT_XIP)), 0, APP_ONLY),
    Row("bootloader-mode", ERROR, after(app(), says(BootloaderMode.RAM_LOAD)), 0, APP_ONLY),
    Row("no-revert", WARNING, app(), 0, APP_ONLY, Built(OVERWRITE)),
    Row("revert-unknown", WARNING, app(), 0, APP_ONLY, Built(lacks=(BootloaderInfo,))),
    Row("scheme", ERROR, both(), 5, OLD, arguments=("--scheme", "simultaneous")),
    # Network code in the application's slot: no firmware is left that could be reached.
    Row("scheme-unknown", ERROR, both(), 8, (None, None), Built(SIMULTANEOUS, lacks=(SlotInfo, BootloaderInfo))),
    Row("simultaneous-revert", ERROR, after(both(), says(BootloaderMode.SWAP_USING_MOVE)), 0, NEW, Built(SIMULTANEOUS)),
    Row("simultaneous-mode", WARNING, both(), 0, NEW, Built(SIMULTANEOUS, lacks=(BootloaderInfo,))),
    Row("one-core", NOTE, app(), 0, APP_ONLY, Built(SIMULTANEOUS)),
    Row("not-tied", NOTE, both(), 0, NEW, Built(SIMULTANEOUS)),
    Row("marked-first", ERROR, after(both(), marked("2.0.0")), 0, NEW, Built(SIMULTANEOUS)),
    Row("unconfirmed", ERROR, after(app(), marked("3.0.0"), restarted), 5, OLD),
    Row("pending", ERROR, after(app(), marked("3.0.0")), 5, ("3.0.0", "1.0.0")),
    # The package as a whole.
    Row("net-no-revert", NOTE, both(), 0, NEW, Built(OFFSET)),
    Row("net-key", ERROR, other_key, 7, APP_ONLY),
    Row("dependency", ERROR, app(**NEEDS_NET), 8, OLD, Built(SIMULTANEOUS)),
    Row("dependency", WARNING, app(**NEEDS_NET), 0, APP_ONLY),
    Row(
        "key-changed",
        WARNING,
        after(lambda bench: app(version="3.0.0", key=bench.stranger)(bench), updated()),
        0,
        ("3.0.0", "1.0.0"),
        trusts_both=True,
    ),
    Row(
        "security-counter",
        ERROR,
        after(app(version="3.0.0", counter=6), FIRST_COUNTER, restarted),
        7,
        APP_ONLY,
        Built(options=BootOptions(rollback_protection=True)),
    ),
    # The images.
    Row("not-signed", WARNING, app(key=None), 7, OLD, Built(SCRATCH)),
    Row("not-signed", WARNING, app(key=None), 0, APP_ONLY, Built(signed=False)),
    Row("wrong-core", ERROR, wrong_core, 7, NET_ONLY),
    Row("linked-elsewhere", ERROR, app(address=0x9_0000), 8, OLD),
    Row("linked-elsewhere", ERROR, app(address=0x9_0000), 8, (None, None), Built(OVERWRITE)),
    Row("linked-elsewhere", ERROR, app(address=0x9_0000), 7, OLD, Built(encrypts=False)),
    Row("net-encrypted", ERROR, net(encrypted=True), 8, OLD),
    Row("net-encrypted", ERROR, net(encrypted=True), 8, (None, None), Built(OVERWRITE)),
    Row("net-seal", ERROR, both(breaks=0x300), 8, APP_ONLY),
    Row("net-seal", ERROR, both(breaks=0x300), 8, (None, None), Built(SIMULTANEOUS)),
    Row("net-seal", NOTE, both(seal=None), 0, NEW),
    Row("net-seal", NOTE, both(seal=None), 8, APP_ONLY, Built(net_key=True)),
    Row("net-seal", WARNING, both(seal=None), 0, NEW, Built(SIMULTANEOUS)),
    Row("net-seal", WARNING, both(seal=None), 8, (None, None), Built(SIMULTANEOUS, net_key=True)),
    Row("encrypted", NOTE, app(encrypted=True), 0, APP_ONLY),
    Row("encrypted", NOTE, app(encrypted=True), 7, OLD, Built(encrypts=False)),
    Row("clear", ERROR, app(encrypted=True, spec={"clear": True}), 7, OLD),
    Row("padded", ERROR, padded, 5, APP_ONLY),
    Row("too-large", ERROR, app(size=0x7A000 - 2 * 4096), 7, OLD),
    Row("downgrade", ERROR, app(version="0.9.0"), 7, OLD, NO_DOWNGRADE),
    Row("downgrade", WARNING, app(version="0.9.0"), 0, ("0.9.0", "1.0.0")),
    Row("wrong-board", ERROR, after(app(), other_board), 0, APP_ONLY),
    # What the bootloader's own judgement says.
    Row(Code.HASH, ERROR, broken(flipped), 7, OLD),
    Row(Code.NO_HASH, ERROR, broken(lambda image: without(image, TlvType.SHA256)), 6, OLD),
    Row(Code.ENCRYPTION_KEY, ERROR, broken(lambda image: without(image, TlvType.ENC_EC256), encrypted=True), 7, OLD),
    Row(Code.ENCRYPTED_HEADER, ERROR, odd_header, 8, (None, None), Built(OVERWRITE)),
    Row(Code.SIGNATURE, ERROR, broken(lambda image: with_tlv(image, TlvType.SIG_PURE, b"\x02")), 7, OLD),
    Row(Code.MIXED_SIGNATURES, WARNING, broken(lambda image: with_tlv(image, TlvType.ED25519, bytes(64))), 0, APP_ONLY),
    Row(Code.FLAGS, ERROR, broken(lambda image: with_flags(image, Flag.ENCRYPTED_AES256), encrypted=True), 7, OLD),
    Row(Code.NON_BOOTABLE, ERROR, app(spec={"non_bootable": True}), 7, OLD),
    Row(
        Code.TLV_NOT_ALLOWED,
        ERROR,
        broken(lambda image: with_tlv(image, 0xA5, b"x")),
        7,
        OLD,
    ),
    Row(Code.TLV_SIZE, ERROR, broken(lambda image: with_tlv(image, TlvType.SIG_PURE, b"")), 7, OLD),
    Row(Code.TLV_SIZE, WARNING, changed(short_dependency, **NEEDS_NET), 0, APP_ONLY),
    Row(Code.HMAC_SHA, WARNING, broken(lambda image: with_tlv(image, TlvType.ENC_X25519_SHA512, b"x")), 7, OLD),
    Row(
        Code.SEVERAL_KEYS,
        WARNING,
        broken(lambda image: with_tlv(image, TlvType.ENC_RSA2048, b"x"), encrypted=True),
        0,
        APP_ONLY,
    ),
    Row(Code.DECOMPRESSION, ERROR, changed(other_inside, **PACKED), 7, OLD),
    Row(Code.COMPRESSED, WARNING, app(**PACKED), 7, OLD),
)


@pytest.fixture(scope="session")
def trusted_keys() -> tuple[Maker, PrivateKey]:
    return Maker(generate("ecdsa-p256"), generate("ecdsa-p256")), generate("ecdsa-p256")


@pytest.fixture
def bench(
    request: pytest.FixtureRequest,
    smpdfu: Call,
    tmp_path: Path,
    trusted_keys: tuple[Maker, PrivateKey],
    monkeypatch: pytest.MonkeyPatch,
) -> Bench:
    row: Row = request.param
    made = Bench(smpdfu, tmp_path, trusted_keys[0], row.built, monkeypatch, trusted_keys[1])
    made.more = {"trusts_both": True} if row.trusts_both else {}
    made.start()
    return made


@pytest.mark.parametrize(
    ("row", "bench"),
    [(row, row) for row in ROWS],
    indirect=["bench"],
    ids=[f"{row.code}-{row.severity}-{row.built.layout}-{row.forced}" for row in ROWS],
)
def test_finding(row: Row, bench: Bench) -> None:
    package = row.prepare(bench)
    refused = row.severity is ERROR
    before = bench.flash()
    planned = bench.call("update", package, "--plan", "--json", *row.arguments)
    assert planned.code == (6 if refused else 0), planned.err
    found = {one["code"]: one for one in planned.document["findings"]}
    assert found[row.code]["severity"] == row.severity, sorted(found)
    assert [code for code, one in found.items() if one["severity"] == ERROR] == ([row.code] if refused else [])
    assert bench.flash() == before
    done = bench.call("update", package, *row.arguments)
    assert found[row.code]["message"] in " ".join(done.err.split())
    if refused:
        assert done.code == 6, done.err
        assert bench.flash() == before
        done = bench.call("update", package, "--force", *row.arguments)
    assert (done.code, bench.runs()) == (row.forced, row.then), done.err


@pytest.mark.parametrize("bench", [Row("not-tied", NOTE, both(), 0, NEW, Built(SIMULTANEOUS))], indirect=True)
@pytest.mark.parametrize(("tied", "then"), [(False, NET_ONLY), (True, OLD)])
def test_a_reset_between_the_two_marks(bench: Bench, tied: bool, then: tuple[str, str]) -> None:
    """What "not-tied" is about: the network core's image is marked and its application's is not."""
    spec = {"dependencies": (Dependency(0, Version(2)),)} if tied else {}
    image = bench.image(Core.NET, spec=spec)
    bench.do("upload", bench.file(bench.image()))
    bench.do("upload", bench.file(image), "-n", "1", "--test")
    assert bench.runs() == then
    done = bench.call("update", bench.package(bench.image(), image))
    assert (done.code, bench.runs()) == (0, NEW), done.err
    assert ("does not ask for the application's new version" in done.err) is not tied


def test_every_finding_has_a_row() -> None:
    # These need keys, a slot's size or address, which preflight does not have or judges itself.
    elsewhere = {Code.UNKNOWN_KEY, Code.HASH_ONLY, Code.OTHER_SIGNATURE, Code.PURE_ENCRYPTED, Code.RESET_VECTOR}
    elsewhere |= {Code.KEY_FORMAT, Code.SIGNATURE_FORM}
    assert {row.code for row in ROWS} == (set(SOURCES) | set(Code)) - elsewhere
    assert {row.code for row in ROWS if row.forced == 6} == FINAL
    assert {row.built.layout for row in ROWS} >= {STAGED, OVERWRITE, OFFSET, SCRATCH, SIMULTANEOUS}


def test_every_finding_is_documented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "field-update.md").read_text("utf-8")
    told = {
        cell
        for line in text.splitlines()
        if line.startswith("| `")
        for cell in re.findall("`([a-z-]+)`", line.split("|")[1])
    }
    assert told >= {row.code for row in ROWS}
