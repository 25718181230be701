"""Preflight: for each finding a package and a device that trigger it, and nothing but it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from smpdfu.dfu.decide.active_slot import wrong_active_slot
from smpdfu.dfu.decide.checks.findings import SOURCES, Finding, Severity
from smpdfu.dfu.decide.checks.images import IMAGE_CHECKS
from smpdfu.dfu.decide.checks.loader.classes import CLASS_CHECKS
from smpdfu.dfu.decide.checks.loader.loaders import LOADER_CHECKS
from smpdfu.dfu.decide.checks.loader.net_version import NET_VERSION_CHECKS
from smpdfu.dfu.decide.checks.preflight import CHECKS
from smpdfu.dfu.decide.checks.preflight import preflight as preflight_of
from smpdfu.dfu.decide.device_state import DeviceState, Past, Scheme
from smpdfu.dfu.decide.evidence import NO_EVIDENCE, Evidence, given_clue
from smpdfu.dfu.package.images import Core, Role
from smpdfu.dfu.package.package import Package
from smpdfu.image.format import Version
from smpdfu.image.trailer import MAX_ALIGNS, boot_magic
from smpdfu.smp.groups.image import ImageSlot
from smpdfu.smp.groups.os import BootloaderMode
from tests.dfu.conftest import BOTH, IDLE, noted
from tests.dfu.mcuboot_images import both_slots
from tests.dfu.test_dfu_mcuboot import FINDINGS as ITSELF_ROWS
from tests.dfu.test_dfu_preflight_loaders import ROWS as LOADER_ROWS
from tests.dfu.test_dfu_preflight_modes import ROWS as MODE_ROWS
from tests.dfu.test_dfu_preflight_replacing import ROWS as REPLACING_ROWS

if TYPE_CHECKING:
    from tests.dfu.conftest import Maker, State

Case = Callable[["Maker", "State"], tuple[Package, DeviceState]]

ONE_SLOT_SWAP_LIMIT = 0x7A000 - 2 * 4096
ON_TRIAL = ImageSlot(slot=0, version="1.1.0", hash=b"\x33" * 32, bootable=True, active=True)
CONFIRMED = ImageSlot(slot=0, version="1.0.0", hash=b"\x11" * 32, bootable=True, active=True, confirmed=True)
PENDING = ImageSlot(slot=1, version="1.1.0", hash=b"\x33" * 32, bootable=True, pending=True)


# The loader of this release takes every image and proves what it did; others: test_dfu_preflight_loaders.
KNOWN = Evidence(given_clue("2.9", None))


def preflight(package: Package, state: DeviceState) -> tuple[Finding, ...]:
    """On a device with a known bootloader; less the note that a device with two pairs proves nothing."""
    known = replace(state, evidence=KNOWN) if state.evidence is NO_EVIDENCE else state
    return tuple(one for one in preflight_of(package, known) if one.code != "net-unproven")


def app(make: Maker, **how: object) -> Package:
    return make.package(make.image(Role.APP, **how))  # type: ignore[arg-type]  # version or one of the options


def damaged(make: Maker) -> Package:
    data = bytearray(make.data())
    data[0x300] ^= 1
    image = make.image()
    return Package((type(image).from_bytes(bytes(data), image.file, image.entry),))


def padded(make: Maker, rest: bytes = b"\xff" * 64) -> Package:
    """An image with something behind it."""
    image = make.image()
    return Package((type(image).from_bytes(image.data + rest, image.file, image.entry),))


@pytest.mark.parametrize("size", range(1, 17))
@pytest.mark.parametrize("filler", [b"\xff", b"\0", b"\xa5"])
def test_filler_behind_an_image_is_no_trailer(make: Maker, state: State, size: int, filler: bytes) -> None:
    """mcuboot#2033: tools fill a signed file up to the write unit of a flash."""
    assert preflight(padded(make, filler * size), state()) == ()


@pytest.mark.parametrize("max_align", MAX_ALIGNS)
def test_a_magic_behind_an_image_is_a_trailer(make: Maker, state: State, max_align: int) -> None:
    (found,) = preflight(padded(make, boot_magic(max_align)), state())
    assert (found.code, "marks itself when written" in found.message) == ("padded", True)
    (other,) = preflight(padded(make, bytes(32)), state())
    assert (other.code, "do not belong to it" in other.message) == ("padded", True)


