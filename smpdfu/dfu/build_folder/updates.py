"""The images that a package of a build has: of what files, for which slot, with which words in the manifest.

Source: ``cmake/sysbuild/zip.cmake``, ``image_signing*.cmake`` and ``b0_mcuboot_signing.cmake`` of the nRF Connect SDK;
``modules/mcuboot/CMakeLists.txt`` up to 2.6.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from smpdfu.dfu.bootloader_modes import RUNS_IN_BOTH_SLOTS
from smpdfu.dfu.build_folder.build import (
    BuildBootloader,
    BuildImage,
    BuildKind,
    BuildRole,
    BuildWarning,
    Fact,
    UpdateImage,
)
from smpdfu.dfu.build_folder.formats.folder import BuildFolder
from smpdfu.dfu.build_folder.formats.kconfig import Kconfig
from smpdfu.dfu.build_folder.formats.partitions import Partition
from smpdfu.dfu.build_folder.images import fact_of
from smpdfu.dfu.build_folder.layout import USUAL, Layout, header_size
from smpdfu.dfu.package.images import Role
from smpdfu.errors import ImageError, PackageError
from smpdfu.image.format import Version

_APP_VERSIONS = ("CONFIG_MCUBOOT_IMGTOOL_SIGN_VERSION", "CONFIG_MCUBOOT_IMAGE_VERSION")
_NETWORK_VERSION = "SB_CONFIG_SECURE_BOOT_MCUBOOT_VERSION"
_COUNTER = "MCUBOOT_HW_DOWNGRADE_PREVENTION_COUNTER_VALUE"
_COUNTED = ("CONFIG_MCUBOOT_HARDWARE_DOWNGRADE_PREVENTION", "SB_CONFIG_MCUBOOT_HARDWARE_DOWNGRADE_PREVENTION")
_SPLIT = ("SB_CONFIG_QSPI_XIP_SPLIT_IMAGE", "CONFIG_MCUBOOT_QSPI_XIP_SPLIT_IMAGE")
_ZERO = "0.0.0+0"
_SHORT_NAMES = ("2.6.", "2.7.")
MAX_NUMBER = 15


@dataclass(frozen=True, slots=True)
class Sources:
    """What the images of a package are found by. ``sysbuild`` is sysbuild's configuration, empty without it."""

    folder: BuildFolder
    kind: BuildKind
    images: tuple[BuildImage, ...]
    bootloader: BuildBootloader
    sysbuild: Kconfig
    layout: Layout

    def image(self, role: BuildRole) -> BuildImage | None:
        """The first image with this role."""
        return next((one for one in self.images if one.role is role), None)

    @property
    def application(self) -> BuildImage:
        """The image that the others are for."""
        found = self.image(BuildRole.APPLICATION)
        assert found is not None
        return found

    @property
    def updates_network(self) -> bool:
        """True if the build has a network core's image, and its bootloader updates it."""
        return self.image(BuildRole.NETWORK) is not None and self.bootloader.simultaneous is not None

    @property
    def direct_xip(self) -> bool:
        """True if the application is built for each of two slots."""
        return self.bootloader.mode is not None and self.bootloader.mode.value in RUNS_IN_BOTH_SLOTS

    @property
    def split(self) -> bool:
        """True if a half of the application is in external flash."""
        return any(self.sysbuild.flag(key) or self.application.config.flag(key) for key in _SPLIT)

    def number(self, what: str, usual: int) -> Fact[int]:
        """MCUboot's number of an image: ``what`` is ``APPLICATION``, ``NETWORK_CORE`` or ``QSPI_XIP``."""
        mcuboot = self.image(BuildRole.MCUBOOT)
        key = f"CONFIG_MCUBOOT_{what}_IMAGE_NUMBER"
        places = [(self.sysbuild, f"SB_{key}"), (self.application.config, key)]
        places += [] if mcuboot is None else [(mcuboot.config, key)]
        for config, name in places:
            number = config.number(name)
            if number is not None and 0 <= number <= MAX_NUMBER:  # -1 stands for an image that is not there
                return Fact(number, config.file, name)
        return Fact(usual, key=USUAL)


def find_updates(sources: Sources) -> tuple[UpdateImage, ...]:
    """The images of a package. Raises PackageError where the build does not say what one needs."""
    return tuple(with_files(sources.folder, one) for one in _updates(sources))


