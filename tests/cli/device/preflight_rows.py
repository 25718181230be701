"""The rows of the table of preflight's findings: packages and virtual devices that lead to each; see the test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from smpdfu.dfu.decide.checks.findings import Severity
from smpdfu.dfu.package.images import Core, PackageImage, Role
from smpdfu.image.format import Dependency, Flag, Image, Tlv, TlvType, Version
from smpdfu.image.signing.encrypt import ctr, unwrap_key
from smpdfu.image.trailer import Padding, pad_to_slot
from smpdfu.image.verification.verdict import Code
from smpdfu.loaders.rules import Loader
from smpdfu.smp.groups.image import ImageSlot, SlotInfo
from smpdfu.smp.groups.os import BootloaderInfo, BootloaderMode
from smpdfu.virtual.boot.build import AddressCheck, BootOptions
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.layout import LAYOUTS
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.server.groups import image as image_group
from smpdfu.virtual.server.groups.os import Build
from smpdfu.virtual.server.slot_content import Content
from tests.cli.device.preflight_bench import SIMULTANEOUS, STAGED, Bench, Built, remade, with_flags, without

Prepare = Callable[[Bench], Path]
ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
OVERWRITE, OFFSET, SCRATCH = "nrf5340dk-staged-overwrite", "nrf5340dk-staged-offset", "nrf5340dk-staged-scratch"
OLD, NEW = ("1.0.0", "1.0.0"), ("2.0.0", "2.0.0")
AS_USUAL = Built()
APP_CLASS, NET_CLASS = bytes(16), bytes(range(16))
CLASSES: dict[str, Any] = {"app_class": APP_CLASS, "net_class": NET_CLASS}
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


def both_named(app_class: bytes | None = None, net_class: bytes | None = None) -> Prepare:
    """Images of both cores that name these classes."""
    return lambda bench: bench.package(
        bench.image(spec={"cid": app_class}), bench.image(Core.NET, spec={"cid": net_class})
    )


def changed(change: Callable[[Image], Image], **how: Any) -> Prepare:
    """An application that is signed anew after the change."""
    return lambda bench: bench.package(bench.image(change=lambda image: remade(change(image), bench.keys.key), **how))


def broken(change: Callable[[Image], Image], **how: Any) -> Prepare:
    """An application that is changed and not signed anew."""
    return lambda bench: bench.package(bench.image(change=change, **how))


def other_key(bench: Bench) -> Path:
    return bench.package(bench.image(), bench.image(Core.NET, key=bench.stranger))


def other_seal(bench: Bench) -> Path:
    """The network image's seal is in order, and by a key that b0n does not trust."""
    return both(seal=bench.keys.key)(bench)


def flipped(image: Image) -> Image:
    return replace(image, payload=image.payload[:300] + bytes([image.payload[300] ^ 1]) + image.payload[301:])


def wrong_core(bench: Bench) -> Path:
    """The network core's firmware under the application's name."""
    found = bench.image(Core.NET)
    return bench.package(
        PackageImage(Role.APP, "app_update.bin", found.data, found.image, {"load_address": bench.app_code})
    )


def padded(bench: Bench) -> Path:
    """As ``imgtool sign --pad --confirm`` writes it."""
    slot = LAYOUTS[bench.built.layout].secondary
    data = pad_to_slot(bench.data(), Padding(slot.size_bytes, confirm=True))
    return bench.package(PackageImage.from_bytes(data, "app_update.bin", {"load_address": bench.app_code}))


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


def running_twice(bench: Bench) -> None:
    """An SMP server that takes slot 1 for the one it runs from, too: zephyr#99762."""
    bench.do("upload", bench.file(bench.image(version="3.0.0")))
    right = image_group._line

    def line(image: int, slot: int, content: Content, flags: dict[str, bool]) -> ImageSlot:
        return right(image, slot, content, flags | {"active": True, "confirmed": True})

    bench.patch.setattr(image_group, "_line", line)


def says(mode: BootloaderMode) -> Callable[[Bench], None]:
    """The device tells this mode of its bootloader, whatever that does."""
    return lambda bench: bench.patch.setattr(BootMode, "number", mode)


def other_board(bench: Bench) -> None:
    bench.patch.setattr(VirtualNrf5340, "build", Build(platform="thingy53/nrf5340/cpuapp"))


def by(loader: str, layout: str = STAGED, **options: Any) -> Built:
    """A device whose MCUboot is of this release: ``3.4.0/dts``."""
    return Built(layout, options=BootOptions(loader=Loader.from_name(loader), **options))


def both_updated(app_how: dict[str, Any], net_how: dict[str, Any]) -> Callable[[Bench], None]:
    return lambda bench: bench.do(
        "update", bench.package(bench.image(**app_how), bench.image(Core.NET, "2.0.0", **net_how))
    )


