"""How the bootloaders of a device were built: which loader, with which checks and which keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Self

from smpdfu.image.keys.keys import Verifier
from smpdfu.image.loader_build import LoaderBuild
from smpdfu.image.signing.encrypt import DecryptionKey
from smpdfu.loaders.rules import Build, Loader, SelfUpdate, usual_build
from smpdfu.virtual.boot.network.netcore import B0n
from smpdfu.virtual.boot.slot import Slots
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.flash import Bus
from smpdfu.virtual.chip.layout import Layout


class AddressCheck(StrEnum):
    """By what MCUboot finds out that an image is not for its slot."""

    HEADER = "header"
    VECTOR = "vector"
    NONE = "none"


class Entrance(StrEnum):
    """What makes MCUboot start the firmware loader and not the application (CONFIG_BOOT_FIRMWARE_LOADER_...).

    BUTTON is a pin that is held during the reset (..._ENTRANCE_GPIO), BOOT_MODE what the application left in retained
    memory (..._BOOT_MODE), NO_APPLICATION that no application can be started (..._NO_APPLICATION).
    """

    BUTTON = "button"
    BOOT_MODE = "boot-mode"
    NO_APPLICATION = "no-application"


DEFAULT_LOADER = Loader()

_IN_PLACE = (BootMode.DIRECT_XIP, BootMode.DIRECT_XIP_REVERT)


@dataclass(frozen=True, slots=True)
class BootOptions:
    """How the bootloaders were built.

    ``downgrade_prevention`` (MCUBOOT_DOWNGRADE_PREVENTION) compares versions, or with ``by_counter`` the security
    counters in the images; ``rollback_protection`` (MCUBOOT_HW_ROLLBACK_PROT) remembers the highest counter seen.
    ``check_address`` is None for what is usual for the loader. With ``reads_net_version``, downgrade prevention asks
    b0n for the version of the network core's firmware; ``xip_split``: the application has a second half in QSPI flash
    (always so in a layout with one).
    ``app_class`` and ``net_class`` are the class UUIDs of both cores' images in a build that goes by them. ``b0n`` is
    how the network core's bootloader decides. ``hmac_sha512`` (MCUBOOT_HMAC_SHA512) takes content keys that are wrapped
    with SHA-512, and no others. ``entrances`` is what starts the firmware loader, in the mode that has one.
    ``recovers``: where it finds no image to start, it waits in serial recovery (BOOT_SERIAL_NO_APPLICATION).
    """

    downgrade_prevention: bool = False
    by_counter: bool = False
    rollback_protection: bool = False
    loader: Loader = DEFAULT_LOADER
    check_address: AddressCheck | None = None
    reads_net_version: bool = False
    xip_split: bool = False
    app_class: bytes = b""
    net_class: bytes = b""
    b0n: B0n = B0n.KEYS
    hmac_sha512: bool = False
    entrances: tuple[Entrance, ...] = tuple(Entrance)
    recovers: bool = False

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        plain = asdict(replace(self, loader=DEFAULT_LOADER))
        return plain | {
            "loader": self.loader.name,
            "app_class": self.app_class.hex(),
            "net_class": self.net_class.hex(),
        }

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """Read what ``to_dict`` wrote, of any age: what is not there is as usual. Raises ValueError or TypeError."""
        options = dict(found)
        readers: dict[str, Callable[[Any], Any]] = {
            "loader": lambda value: Loader.from_name(str(value)),
            "check_address": lambda value: None if value is None else AddressCheck(value),
            "app_class": bytes.fromhex,
            "net_class": bytes.fromhex,
            "b0n": B0n,
            "entrances": lambda value: tuple(Entrance(one) for one in value),
        }
        return cls(**options | {key: read(options[key]) for key, read in readers.items() if key in options})


DEFAULT_OPTIONS = BootOptions()


@dataclass(frozen=True, slots=True)
class BootKeys:
    """The keys built into the bootloaders, and how else they were built (``options``).

    ``verifiers`` are MCUboot's; a build without any goes by the hash alone. With ``decryption`` MCUboot is a build with
    encryption, for content keys of ``content_key_size`` bytes only. ``net_verifiers`` are the keys provisioned for b0n
    on the network core.
    """

    verifiers: tuple[Verifier, ...]
    decryption: DecryptionKey | None = None
    content_key_size: int = 16
    net_verifiers: tuple[Verifier, ...] = ()
    options: BootOptions = DEFAULT_OPTIONS

    @property
    def saved_key_size(self) -> int:
        """What the trailer keeps per slot for a content key."""
        return 0 if self.decryption is None else self.content_key_size

    @property
    def build(self) -> LoaderBuild:
        """What of MCUboot's build decides which images are good."""
        return LoaderBuild(
            encryption=self.decryption is not None, hmac_sha="512" if self.options.hmac_sha512 else "256"
        )

    def slots(self, bus: Bus, layout: Layout, image: int) -> Slots:
        """The slots of image number ``image``, as bootloader and application read their trailers."""
        any_magic = self.options.loader.release.reverts_past_any_magic
        return Slots.of(bus, layout, image, encrypted_key_size=self.saved_key_size, reverts_past_any_magic=any_magic)