def _updates(sources: Sources) -> Iterator[UpdateImage]:
    images = [sources.application]
    variant = sources.image(BuildRole.VARIANT)
    if sources.direct_xip and variant is not None:
        images.append(variant)
    for second, image in enumerate(images):
        yield _application(sources, image, second=bool(second))
        if sources.split:
            yield _external(sources, image, second=bool(second))
    network = sources.image(BuildRole.NETWORK)
    if network is not None and sources.bootloader.simultaneous is not None:
        yield _network(sources, network)


def update_warnings(sources: Sources, updates: tuple[UpdateImage, ...]) -> Iterator[BuildWarning]:
    """What is left out of the package, and what will not work."""
    network, variant = sources.image(BuildRole.NETWORK), sources.image(BuildRole.VARIANT)
    if network is not None and sources.bootloader.simultaneous is None:
        yield BuildWarning(
            "net-left-out",
            "the package has no image for the network core: the bootloader of this build does not update it",
        )
    if sources.direct_xip and variant is None:
        yield BuildWarning(
            "one-variant", "the bootloader runs images in two slots, and the build has the application for one of them"
        )
    if sources.image(BuildRole.FIRMWARE_LOADER) is not None:
        yield BuildWarning("loader-left-out", "the firmware loader itself is not part of the package")
    if sources.sysbuild.flag("SB_CONFIG_DFU_ZIP_WIFI_FW_PATCH"):
        yield BuildWarning("patches-left-out", "the patches of the Wi-Fi chip (nrf70) are not part of the package")
    extra = fact_of(sources.application.config, "CONFIG_MCUBOOT_EXTRA_IMGTOOL_ARGS")
    if extra is not None:
        yield BuildWarning(
            "extra-arguments", f"the build gives imgtool further arguments, which smpdfu does not use: {extra.value}"
        )
    if sources.image(BuildRole.B0N) is not None and any(one.role is Role.NET and not one.sealed for one in updates):
        yield BuildWarning(
            "net-unsealed",
            "the build has b0n, and no network image that is signed for it: b0n will refuse the update. Take the file "
            "signed_by_b0_ that the build makes",
        )


# --- the application ------------------------------------------------------------------------------------------------


def _application(sources: Sources, image: BuildImage, *, second: bool) -> UpdateImage:
    layout, number = sources.layout, sources.number("APPLICATION", 0)
    header, in_file = header_size(layout, sources.application, sources.sysbuild)
    slot = layout.needed_slot(number.value, secondary=second)
    split = sources.split
    return UpdateImage(
        role=Role.APP,
        image=image,
        name=_app_name(sources, image, "internal" if split else ""),
        slot=_fact(slot),
        limit=_limit(sources, slot, number.value),
        header_size=header,
        sector_size=layout.sector,
        align=layout.align,
        header_in_file=in_file,
        version=_app_version(sources, image),
        number=number,
        board=fact_of(image.config, "CONFIG_BOARD"),
        soc=image.soc,
        slot_number=2 * number.value + second if sources.direct_xip else None,
        numbered=sources.kind is not BuildKind.CHILD or sources.updates_network,
        load_address=_app_load_address(sources, slot, second=second),
        security_counter=security_counter(sources),
        encrypted=sources.bootloader.encryption is not None,
        unsigned_names=_app_sources(sources, image, "internal" if split else ""),
        signed_names=_app_signed(sources, image, "internal" if split else ""),
    )


def _external(sources: Sources, image: BuildImage, *, second: bool) -> UpdateImage:
    """The half of the application in external flash: the network core's image counts first."""
    number = sources.number("QSPI_XIP", 2 if sources.updates_network else 1)
    slot = sources.layout.needed_slot(number.value, secondary=second)
    inside = _application(sources, image, second=second)
    code = sources.layout.app.get(f"mcuboot_{'secondary' if second else 'primary'}_{number.value}_app")
    return replace(
        inside,
        role=Role.EXTERNAL,
        name=_app_name(sources, image, "external"),
        slot=_fact(slot),
        limit=_limit(sources, slot, number.value),
        header_in_file=False,
        number=number,
        slot_number=2 * number.value + second if sources.direct_xip else None,
        load_address=_address(code or slot),
        rom_fixed=sources.direct_xip,
        unsigned_names=_app_sources(sources, image, "external"),
        signed_names=_app_signed(sources, image, "external"),
    )