def mixed_up(make: Maker) -> Package:
    image = make.image(Role.NET)
    return Package((replace(image, role=Role.APP),))


def net_pending(make: Maker, *, running: bytes | None) -> tuple[ImageSlot, ImageSlot]:
    net = make.image(Role.NET)
    return replace(CONFIRMED, hash=running), ImageSlot(slot=1, version="2.0.0", hash=net.hash, pending=True)


def with_board(make: Maker, board: str) -> Package:
    image = make.image()
    return Package((replace(image, entry={**image.entry, "board": board}),))


def two_keys(make: Maker) -> Package:
    other = type(make)(make.encryption, make.encryption)
    return make.package(make.image(), other.image(Role.NET))


def of_role(make: Maker, role: Role) -> Package:
    return Package((make.image(), replace(make.image(version="3.0.0"), role=role)))


# code, severity, what leads to it. "clean" is no finding at all.
NEWER_BUILD = (replace(IDLE.slots[0], version="0.9.9+7"),)
"""Newer than 0.9.9 for people; bootloaders do not compare the build number."""

TABLE: list[tuple[str, Severity | None, Case]] = [
    ("clean", None, lambda make, state: (app(make), state())),
    ("revert-unknown", Severity.WARNING, lambda make, state: (app(make), state(mode=None, sizes=(), board=None))),
    ("revert-unknown", Severity.WARNING, lambda make, state: (app(make), state(mode=BootloaderMode.UNKNOWN))),
    ("clean", None, lambda make, state: (app(make), state(board="nrf5340dk"))),
    ("clean", None, lambda make, state: (with_board(make, "nrf5340dk_nrf5340_cpuapp"), state())),
    ("clean", None, lambda make, state: (app(make, version="1.0.0"), state(no_downgrade=True))),
    ("clean", None, lambda make, state: (app(make), state(replace(CONFIRMED, version="?")))),
    ("clean", None, lambda make, state: (app(make), state(replace(ON_TRIAL, hash=make.image().hash)))),
    ("clean", None, lambda make, state: (app(make), state(CONFIRMED, replace(PENDING, hash=make.image().hash)))),
    ("clean", None, lambda make, state: (app(make), state(CONFIRMED, replace(PENDING, pending=False)))),
    ("no-running-image", Severity.ERROR, lambda make, state: (app(make), state(replace(CONFIRMED, active=False)))),
    ("no-running-image", Severity.ERROR, lambda make, state: (app(make), replace(state(), slots=()))),
    ("active-slot", Severity.ERROR, lambda make, state: (app(make), state(replace(CONFIRMED, slot=1)))),
    ("active-slot", Severity.ERROR, lambda make, state: (app(make), state(CONFIRMED, replace(CONFIRMED, slot=1)))),
    ("scheme", Severity.ERROR, lambda make, state: (app(make), state(given=Scheme.SIMULTANEOUS, mode=None))),
    ("scheme", Severity.ERROR, lambda make, _: (app(make), replace(BOTH, given=Scheme.STAGED, mode=IDLE.mode))),
    ("key-changed", Severity.WARNING, lambda make, state: (app(make), state(past=Past(key=b"k" * 32)))),
    ("clean", None, lambda make, state: (app(make), state(past=Past.of(app(make))))),
    ("clean", None, lambda make, state: (app(make, counter=7), state(past=Past(counter=7)))),
    ("security-counter", Severity.ERROR, lambda make, state: (app(make, counter=6), state(past=Past(counter=7)))),
    ("security-counter", Severity.ERROR, lambda make, state: (app(make), state(past=Past(counter=7)))),
    ("dependency", Severity.WARNING, lambda make, state: (app(make, needs=(1, Version(1))), state())),
    ("dependency", Severity.WARNING, lambda make, state: (app(make, needs=(2, Version(1))), state())),
    ("dependency", Severity.ERROR, lambda make, state: (app(make, needs=(0, Version(3))), state())),
    ("clean", None, lambda make, state: (app(make, needs=(0, Version(2))), state())),
    ("no-revert", Severity.WARNING, lambda make, state: (app(make), state(mode=BootloaderMode.OVERWRITE_ONLY))),
    ("unconfirmed", Severity.ERROR, lambda make, state: (app(make), state(ON_TRIAL))),
    (
        "pending",
        Severity.ERROR,
        lambda make, state: (app(make), state(CONFIRMED, PENDING)),
    ),
    (
        "pending",
        Severity.ERROR,
        lambda make, state: (app(make), state(CONFIRMED, replace(PENDING, pending=False, permanent=True))),
    ),
    ("net-no-revert", Severity.NOTE, lambda make, state: (make.package(make.image(Role.NET)), state())),
    (
        "net-no-revert",
        Severity.NOTE,
        lambda make, state: (make.package(make.image(Role.NET)), state(*net_pending(make, running=b"\x11" * 32))),
    ),
    (
        "net-no-revert",
        Severity.NOTE,
        lambda make, state: (make.package(), state(*net_pending(make, running=make.image().hash))),
    ),
    (
        "recovery",
        Severity.ERROR,
        lambda make, state: (app(make), state(replace(CONFIRMED, active=False), recovery=True)),
    ),
    ("hash", Severity.ERROR, lambda make, state: (damaged(make), state())),
    ("not-signed", Severity.WARNING, lambda make, state: (app(make, signed=False), state())),
    ("wrong-core", Severity.ERROR, lambda make, state: (mixed_up(make), state())),
    ("linked-elsewhere", Severity.ERROR, lambda make, state: (app(make, address=0), state())),
    ("linked-elsewhere", Severity.ERROR, lambda make, state: (app(make, address=0x10200), state())),
    ("encrypted", Severity.NOTE, lambda make, state: (app(make, encrypted=True), state())),
    ("padded", Severity.ERROR, lambda make, state: (padded(make), state())),
    ("too-large", Severity.ERROR, lambda make, state: (app(make, size=ONE_SLOT_SWAP_LIMIT), state())),
    ("downgrade", Severity.WARNING, lambda make, state: (app(make, version="0.9.9"), state())),
    ("downgrade", Severity.ERROR, lambda make, state: (app(make, version="0.9.9"), state(no_downgrade=True))),
    (
        "downgrade",
        Severity.WARNING,
        lambda make, state: (app(make, version="0.9.9"), state(*NEWER_BUILD, no_downgrade=True)),
    ),
    ("wrong-board", Severity.ERROR, lambda make, state: (app(make), state(board="nrf52840dk/nrf52840"))),
    ("wrong-board", Severity.ERROR, lambda make, state: (app(make), state(board="thingy53/nrf5340/cpuapp"))),
]


