"""Before the first byte: would the application run where this device puts it?"""

from __future__ import annotations

import pytest

from smpdfu.errors import PlanError
from smpdfu.image.secure_dfu.init_packet import FwType
from smpdfu.image.secure_dfu.package import Entry, SecureDfuPackage
from smpdfu.securedfu.protocol.messages import FirmwareType, FirmwareVersion
from smpdfu.securedfu.send.installed import Installed
from smpdfu.securedfu.send.preflight import check_device
from tests.securedfu.nrf52_firmware import S140_6_1, S140_7_2, softdevice
from tests.securedfu.send.dfu_bench import entry_of
from tests.virtual.nrf52.nrf52_bench import firmware, init_command, sign

S132_5_0 = (0x9D, 5_000_000, 0x23000)
BEHIND_MBR, BEHIND_6_1, BEHIND_7_2 = 0x1000, S140_6_1[2], S140_7_2[2]


def application(start: int, sd_req: tuple[int, ...]) -> Entry:
    image = firmware(start)
    return entry_of(image, sign(init_command(image, sd_req=sd_req)), "application")


def new_softdevice() -> Entry:
    image = softdevice(S140_7_2)
    init = init_command(image, type=FwType.SOFTDEVICE, app_size=0, sd_size=len(image), sd_req=(S140_6_1[0],))
    return entry_of(image, sign(init), "softdevice")


def with_softdevice(which: tuple[int, int, int] | None) -> Installed:
    """What a bootloader reports; the size of a SoftDevice counts from address 0."""
    if which is None:
        return {}
    return {FirmwareType.SOFTDEVICE: FirmwareVersion(FirmwareType.SOFTDEVICE, which[1], 0x1000, which[2])}


@pytest.mark.parametrize(
    ("entries", "here", "fits"),
    [
        ([application(BEHIND_MBR, (0,))], None, True),
        ([application(BEHIND_MBR, (0,))], S140_7_2, True),  # it takes the place of the SoftDevice
        ([application(BEHIND_7_2, (0,))], S140_7_2, False),
        ([application(BEHIND_7_2, (S140_7_2[0],))], S140_7_2, True),
        ([application(BEHIND_7_2, (S140_7_2[0],))], S132_5_0, False),
        ([application(BEHIND_7_2, (S140_7_2[0],))], S140_6_1, True),  # a page beside: its vectors point into it, too
        ([application(BEHIND_7_2, (S140_7_2[0],))], None, False),
        ([application(BEHIND_MBR, (S140_7_2[0],))], S140_7_2, False),
        ([new_softdevice(), application(BEHIND_7_2, (S140_7_2[0],))], S140_6_1, True),
        ([new_softdevice(), application(BEHIND_6_1, (S140_7_2[0],))], S140_6_1, False),
        ([new_softdevice()], S140_6_1, True),
    ],
)
def test_an_application_must_be_linked_for_the_place_where_the_device_puts_it(
    entries: list[Entry], here: tuple[int, int, int] | None, *, fits: bool
) -> None:
    package = SecureDfuPackage.of(entries)
    if fits:
        check_device(package, with_softdevice(here))
        return
    with pytest.raises(PlanError, match=r"would not start on this device.*nothing was sent") as refused:
        check_device(package, with_softdevice(here))
    assert refused.value.codes == ("linked-elsewhere",)


def test_firmware_without_vectors_is_not_judged() -> None:
    image = bytes(4096)
    check_device(SecureDfuPackage.of([entry_of(image, sign(init_command(image)), "application")]), {})