def _app_name(sources: Sources, image: BuildImage, half: str) -> str:
    if sources.kind is BuildKind.CHILD:
        return "app_update.bin"
    if half:
        return f"{image.name}.{half}.bin"
    if image.ncs is not None and image.ncs.value.startswith(_SHORT_NAMES):
        return f"{image.name}.bin"
    return (
        f"{image.name}.signed.encrypted.bin"
        if sources.bootloader.encryption is not None
        else f"{image.name}.signed.bin"
    )


def _app_sources(sources: Sources, image: BuildImage, half: str) -> tuple[str, ...]:
    """Unsigned firmware, the best file first. With TF-M only a file that has TF-M in it will do."""
    if image.config.flag("CONFIG_BUILD_WITH_TFM"):
        names = [f"{image.kernel}.{half}.tfm.hex"] if half == "internal" else ["tfm_merged.hex"]
        names = [f"{image.kernel}.external.hex"] if half == "external" else names
        names += ["mcuboot_primary_app.hex"] if sources.kind is BuildKind.CHILD else []
    elif half:
        names = [f"{image.kernel}.{half}.hex", f"{image.kernel}.hex"]
    else:
        names = [f"{image.kernel}.hex", f"{image.kernel}.bin"]
    return tuple(image.file(f"zephyr/{name}") for name in names)


def _app_signed(sources: Sources, image: BuildImage, half: str) -> tuple[str, ...]:
    if sources.kind is BuildKind.CHILD:
        return (image.file("zephyr/app_update.bin"),)
    ending = "signed.encrypted.bin" if sources.bootloader.encryption is not None and not half else "signed.bin"
    stem = f"{image.kernel}.{half}" if half else image.kernel
    return (image.file(f"zephyr/{stem}.{ending}"),)


def _app_version(sources: Sources, image: BuildImage) -> Fact[Version]:
    keys = reversed(_APP_VERSIONS) if sources.kind is BuildKind.CHILD else _APP_VERSIONS
    return _version(fact_of(image.config, *keys) or Fact(_ZERO, key=USUAL))


def _version(text: Fact[str]) -> Fact[Version]:
    try:
        return Fact(Version.from_text(text.value), text.file, text.key)
    except (ValueError, ImageError) as error:
        raise PackageError(f"{text.key} in {text.file} is no version: {error}").because(
            "build-value", file=text.file, key=text.key
        ) from None


def _app_load_address(sources: Sources, slot: Partition, *, second: bool) -> Fact[int]:
    """The code's address with Partition Manager, else the slot's."""
    app = sources.layout.app
    if sources.layout.by_devicetree:
        return _address(slot)
    side = "secondary" if second else "primary"
    code = app.get(f"mcuboot_{side}_app") if sources.direct_xip else app.get("app") or app.get("mcuboot_primary_app")
    return _address(code or slot)


def security_counter(sources: Sources) -> Fact[int] | None:
    """The counter of all images, if the bootloader prevents downgrades by it."""
    for config, prefix in ((sources.application.config, "CONFIG_"), (sources.sysbuild, "SB_CONFIG_")):
        value = config.number(prefix + _COUNTER)
        if value is not None and 0 <= value <= 0xFFFF_FFFF and any(config.flag(key) for key in _COUNTED):
            return Fact(value, config.file, prefix + _COUNTER)
    return None


def _limit(sources: Sources, slot: Partition, number: int) -> Fact[Partition]:
    """The smaller slot of a pair: an update must fit both. Where no image moves, it is the slot that it runs from."""
    moves = sources.bootloader.swap_mode is not None or sources.bootloader.mode is None
    other = sources.layout.slot(number, secondary=True) if moves else None
    return _fact(slot if other is None or slot.size <= other.size else other)


def _fact(part: Partition) -> Fact[Partition]:
    return Fact(part, part.file, part.key)


def _address(part: Partition) -> Fact[int]:
    return Fact(part.address, part.file, part.key)


# --- the network core -----------------------------------------------------------------------------------------------