NET_NOTES = [("net-no-revert", Severity.NOTE)]
NO_WAY_BACK = [("no-revert", Severity.WARNING)]
SEAL_KEY = ("net-seal-key", Severity.WARNING)
NOT_TIED = [*NO_WAY_BACK, SEAL_KEY, ("not-tied", Severity.NOTE)]
ONE_CORE = [*NO_WAY_BACK, ("one-core", Severity.NOTE)]


def both(*slots: ImageSlot, **fields: object) -> DeviceState:
    return replace(BOTH, slots=slots or BOTH.slots, **fields)  # type: ignore[arg-type]  # any field of the class


def waiting(make: Maker, core: Core, *, pending: bool) -> ImageSlot:
    number = 1 if core is Core.NET else 0
    return ImageSlot(image=number, slot=1, version="2.0.0", hash=make.image(Role(core)).hash, pending=pending)


# Devices with an image pair for each core, or that do not tell: name, what leads to it, all findings.
BOTH_TABLE: list[tuple[str, Case, list[tuple[str, Severity]]]] = [
    ("both", lambda make, _: (make.package(), both()), NOT_TIED),
    ("one core", lambda make, _: (app(make), both()), ONE_CORE),
    (
        "net alone",
        lambda make, _: (make.package(make.image(Role.NET)), both()),
        [*NO_WAY_BACK, SEAL_KEY, ("one-core", Severity.NOTE), ("dependency-halts", Severity.NOTE)],
    ),
    (
        "mode not told",
        lambda make, _: (make.package(), both(mode=None)),
        [("simultaneous-mode", Severity.WARNING), SEAL_KEY, ("not-tied", Severity.NOTE)],
    ),
    (
        "it can revert",
        lambda make, _: (make.package(), both(mode=BootloaderMode.SWAP_WITHOUT_SCRATCH)),
        [("simultaneous-revert", Severity.ERROR), SEAL_KEY, ("not-tied", Severity.NOTE)],
    ),
    (
        "an encrypted network image",
        lambda make, _: (make.package(make.image(), make.image(Role.NET, encrypted=True)), both()),
        [*NOT_TIED, ("encrypted", Severity.NOTE)],
    ),
    (
        "the network image is too large for its own pair",
        lambda make, _: (make.package(make.image(), make.image(Role.NET, size=0x40000)), both()),
        [("too-large", Severity.ERROR), *NOT_TIED],
    ),
    (
        "the application marked alone",
        lambda make, _: (make.package(), both(CONFIRMED, waiting(make, Core.APP, pending=True))),
        [("marked-first", Severity.ERROR), *NOT_TIED],
    ),
    (
        "both marked",
        lambda make, _: (
            make.package(),
            both(CONFIRMED, waiting(make, Core.APP, pending=True), waiting(make, Core.NET, pending=True)),
        ),
        NOT_TIED,
    ),
    (
        "another network image waits",
        lambda make, _: (make.package(), both(CONFIRMED, replace(PENDING, image=1))),
        [("pending", Severity.ERROR), *NOT_TIED],
    ),
    (
        "a dependency that the package meets",
        lambda make, _: (make.package(make.image(needs=(1, Version(2))), make.image(Role.NET)), both()),
        NOT_TIED,
    ),
    (
        "a dependency that it does not meet",
        lambda make, _: (make.package(make.image(needs=(1, Version(2, 1))), make.image(Role.NET)), both()),
        [("dependency", Severity.ERROR), *NOT_TIED],
    ),
    (
        "a dependency on the network core, which shows no version",
        lambda make, _: (app(make, needs=(1, Version(1))), both()),
        [("dependency", Severity.ERROR), *ONE_CORE],
    ),
    (
        "nobody knows the scheme",
        lambda make, state: (make.package(), state(sizes=())),
        [("scheme-unknown", Severity.ERROR), *NET_NOTES],
    ),
    ("told by a person", lambda make, state: (make.package(), state(sizes=(), given=Scheme.STAGED)), NET_NOTES),
    (
        "told by a person, at once",
        lambda make, state: (
            make.package(),
            state(sizes=(), given=Scheme.SIMULTANEOUS, mode=BootloaderMode.OVERWRITE_ONLY),
        ),
        NOT_TIED,
    ),
    (
        "the network image waits for its application",
        lambda make, _: (make.package(make.image(), make.image(Role.NET, needs=(0, Version(2)))), both()),
        [*NO_WAY_BACK, SEAL_KEY],
    ),
    (
        "it does not wait for one of an older version",
        lambda make, _: (make.package(make.image(), make.image(Role.NET, needs=(0, Version(1)))), both()),
        NOT_TIED,
    ),
    (
        "no seal for b0n, which would stop the device",
        lambda make, _: (make.package(make.image(Role.NET, sealed=False)), both()),
        [
            *NO_WAY_BACK,
            ("net-seal", Severity.WARNING),
            ("one-core", Severity.NOTE),
            ("dependency-halts", Severity.NOTE),
        ],
    ),
    (
        "a mode that nobody knows yet",
        lambda make, _: (app(make), both(mode=BootloaderMode.UNKNOWN)),
        [("simultaneous-mode", Severity.WARNING), ("one-core", Severity.NOTE)],
    ),
]