def said(release: str, partitions: str | None = None) -> tuple[str, ...]:
    """What the person says of the bootloader."""
    return ("--ncs", release) if partitions is None else ("--ncs", release, "--partitions", partitions)


SMALL_B0N = 0x0100_2800
TIED = (Dependency(1, Version(2)),)
NEEDS_APP: dict[str, Any] = {"spec": {"dependencies": (Dependency(0, Version(3)),)}}
NEEDS_NET: dict[str, Any] = {"spec": {"dependencies": (Dependency(1, Version(3)),)}}
PACKED: dict[str, Any] = {"spec": {"compression": "lzma2"}}
FIRST_COUNTER = updated(version="2.0.0", counter=7)
VECTOR_CHECKED = Built(encrypts=False, options=BootOptions(check_address=AddressCheck.VECTOR))
NO_OVERWRITING_DOWNGRADE = Built(OVERWRITE, options=BootOptions(downgrade_prevention=True))
NO_DOWNGRADE = Built(options=BootOptions(downgrade_prevention=True))


def comparing(loader: str, layout: str) -> Built:
    """With downgrade prevention that reads the network core's version, too."""
    return by(loader, layout, downgrade_prevention=True, reads_net_version=True)


def tied() -> Prepare:
    """As ``package --tie`` makes it."""
    return both(spec={"dependencies": (Dependency(0, Version(2)),)})