def _network(sources: Sources, image: BuildImage) -> UpdateImage:
    layout, number = sources.layout, sources.number("NETWORK_CORE", 1)
    number = number if number.value else replace(number, value=1)
    slot = layout.network
    if slot is None:
        place = image.file("zephyr/zephyr.dts") if layout.by_devicetree else "pm_CPUNET.config"
        raise PackageError(
            f"the build does not say where the network core's application starts: {place} does not tell it"
        ).because("build-incomplete", file=place)
    child = sources.kind is BuildKind.CHILD
    header = _network_header(sources)
    ram = layout.slot(number.value) if layout.by_devicetree else None
    return UpdateImage(
        role=Role.NET,
        image=image,
        name="net_core_app_update.bin" if child else f"{image.name}.bin",
        slot=_fact(slot),
        limit=_network_limit(sources, slot, number.value),
        header_size=header,
        sector_size=layout.sector,
        align=Fact(4, key=USUAL),
        header_in_file=False,
        version=network_version(sources, image),
        number=number,
        board=(fact_of(sources.application.config, "CONFIG_DOMAIN_CPUNET_BOARD") if child else None) or image.board,
        soc=fact_of(sources.sysbuild, "SB_CONFIG_SOC") or image.soc,
        load_address=_address(ram or slot),
        security_counter=None if child else security_counter(sources),
        firmware_version=fact_of(image.config, "CONFIG_FW_INFO_FIRMWARE_VERSION"),
        unsigned_names=network_sources(image, child=child),
        signed_names=_network_signed(image, child=child),
    )


def _network_header(sources: Sources) -> Fact[int]:
    found, _ = header_size(sources.layout, sources.application, sources.sysbuild)
    return Fact(0x200, key=USUAL) if sources.layout.by_devicetree else found


def _network_limit(sources: Sources, slot: Partition, number: int) -> Fact[Partition]:
    """The slot that the network core's image is uploaded to."""
    together = sources.bootloader.simultaneous is not None and sources.bootloader.simultaneous.value
    found = sources.layout.slot(number if together else 0, secondary=True)
    return _fact(slot if found is None else found)


def network_version(sources: Sources, image: BuildImage) -> Fact[Version]:
    """That of the application in builds with child images; else sysbuild's, which is 0.0.0 unless somebody sets it."""
    if sources.kind is BuildKind.CHILD:
        return _app_version(sources, sources.application)
    if sources.sysbuild.flag("SB_CONFIG_SECURE_BOOT_NETCORE") or not sources.sysbuild.values:
        return _version(fact_of(sources.sysbuild, _NETWORK_VERSION) or Fact(_ZERO, key=USUAL))
    return _version(
        fact_of(sources.sysbuild, _NETWORK_VERSION) or fact_of(image.config, _APP_VERSIONS[0]) or Fact(_ZERO, key=USUAL)
    )


SEALED_PREFIX = "signed_by_b0_"


def network_sources(image: BuildImage, *, child: bool) -> tuple[str, ...]:
    """The firmware signed for b0n, else the plain one."""
    stem = f"zephyr/{image.kernel}"
    sealed = [f"{SEALED_PREFIX}{image.name}", f"zephyr/{SEALED_PREFIX}{image.name}"]
    sealed = (
        [*(image.file(f"zephyr/{SEALED_PREFIX}{what}") for what in ("app", image.name)), *sealed] if child else sealed
    )
    return tuple(f"{name}.{ending}" for name in (*sealed, image.file(stem)) for ending in ("hex", "bin"))


def _network_signed(image: BuildImage, *, child: bool) -> tuple[str, ...]:
    if child:
        return ("zephyr/net_core_app_update.bin", "zephyr/net_core_update.bin")
    return (f"signed_by_mcuboot_and_b0_{image.name}.bin", image.file(f"zephyr/{image.kernel}.signed.bin"))


# --- files ----------------------------------------------------------------------------------------------------------


def with_files(folder: BuildFolder, update: UpdateImage) -> UpdateImage:
    """The image with those of its files that are there."""
    unsigned, signed = folder.first(*update.unsigned_names), folder.first(*update.signed_names)
    return replace(update, unsigned=unsigned, signed=signed, sealed=SEALED_PREFIX in (unsigned or signed or ""))


def with_names(
    updates: tuple[UpdateImage, ...], names: Mapping[tuple[int, int | None], str]
) -> tuple[UpdateImage, ...]:
    """The images with the names that the build's own manifest has for them by number and slot, if no two are alike."""
    named = tuple(replace(one, name=names.get((one.number.value, one.slot_number), one.name)) for one in updates)
    return named if len({one.name for one in named}) == len(named) else updates
