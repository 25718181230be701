"""The images of a build folder, and what each of them is for.

What an image is, its own ``.config`` tells; names count only where nothing else does. Sources: Zephyr's sysbuild, and
in the nRF Connect SDK ``sysbuild/`` (2.7 and later), ``modules/mcuboot`` and ``samples/nrf5340/netboot`` (up to 2.6).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from smpdfu.dfu.build_folder.build import BuildImage, BuildRole, Fact
from smpdfu.dfu.build_folder.formats import documents
from smpdfu.dfu.build_folder.formats.documents import Domains
from smpdfu.dfu.build_folder.formats.folder import MAX_FOLDERS, BuildFolder
from smpdfu.dfu.build_folder.formats.kconfig import Kconfig
from smpdfu.errors import PackageError
from smpdfu.untrusted import yamltext

DOMAINS = "domains.yaml"
_HEADER_BYTES = 1 << 16
_GENERATED = ("zephyr/include/generated/zephyr", "zephyr/include/generated")


def read_domains(folder: BuildFolder) -> Domains:
    """What ``domains.yaml`` lists; nothing where there is none. Raises PackageError, OSError."""
    found = folder.read(DOMAINS, yamltext.MAX_BYTES, documents.parse_domains)
    return Domains(None, ()) if found is None else found


def find_images(folder: BuildFolder, domains: Domains, sysbuild: Kconfig) -> tuple[BuildImage, ...]:
    """Every folder with a ``zephyr/.config``: those of ``domains`` first, those in another image's last.

    ``sysbuild`` is the configuration of sysbuild, which names the firmware loader; empty in a build without.

    Raises PackageError, OSError.
    """
    found: list[BuildImage] = []
    _add_images(folder, ("", *domains.names, *folder.folders()), found)
    nested = [inner for image in found if image.folder for inner in folder.folders(image.folder)]
    _add_images(folder, nested, found)
    loader = sysbuild.text("SB_CONFIG_FIRMWARE_LOADER_IMAGE_NAME") or "firmware_loader"
    return tuple(_with_roles(found, domains.default, loader))


def _add_images(folder: BuildFolder, places: Iterable[str], found: list[BuildImage]) -> None:
    for place in dict.fromkeys(places):
        config = folder.config(f"{place}/zephyr/.config" if place else "zephyr/.config")
        if config is None or not any(key.startswith("CONFIG_") for key in config.values):
            continue  # sysbuild's own .config has SB_CONFIG_ keys only
        if len(found) == MAX_FOLDERS:
            raise PackageError(f"{folder.root} has more than {MAX_FOLDERS} images").because(
                "build-none", folder=str(folder.root)
            )
        found.append(_read_image(folder, place, config))


def _read_image(folder: BuildFolder, place: str, config: Kconfig) -> BuildImage:
    image = BuildImage(place.rpartition("/")[2], BuildRole.OTHER, place, config)
    return replace(
        image,
        board=_board(folder, image),
        soc=fact_of(config, "CONFIG_SOC"),
        ncs=_release(folder, image, "ncs_version.h", "NCS_VERSION_STRING"),
        zephyr=_release(folder, image, "version.h", "KERNEL_VERSION_STRING"),
    )


def fact_of(config: Kconfig | None, *keys: str) -> Fact[str] | None:
    """The text of the first of these keys that is set."""
    if config is None:
        return None
    return next((Fact(text, config.file, key) for key in keys if (text := config.text(key)) is not None), None)


def _board(folder: BuildFolder, image: BuildImage) -> Fact[str] | None:
    name = image.file("build_info.yml")
    board = folder.read(name, yamltext.MAX_BYTES, documents.parse_board) if image.folder else None
    if board is not None:
        return Fact(board, name, "cmake: board")
    found = fact_of(image.config, "CONFIG_BOARD_TARGET", "CONFIG_BOARD")
    qualifiers = image.config.text("CONFIG_BOARD_QUALIFIERS")
    if found is None or qualifiers is None or found.key == "CONFIG_BOARD_TARGET":
        return found
    return replace(found, value=f"{found.value}/{qualifiers}")


def _release(folder: BuildFolder, image: BuildImage, header: str, define: str) -> Fact[str] | None:
    for place in _GENERATED:
        name = image.file(f"{place}/{header}")
        found = folder.read(name, _HEADER_BYTES, lambda data: documents.parse_define(data, define))
        if found is not None:
            return Fact(found, name, define)
    return None


# --- roles ----------------------------------------------------------------------------------------------------------


def _with_roles(images: list[BuildImage], default: str | None, loader: str) -> Iterator[BuildImage]:
    roles = [_role(image, loader) for image in images]
    main = _main(images, roles, default)
    for number, (image, role) in enumerate(zip(images, roles, strict=True)):
        yield replace(image, role=BuildRole.APPLICATION if number == main else role or BuildRole.OTHER)


def _role(image: BuildImage, loader: str) -> BuildRole | None:
    """What an image is; None for one that may be the application. ``loader`` is the name of the firmware loader."""
    config = image.config
    is_network = config.flag("CONFIG_SOC_NRF5340_CPUNET") or "cpunet" in (
        image.board.value if image.board is not None else ""
    )
    if config.flag("CONFIG_MCUBOOT"):
        return BuildRole.MCUBOOT_VARIANT if image.name == "s1_image" else BuildRole.MCUBOOT
    if config.flag("CONFIG_IS_SECURE_BOOTLOADER"):
        return BuildRole.B0N if is_network else BuildRole.B0
    if is_network:
        return BuildRole.NETWORK
    if config.flag("CONFIG_NCS_IS_VARIANT_IMAGE") or image.name.endswith(("_secondary_app", "_slot1_variant")):
        return BuildRole.VARIANT
    if image.name == loader and config.flag("CONFIG_MCUBOOT_BOOTLOADER_MODE_FIRMWARE_UPDATER"):
        return BuildRole.FIRMWARE_LOADER
    return None


def _main(images: list[BuildImage], roles: list[BuildRole | None], default: str | None) -> int | None:
    """The number of the application: the default of ``domains.yaml``, else the first image that MCUboot boots."""
    free = [number for number, role in enumerate(roles) if role is None]
    named = [number for number in free if images[number].name == default]
    booted = [number for number in free if images[number].config.flag("CONFIG_BOOTLOADER_MCUBOOT")]
    return next(iter((*named, *booted)), None)
