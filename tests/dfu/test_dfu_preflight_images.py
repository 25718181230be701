"""Preflight of single images: a network image's seal and place, the largest image, what is flagged wrongly."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from smpdfu.dfu.decide.checks.findings import Severity
from smpdfu.dfu.decide.checks.images import largest_image_bytes
from smpdfu.dfu.decide.device_state import Scheme
from smpdfu.dfu.package.images import Core, Role
from smpdfu.smp.groups.image import SlotInfoImage, SlotInfoSlot
from smpdfu.smp.groups.os import BootloaderMode
from tests.dfu.conftest import noted
from tests.dfu.test_dfu_preflight import ONE_SLOT_SWAP_LIMIT, app, both, net_pending, preflight

if TYPE_CHECKING:
    from tests.dfu.conftest import Maker, State


def test_an_encrypted_network_image_is_refused_in_the_staged_scheme(make: Maker, state: State) -> None:
    found = preflight(make.package(make.image(Role.APP, encrypted=True), make.image(Role.NET, encrypted=True)), state())
    assert [(finding.code, finding.severity, finding.core) for finding in found] == [
        ("net-encrypted", Severity.ERROR, Core.NET),
        ("net-no-revert", Severity.NOTE, Core.NET),
        ("encrypted", Severity.NOTE, Core.APP),
    ]


def test_a_network_image_that_waits_while_the_application_is_old_is_in_the_way(make: Maker, state: State) -> None:
    found = noted(preflight(make.package(), state(*net_pending(make, running=b"\x11" * 32))))
    assert [finding.code for finding in found] == ["pending", "net-no-revert"]


@pytest.mark.parametrize(
    ("scheme", "severity"), [(Scheme.STAGED, Severity.NOTE), (Scheme.SIMULTANEOUS, Severity.WARNING)]
)
def test_a_network_image_without_a_seal(make: Maker, state: State, scheme: Scheme, severity: Severity) -> None:
    package = make.package(make.image(Role.NET, sealed=False))
    found = preflight(package, state() if scheme is Scheme.STAGED else both())
    assert [(one.severity, one.core) for one in found if one.code == "net-seal"] == [(severity, Core.NET)]


@pytest.mark.parametrize(
    ("offset", "reason"),
    [
        (0x210, "Could not find valid firmware validation info"),  # the firmware's size in its info
        (0x214, "Firmware validation failed"),  # its version
        (580, "Firmware validation failed"),  # the firmware
        (601, "Could not find valid firmware validation info"),  # the magic of the validation info
        (614, "Validation info doesn't belong to this firmware"),  # its address
        (620, "Firmware validation failed"),  # its hash
    ],
)
@pytest.mark.parametrize("scheme", Scheme)
def test_a_network_image_with_a_damaged_seal(
    make: Maker, state: State, offset: int, reason: str, scheme: Scheme
) -> None:
    """MCUboot's seal is around all of it and in order: only b0n's tells."""
    package = make.package(make.image(Role.NET, breaks=offset))
    found = preflight(package, state() if scheme is Scheme.STAGED else both())
    assert [(one.code, one.severity) for one in found if one.severity is Severity.ERROR] == [
        ("net-seal", Severity.ERROR)
    ]
    assert reason in found[0].message


def test_a_network_image_for_another_place_than_its_manifest_says(make: Maker, state: State) -> None:
    """The vector decides: its seal is in order for that place, and the manifest names another one."""
    found = noted(preflight(make.package(make.image(Role.NET, address=0x0101_0000)), state()))
    assert [one.code for one in found] == ["linked-elsewhere", "net-no-revert"]


def test_an_image_that_is_flagged_encrypted_and_is_plain(make: Maker, state: State) -> None:
    """``imgtool sign --clear`` makes one for the primary slot; from the secondary one it would be "decrypted"."""
    found = preflight(app(make, encrypted=True, clear=True), state())
    assert (found[0].code, found[0].severity) == ("clear", Severity.ERROR)


@pytest.mark.parametrize(
    ("mode", "limit"),
    [
        (BootloaderMode.SWAP_USING_SCRATCH, 0x7A000 - 1584),
        (BootloaderMode.SWAP_WITHOUT_SCRATCH, ONE_SLOT_SWAP_LIMIT),
        (BootloaderMode.SWAP_USING_OFFSET, ONE_SLOT_SWAP_LIMIT),
        (BootloaderMode.OVERWRITE_ONLY, 0x7A000 - 40),
        (BootloaderMode.UNKNOWN, 0x7A000),
        (None, 0x7A000),
    ],
)
def test_the_largest_image_is_the_loaders_limit(state: State, mode: BootloaderMode | None, limit: int) -> None:
    assert largest_image_bytes(state(mode=mode)) == limit


def test_an_image_that_just_fits(make: Maker, state: State) -> None:
    size = make.image().image.size_bytes
    for limit, codes in ((size, []), (size - 1, ["too-large"])):
        sizes = (replace(state().sizes[0], max_image_size=limit),)
        assert [finding.code for finding in preflight(app(make), state(sizes=sizes))] == codes


def test_the_smallest_of_what_a_device_tells_counts(state: State) -> None:
    slots = (SlotInfoSlot(slot=0, size=0x20000), SlotInfoSlot(slot=1, size=0x10000), SlotInfoSlot(slot=2, rc=1))
    sizes = (SlotInfoImage(image=0, slots=slots),)
    assert largest_image_bytes(state(sizes=sizes)) == 0x10000 - 8192
    assert largest_image_bytes(state(sizes=(replace(sizes[0], max_image_size=5000),))) == 5000
    assert largest_image_bytes(state(sizes=())) is None
    tiny = (SlotInfoImage(image=0, slots=(SlotInfoSlot(slot=0, size=64),)),)
    assert largest_image_bytes(state(sizes=tiny)) == 0
