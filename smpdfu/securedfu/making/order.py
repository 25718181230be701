"""What shall be in a package, as one value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smpdfu.image.secure_dfu.flash import FLASH_SIZES, MOST_FLASH
from smpdfu.image.secure_dfu.init_packet import ANY_SOFTDEVICE, ANY_VERSION, NO_SOFTDEVICE, ValidationType
from smpdfu.image.secure_dfu.softdevices import SOFTDEVICES
from smpdfu.securedfu.making.parts import Nrf52Firmware


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureDfuOrder:
    """What shall be in a package, and what is known of the devices. ``ValueError`` for what cannot go together.

    Versions are 32-bit numbers. ``sd_req`` has the firmware IDs of the SoftDevices of which the device must have one;
    0 stands for none. ``sd_id`` has those of the new SoftDevice, which the application in the same package needs.
    ``only_over_ble``: the devices cannot be updated in any other way. ``known_bootloader`` is the one that they have.
    ``chip`` is a name of ``FLASH_SIZES``.
    """

    hw_version: int | None = None
    sd_req: tuple[int, ...] = ()
    sd_id: tuple[int, ...] = ()
    application: Nrf52Firmware | None = None
    application_version: int | None = None
    bootloader: Nrf52Firmware | None = None
    bootloader_version: int | None = None
    softdevice: Nrf52Firmware | None = None
    app_boot_validation: ValidationType = ValidationType.VALIDATE_GENERATED_CRC
    sd_boot_validation: ValidationType = ValidationType.VALIDATE_GENERATED_CRC
    is_debug: bool = False
    is_external: bool = False
    chip: str | None = None
    known_bootloader: Nrf52Firmware | None = None
    only_over_ble: bool = False

    def __post_init__(self) -> None:
        if self.application is None and self.bootloader is None and self.softdevice is None:
            raise ValueError("there is nothing to pack: name an application, a bootloader or a SoftDevice")
        if self.application and self.bootloader and not self.softdevice:
            raise ValueError("a bootloader and an application without a SoftDevice need two packages")
        if self.is_external and (self.application is None or self.bootloader or self.softdevice):
            raise ValueError("an external application stands alone in its package")
        if self.application and self.softdevice and not self.sd_id:
            raise ValueError("a SoftDevice and an application in one package need the ID of the new SoftDevice (sd_id)")
        if self.chip is not None and self.chip not in FLASH_SIZES:
            raise ValueError(f"{self.chip!r} is not one of {', '.join(FLASH_SIZES)}")
        self._check_versions()

    def _check_versions(self) -> None:
        """In debug mode, every version has a default: the bootloader does not look at it."""
        for part, version, what in (
            (self.application, self.application_version, "application"),
            (self.bootloader, self.bootloader_version, "bootloader"),
        ):
            if part is None and version is not None:
                raise ValueError(f"there is a version of the {what}, but no {what}")
            if part is not None and version is None and not self.is_debug:
                raise ValueError(f"the {what} needs a version")
        if self.hw_version is None and not self.is_debug:
            raise ValueError("the package needs a hardware version (52 in the examples of the nRF5 SDK)")
        if not self.sd_req and not self.is_debug and not self.is_external:
            raise ValueError(
                "the package needs the IDs of the SoftDevices that the device may have (sd_req); 0 for none"
            )
        for number in (self.hw_version, self.application_version, self.bootloader_version, *self.sd_req, *self.sd_id):
            if number is not None and not 0 <= number <= 0xFFFFFFFF:
                raise ValueError(f"{number} does not fit 32 bits")

    @property
    def application_needs(self) -> tuple[int, ...]:
        """``sd_req`` of the application."""
        return _zero_first(self.sd_id or self._required)

    @property
    def others_need(self) -> tuple[int, ...]:
        """``sd_req`` of SoftDevice and bootloader: also the new SoftDevice, so that the update can be repeated."""
        return _zero_first((*self._required, *self.sd_id))

    @property
    def _required(self) -> tuple[int, ...]:
        return self.sd_req or ((ANY_SOFTDEVICE,) if self.is_debug else ())

    @property
    def application_needs_softdevice(self) -> bool:
        """False if the bootloader puts the application where the SoftDevice would be: it looks at the first number."""
        return bool(self.application_needs) and self.application_needs[0] != NO_SOFTDEVICE

    @property
    def bootloader_start(self) -> int | None:
        """Where the bootloader of the devices begins; None if nothing says it."""
        stated = [self.known_bootloader, self.bootloader]
        for part in filter(None, stated):
            found = part.stated_bootloader or part.start
            if found is not None:
                return found
        return None

    @property
    def flash_end(self) -> int:
        """The end of the chip's flash; without a chip, of the largest one."""
        return MOST_FLASH if self.chip is None else FLASH_SIZES[self.chip]

    def application_starts(self) -> dict[int, int | None]:
        """Where the bootloader puts the application, by SoftDevice (firmware ID); None where that is unknown."""
        info = None if self.softdevice is None else self.softdevice.softdevice
        known = {fwid: one.end for fwid, one in SOFTDEVICES.items()}
        if info is not None:
            known[info.fwid] = info.end
        return {fwid: known.get(fwid) for fwid in self.application_needs if fwid not in (NO_SOFTDEVICE, ANY_SOFTDEVICE)}


def version_or_any(version: int | None) -> int:
    """A version, or what stands for one that is not given in debug mode."""
    return ANY_VERSION if version is None else version


def version_number(text: str) -> int:
    """``2.7.31`` as nrfutil makes a number of it: 20731. ``ValueError`` for what has no number of its own."""
    parts = text.split(".")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) <= 6 for part in parts):
        raise ValueError(f"{text!r} is not a version such as 2.7.31")
    major, minor, patch = map(int, parts)
    if minor > 99 or patch > 99:
        raise ValueError(
            f"{text}: the second and third number can be 99 at most, or another version has the same number"
        )
    number = major * 10000 + minor * 100 + patch
    if number > 0xFFFFFFFF:
        raise ValueError(f"{text} is too high: as a number it does not fit 32 bits")
    return number


def _zero_first(numbers: Sequence[int]) -> tuple[int, ...]:
    """Each number once, in the order that was given. 0 goes first: the bootloader sees it only there."""
    unique = dict.fromkeys(numbers)
    return tuple(sorted(unique, key=lambda number: number != NO_SOFTDEVICE))