@pytest.mark.parametrize(("name", "case", "codes"), BOTH_TABLE, ids=[row[0] for row in BOTH_TABLE])
def test_findings_of_two_pairs(
    make: Maker, state: State, name: str, case: Case, codes: list[tuple[str, Severity]]
) -> None:
    found = noted(preflight(*case(make, state)))
    assert [(finding.code, finding.severity) for finding in found] == codes


@pytest.mark.parametrize(
    ("mode", "slots", "wrong"),
    [
        (BootloaderMode.OVERWRITE_ONLY, (1,), True),
        (BootloaderMode.UNKNOWN, (0, 1), True),
        (None, (0, 1), True),
        (None, (1,), False),
        (BootloaderMode.DIRECT_XIP_WITH_REVERT, (1,), False),
        (BootloaderMode.RAM_LOAD, (1,), False),
        (BootloaderMode.SWAP_USING_SCRATCH, (0,), False),
    ],
)
def test_a_device_that_does_not_know_its_slot(
    state: State, mode: BootloaderMode | None, slots: tuple[int, ...], wrong: bool
) -> None:
    """zephyr#99762. Direct XIP and RAM load run from either slot, and not from both."""
    device = state(*(replace(CONFIRMED, slot=slot) for slot in slots), mode=mode)
    assert [one.code for one in wrong_active_slot(device)] == ["active-slot"] * wrong
    assert not list(wrong_active_slot(replace(device, recovery=True)))


