"""What is below MCUboot in a virtual device with NSIB, as facts."""

from __future__ import annotations

from dataclasses import dataclass

from smpdfu.image.format import HEADER_SIZE
from smpdfu.image.nsib.provision import CounterUse, Provision, ProvisionedKey
from smpdfu.virtual.boot.nsib.b0 import B0, StorageError, version_of
from smpdfu.virtual.boot.slot import RawHeader
from smpdfu.virtual.device import VirtualNrf5340


@dataclass(frozen=True, slots=True)
class McubootReport:
    """S0 or S1. ``version`` is what b0 compares, ``signed_version`` the one in MCUboot's header; None without.

    ``refusal`` is why b0 does not start it, in its words; None if it would. ``active``: MCUboot runs from here.
    """

    name: str
    address: int
    size_bytes: int
    version: int | None
    signed_version: str | None
    refusal: str | None
    active: bool


@dataclass(frozen=True, slots=True)
class B0Report:
    """``error``: why b0 cannot read what it was provisioned with, else None.

    ``lowest_version`` is the lowest that b0 starts and ``counts_left`` how often that can still go up; None where
    nothing counts.
    """

    slots: tuple[McubootReport, ...]
    keys: tuple[ProvisionedKey, ...] = ()
    lowest_version: int | None = None
    counts_left: int | None = None
    error: str | None = None


def report_b0(device: VirtualNrf5340) -> B0Report | None:
    """Look at b0 and its slots; nothing is changed. None where MCUboot is the first stage."""
    if device.b0 is None:
        return None
    try:
        data = device.b0.storage.read()
    except StorageError as error:
        data, reason = Provision(0, 0), str(error)
        slots = tuple(_slot(device, device.b0, number, data, reason) for number in range(2))
        return B0Report(slots, error=reason)
    counter = data.counter(CounterUse.NSIB)
    return B0Report(
        slots=tuple(_slot(device, device.b0, number, data) for number in range(2)),
        keys=data.keys,
        lowest_version=version_of(data),
        counts_left=None if counter is None else counter.left,
    )


def _slot(device: VirtualNrf5340, b0: B0, number: int, data: Provision, reason: str | None = None) -> McubootReport:
    area = b0.slots[number]
    found = b0.check(number, data)
    header = RawHeader.from_bytes(area.read(0, HEADER_SIZE))
    return McubootReport(
        name=area.region.name,
        address=area.region.start,
        size_bytes=area.size_bytes,
        version=None if found.info is None else found.info.version,
        signed_version=".".join(map(str, header.version)) if header.is_image else None,
        refusal=reason or found.refusal,
        active=device.mcuboot == number,
    )