def _check_firmware_loader(keys: BootKeys) -> None:
    """Raise ValueError for what ``firmware_loader.c`` does not do: it only checks and starts, and decrypts nothing."""
    options, release = keys.options, keys.options.loader.release
    if not release.has_firmware_loader:
        raise ValueError(f"{release.title} has no firmware loader mode. The first release with it is NCS 2.7")
    if not options.entrances:
        raise ValueError("MCUboot in firmware-loader mode needs at least one way to start the firmware loader")
    if keys.decryption is not None:
        raise ValueError("MCUboot does not decrypt in firmware-loader mode")
    if options.downgrade_prevention:
        raise ValueError("MCUboot has no downgrade prevention in firmware-loader mode: it starts what is in the slot")


def _check_mode(mode: BootMode, keys: BootKeys) -> None:
    """Raise ValueError for what MCUboot's build system refuses in a mode (Kconfig, ``bootutil_priv.h``)."""
    if mode is BootMode.FIRMWARE_LOADER:
        _check_firmware_loader(keys)
    if mode in _IN_PLACE and keys.decryption is not None:
        raise ValueError(f"MCUboot cannot decrypt in {mode} mode: images run in the slot where they are")
    if mode in _IN_PLACE and keys.options.downgrade_prevention:
        raise ValueError(f"MCUboot has no downgrade prevention in {mode} mode: it starts the higher version")


def check_second_stage(layout: Layout, options: BootOptions) -> None:
    """Raise ValueError for what no MCUboot behind b0 is, or what is not modelled of it."""
    loader = options.loader
    if loader.rule.self_update is SelfUpdate.NEVER:
        raise ValueError(f"{loader.release.title} cannot be started by b0: that is Nordic's")
    if loader.rule.self_update is SelfUpdate.SWAPS and len(layout.images) > 1:
        raise ValueError(f"there is no virtual device with b0 and several image pairs for {loader.release.title}")
    if layout.external_half is not None:
        raise ValueError("there is no virtual device with b0 and an application in two halves")
    if options.app_class or options.net_class:
        raise ValueError("there is no virtual device with b0 whose MCUboot goes by class UUIDs")


def build_of(layout: Layout, keys: BootKeys, *, has_network_core: bool = True) -> Build:
    """The build of MCUboot for a layout. ``ValueError`` for one that the loader's release does not have.

    Without a network core (or without PCD in MCUboot) no image is looked at for it.
    """
    options, release = keys.options, keys.options.loader.release
    by_offset = layout.mode is BootMode.OFFSET
    by_uuid = bool(options.app_class or options.net_class)
    _check_mode(layout.mode, keys)
    if layout.nsib is not None:
        check_second_stage(layout, keys.options)
    if by_offset and not release.by_offset:
        raise ValueError(f"{release.title} has no swap using offset")
    if by_uuid and options.loader.rule.application_by_uuid is None:
        raise ValueError(f"{release.title} does not go by class UUIDs")
    if options.check_address is AddressCheck.HEADER and not release.offers_header_check:
        raise ValueError(f"{release.title} cannot check the load address in the header")
    usual = usual_build(
        options.loader,
        overwrites=layout.mode is BootMode.OVERWRITE_ONLY,
        by_offset=by_offset,
        staged=layout.is_staged,
        encrypts=keys.decryption is not None,
        prevents_downgrade=options.downgrade_prevention,
        reads_net_version=options.reads_net_version,
        xip_split=options.xip_split or layout.external_half is not None,
        by_uuid=by_uuid,
        second_stage=layout.nsib is not None,
    )
    if not has_network_core:
        usual = replace(usual, staged=False, checks_header=False)
    if options.check_address is None:
        return usual
    by_header = options.check_address is AddressCheck.HEADER
    return replace(usual, checks_header=by_header, checks_vector=options.check_address is AddressCheck.VECTOR)