def test_every_finding_has_a_source() -> None:
    told = {code for code, severity, _ in TABLE if severity} | {code for *_, codes in BOTH_TABLE for code, _ in codes}
    judged = {"hash", "clear"}  # by image/verification/verify.py
    assert told - judged <= set(SOURCES)
    told |= {code for *_, codes in (*MODE_ROWS, *REPLACING_ROWS) for code, _ in codes}
    told |= {code for *_, codes in ITSELF_ROWS for code, _ in codes}
    loaders = {code for row in LOADER_ROWS for code, _ in row.found}
    assert set(SOURCES) <= told | loaders | {"net-encrypted", "net-key", "net-seal", "seal", "clear"}
    assert loaders <= set(SOURCES)


@pytest.mark.parametrize(("code", "severity", "case"), TABLE, ids=[f"{row[0]}-{n}" for n, row in enumerate(TABLE)])
def test_finding(make: Maker, state: State, code: str, severity: Severity | None, case: Case) -> None:
    package, device = case(make, state)
    found = noted(preflight(package, device))
    assert [(finding.code, finding.severity) for finding in found] == ([] if severity is None else [(code, severity)])
    for finding in found:
        assert finding.message
        assert "\n" not in finding.message


def test_the_images_of_both_cores_have_one_key(make: Maker, state: State) -> None:
    found = noted(preflight(two_keys(make), state()))
    assert [(finding.code, finding.severity, finding.core) for finding in found] == [
        ("net-key", Severity.ERROR, Core.NET),
        ("net-no-revert", Severity.NOTE, Core.NET),
    ]
    unsigned = make.package(make.image(), make.image(Role.NET, signed=False))
    assert [finding.code for finding in noted(preflight(unsigned, state()))] == ["not-signed", "net-no-revert"]


def test_every_check_has_a_row(make: Maker, state: State) -> None:
    """Without a check, its row must fail: so each check yields in some row."""
    cases = [*(case(make, state) for *_, case in TABLE), *(case(make, state) for _, case, _ in BOTH_TABLE)]
    cases.append((two_keys(make), state()))
    cases.append((of_role(make, Role.MCUBOOT), state(mode=BootloaderMode.DIRECT_XIP)))
    cases.append((both_slots(make), state()))
    encrypted = (make.package(make.image(Role.NET, encrypted=True)), state())
    cases += [row.case(make) for row in LOADER_ROWS]
    for check in (*CHECKS, *LOADER_CHECKS, *NET_VERSION_CHECKS, *CLASS_CHECKS):
        assert any(list(check(*case)) for case in cases), check
    for image_check in IMAGE_CHECKS:
        unsealed = (make.package(make.image(Role.NET, sealed=False)), state())
        seen = [(image, device) for package, device in [*cases, encrypted, unsealed] for image in package.images]
        assert any(list(image_check(image, device)) for image, device in seen), image_check
