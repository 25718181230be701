"""What a build says of NSIB (b0, b0n): the key that seals its firmware, and MCUboot's own variants for S0 and S1.

Sources: ``sysbuild/Kconfig.secureboot``, ``cmake/sysbuild/debug_keys.cmake`` and ``b0_mcuboot_signing.cmake`` of the
nRF Connect SDK; ``subsys/bootloader`` and ``modules/mcuboot`` up to 2.6.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from smpdfu.dfu.build_folder.build import BuildImage, BuildKind, BuildNsib, BuildRole, Fact, UpdateImage
from smpdfu.dfu.build_folder.formats.folder import BuildFolder
from smpdfu.dfu.build_folder.formats.kconfig import Kconfig
from smpdfu.dfu.build_folder.formats.partitions import Partition
from smpdfu.dfu.build_folder.images import fact_of
from smpdfu.dfu.build_folder.layout import USUAL
from smpdfu.dfu.build_folder.updates import SEALED_PREFIX, Sources, network_version, security_counter, with_files
from smpdfu.dfu.package.images import Role
from smpdfu.dfu.package.mcuboot import FILES

_LOADERS = (BuildRole.B0N, BuildRole.B0)
_KEY = ("CONFIG_SB_SIGNING_KEY_FILE", "SB_CONFIG_SECURE_BOOT_SIGNING_KEY_FILE")
_MORE_KEYS = ("CONFIG_SB_PUBLIC_KEY_FILES", "SB_CONFIG_SECURE_BOOT_PUBLIC_KEY_FILES")
_BY_SIGNATURE = "CONFIG_SB_VALIDATE_FW_SIGNATURE"
_GENERATED_KEY = "GENERATED_NON_SECURE_SIGN_KEY_PRIVATE.pem"
_SIGNED_PREFIX = "signed_by_mcuboot_and_b0_"


def read_nsib(folder: BuildFolder, images: Iterable[BuildImage], sysbuild: Kconfig) -> BuildNsib | None:
    """The keys of NSIB; None for a build without it."""
    by_role = {image.role: image for image in images}
    loaders = [by_role[role] for role in _LOADERS if role in by_role]
    if not loaders:
        return None
    configs = [*(one.config for one in loaders), sysbuild]
    network = by_role.get(BuildRole.NETWORK)
    places = ["", "" if network is None else network.file("zephyr/"), "zephyr/"]
    generated = folder.first(*(f"{place}{_GENERATED_KEY}" for place in dict.fromkeys(places)))
    return BuildNsib(
        key_file=_first(configs, _KEY),
        more_key_files=_first(configs, _MORE_KEYS),
        generated_key=None if generated is None else Fact(generated, generated),
        by_hash=BuildRole.B0N in by_role and not by_role[BuildRole.B0N].config.flag(_BY_SIGNATURE),
    )


def _first(configs: Iterable[Kconfig], keys: tuple[str, ...]) -> Fact[str] | None:
    return next((found for config in configs if (found := fact_of(config, *keys)) is not None), None)


# --- MCUboot itself -------------------------------------------------------------------------------------------------


def find_mcuboot_updates(sources: Sources) -> tuple[UpdateImage, ...]:
    """MCUboot for S0 and for S1, as far as the build has them; none without b0 below MCUboot."""
    return tuple(with_files(sources.folder, one) for one in _mcuboot_updates(sources))


def _mcuboot_updates(sources: Sources) -> Iterator[UpdateImage]:
    if sources.image(BuildRole.B0) is None:
        return
    for number, role in enumerate((BuildRole.MCUBOOT, BuildRole.MCUBOOT_VARIANT)):
        image, slot = sources.image(role), _slot(sources, number)
        if image is not None and slot is not None:
            yield _mcuboot_update(sources, image, slot, number)


def _slot(sources: Sources, number: int) -> Partition | None:
    app = sources.layout.app
    return app.get(f"s{number}") or app.get(f"s{number}_partition")


def _mcuboot_update(sources: Sources, image: BuildImage, slot: Partition, number: int) -> UpdateImage:
    layout = sources.layout
    pad = layout.app.get(f"s{number}_pad") or layout.app.get("mcuboot_pad")
    limit = layout.slot(sources.number("APPLICATION", 0).value, secondary=True)
    place = Fact(slot, slot.file, slot.key)
    child = sources.kind is BuildKind.CHILD
    return UpdateImage(
        role=Role.MCUBOOT,
        image=image,
        name=FILES[number],
        slot=place,
        limit=place if limit is None else Fact(limit, limit.file, limit.key),
        header_size=Fact(0x200, key=USUAL) if pad is None else Fact(pad.size, pad.file, f"{pad.key}_SIZE"),
        sector_size=layout.sector,
        align=Fact(4, key=USUAL),
        header_in_file=False,
        version=network_version(sources, image),
        number=Fact(0, key=USUAL),
        board=fact_of(sources.application.config, "CONFIG_BOARD"),
        soc=sources.application.soc,
        slot_number=number,
        load_address=Fact(slot.address, slot.file, slot.key),
        security_counter=None if child else security_counter(sources),
        firmware_version=fact_of(image.config, "CONFIG_FW_INFO_FIRMWARE_VERSION"),
        unsigned_names=_sealed_names(image, number),
        signed_names=_signed_names(image, number),
    )


def _sealed_names(image: BuildImage, number: int) -> tuple[str, ...]:
    """The firmware sealed for b0, else the plain one."""
    stems = [f"{place}{SEALED_PREFIX}{name}" for name in (image.name, f"s{number}_image") for place in ("", "zephyr/")]
    return tuple(
        f"{stem}.{ending}" for stem in (*stems, image.file(f"zephyr/{image.kernel}")) for ending in ("hex", "bin")
    )


def _signed_names(image: BuildImage, number: int) -> tuple[str, ...]:
    names = (f"{image.name}.bin", f"s{number}_image_update.bin")
    return tuple(f"{place}{_SIGNED_PREFIX}{name}" for name in dict.fromkeys(names) for place in ("", "zephyr/"))