ROWS = (
    # The device.
    Row("recovery", ERROR, after(app(), in_recovery), 6, OLD),
    Row("no-running-image", ERROR, after(app(), flagless), 5, APP_ONLY),
    Row("active-slot", ERROR, after(app(), running_twice), 8, OLD),
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
    Row("net-no-revert", NOTE, both(), 0, NEW, Built(SCRATCH)),
    Row("net-key", ERROR, other_key, 7, APP_ONLY),
    Row("dependency", ERROR, app(**NEEDS_NET), 7, OLD, Built(SIMULTANEOUS)),
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
    Row("linked-elsewhere", ERROR, app(address=0x9_0000), 7, OLD, VECTOR_CHECKED),
    Row("net-encrypted", ERROR, net(encrypted=True), 8, OLD),
    Row("net-encrypted", ERROR, net(encrypted=True), 8, (None, None), Built(OVERWRITE)),
    Row("net-seal", ERROR, both(breaks=0x300), 7, APP_ONLY),
    Row("net-seal", ERROR, both(breaks=0x300), 7, APP_ONLY, by("3.3/pm")),
    Row("net-seal", ERROR, both(breaks=0x300), 8, (None, None), Built(SIMULTANEOUS)),
    Row("net-seal", NOTE, both(seal=None), 0, NEW),
    Row("net-seal", NOTE, both(seal=None), 7, APP_ONLY, Built(net_key=True)),
    Row("net-seal", WARNING, both(seal=None), 0, NEW, Built(SIMULTANEOUS)),
    Row("net-seal", WARNING, both(seal=None), 8, (None, None), Built(SIMULTANEOUS, net_key=True)),
    Row("net-seal-key", WARNING, both(), 0, NEW, Built(SIMULTANEOUS, net_key=True)),
    Row("net-seal-key", WARNING, other_seal, 8, (None, None), Built(SIMULTANEOUS, net_key=True)),
    Row("seal", NOTE, both(), 0, NEW, Built(net_key=True)),
    Row("seal", NOTE, other_seal, 7, APP_ONLY, Built(net_key=True)),
    Row("encrypted", NOTE, app(encrypted=True), 0, APP_ONLY),
    Row("encrypted", NOTE, app(encrypted=True), 7, OLD, Built(encrypts=False)),
    Row("clear", ERROR, app(encrypted=True, spec={"clear": True}), 7, OLD),
    Row("padded", ERROR, padded, 5, APP_ONLY),
    Row("too-large", ERROR, app(size=0x7A000 - 2 * 4096), 7, OLD),
    Row("downgrade", ERROR, app(version="0.9.0"), 7, OLD, NO_DOWNGRADE),
    Row("downgrade", WARNING, app(version="0.9.0"), 0, ("0.9.0", "1.0.0")),
    Row("wrong-board", ERROR, after(app(), other_board), 0, APP_ONLY),
    # What the bootloader's release decides.
    Row(
        "dependency-halts",
        ERROR,
        after(net(version="1.0.0"), both_updated({"spec": {"dependencies": TIED}}, {})),
        8,
        (None, None),
        Built(SIMULTANEOUS),
    ),
    Row("dependency-halts", WARNING, net(version="0.0.0"), 0, ("1.0.0", "0.0.0"), Built(SIMULTANEOUS)),
    Row("dependency-halts", WARNING, net(version="0.0.0"), 8, (None, None), Built(SIMULTANEOUS, app_needs=TIED)),
    Row("dependency-halts", NOTE, net(version="1.0.0"), 8, (None, None), Built(SIMULTANEOUS, app_needs=TIED)),
    Row("dependency-halts", NOTE, net(), 0, NET_ONLY, Built(SIMULTANEOUS, app_needs=TIED)),
    Row("dependency", ERROR, both(**NEEDS_APP), 7, APP_ONLY, Built(SIMULTANEOUS)),
    Row("dependency", ERROR, both(**NEEDS_APP), 7, OLD, by("upstream/pm", SIMULTANEOUS), said("upstream")),
    Row("net-offset", ERROR, net(), 8, OLD, Built(OFFSET)),
    Row("net-offset", ERROR, net(), 7, OLD, by("3.4.1/dts", OFFSET)),
    Row("net-erased", ERROR, net(), 7, OLD, by("3.4.0/dts"), said("3.4.0", "dts")),
    Row("net-erased", WARNING, net(), 7, OLD, by("3.4.0/dts")),
    Row("net-erased", WARNING, net(), 0, NET_ONLY, by("3.4.1/dts")),
    Row("class", WARNING, app(spec={"cid": APP_CLASS}), 7, OLD, by("3.4.0/pm", **CLASSES)),
    Row("class", WARNING, both_named(app_class=APP_CLASS), 7, APP_ONLY, by("3.4.1/dts", **CLASSES)),
    Row("class", WARNING, both_named(net_class=NET_CLASS), 7, OLD, by("3.4.1/pm", **CLASSES)),
    Row("net-upstream", ERROR, net(), 8, OLD, by("upstream/pm"), said("upstream")),
    Row("net-upstream", ERROR, net(), 8, (None, None), by("upstream/pm", OVERWRITE), said("upstream")),
    Row("address", ERROR, app(fixed=0), 7, OLD, by("3.4.1/dts"), said("3.4.1", "dts")),
    Row("address", ERROR, net(fixed=0), 7, OLD, by("3.4.1/dts"), said("3.4.1", "dts")),
    Row("address", ERROR, app(fixed=0x9_0000), 7, OLD, by("3.4.0/dts"), said("3.4.0", "dts")),
    Row("address", WARNING, app(fixed=0), 7, OLD, by("3.4.0/dts")),
    Row("address", WARNING, both(fixed=0), 0, NEW, by("3.3/dts")),
    Row("net-elsewhere", ERROR, net(address=SMALL_B0N), 8, OLD, arguments=("--net-address", "0x01008800")),
    Row("net-elsewhere", WARNING, net(address=SMALL_B0N), 8, (None, None), Built(OVERWRITE)),
    Row("net-elsewhere", WARNING, net(address=SMALL_B0N), 7, OLD, by("2.5/pm")),
    # It cannot be told afterwards: the result is "unproven".
    Row("net-downgrade", ERROR, net(version="0.0.0"), 0, OLD, NO_OVERWRITING_DOWNGRADE),
    # A staged network image that is not handed over shows as one that was: "unproven", too.
    Row("net-count", WARNING, tied(), 0, APP_ONLY, comparing("3.4.1/pm", SIMULTANEOUS)),
    Row("net-count", WARNING, tied(), 0, NEW, replace(NO_DOWNGRADE, layout=SIMULTANEOUS)),
    Row("net-count", WARNING, tied(), 0, APP_ONLY, comparing("3.4.1/pm", STAGED)),
    Row("net-count", WARNING, tied(), 0, NEW, comparing("3.3/pm", STAGED)),
    Row("net-count", WARNING, net(counter=5), 0, OLD, comparing("2.9/pm", SIMULTANEOUS)),
    Row("net-count", WARNING, net(encrypted=True), 0, OLD, comparing("3.4.1/pm", SIMULTANEOUS)),
    Row("net-unproven", NOTE, both(), 0, NEW),
    Row("net-unproven", NOTE, both(), 0, NEW, by("2.9/pm", OVERWRITE)),
    Row("app-encrypted", WARNING, app(encrypted=True), 7, OLD, by("2.5/pm")),
    Row("app-encrypted", WARNING, app(encrypted=True), 0, APP_ONLY, by("2.8/pm")),
    Row("net-encrypted", ERROR, net(encrypted=True), 7, OLD, by("2.5/pm")),
    Row("net-encrypted", ERROR, net(encrypted=True), 7, OLD, by("3.4.1/dts")),
    Row("contradiction", WARNING, after(app(version="3.0.0"), updated()), 0, ("3.0.0", "1.0.0"), arguments=said("2.5")),
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
    Row(Code.TLV_SIZE, ERROR, changed(short_dependency, **NEEDS_NET), 7, OLD, Built(SIMULTANEOUS)),
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
