"""How the MCUboot of a build was made: its own ``.config``, then what the application and sysbuild say of it.

Sources: ``boot/zephyr/Kconfig`` of MCUboot and of nrfconnect/sdk-mcuboot, ``sysbuild/Kconfig.mcuboot`` and
``modules/mcuboot`` of the nRF Connect SDK, Zephyr's ``modules/Kconfig.mcuboot``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from smpdfu.dfu.build_folder.build import BuildBootloader, BuildImage, BuildRole, Fact
from smpdfu.dfu.build_folder.formats import documents
from smpdfu.dfu.build_folder.formats.folder import BuildFolder
from smpdfu.dfu.build_folder.formats.kconfig import Kconfig
from smpdfu.dfu.build_folder.images import fact_of
from smpdfu.smp.groups.os import BootloaderMode

T = TypeVar("T")

_PUBLIC_KEY_BYTES = 1 << 16
MAX_PAIRS = 16

# More demanding choices first: DIRECT_XIP stays set beside DIRECT_XIP_REVERT.
_MODES: Mapping[str, BootloaderMode] = {
    "CONFIG_BOOT_DIRECT_XIP_REVERT": BootloaderMode.DIRECT_XIP_WITH_REVERT,
    "CONFIG_BOOT_DIRECT_XIP": BootloaderMode.DIRECT_XIP,
    "CONFIG_BOOT_FIRMWARE_LOADER": BootloaderMode.FIRMWARE_LOADER,
    "CONFIG_SINGLE_APPLICATION_SLOT_RAM_LOAD": BootloaderMode.SINGLE_APP_RAM_LOAD,
    "CONFIG_SINGLE_APPLICATION_SLOT": BootloaderMode.SINGLE_APP,
    "CONFIG_BOOT_RAM_LOAD": BootloaderMode.RAM_LOAD,
    "CONFIG_BOOT_UPGRADE_ONLY": BootloaderMode.OVERWRITE_ONLY,
    "CONFIG_BOOT_SWAP_USING_OFFSET": BootloaderMode.SWAP_USING_OFFSET,
    "CONFIG_BOOT_SWAP_USING_SCRATCH": BootloaderMode.SWAP_USING_SCRATCH,
    "CONFIG_BOOT_SWAP_USING_MOVE": BootloaderMode.SWAP_USING_MOVE,
    # The application's words.
    "CONFIG_MCUBOOT_BOOTLOADER_MODE_DIRECT_XIP_WITH_REVERT": BootloaderMode.DIRECT_XIP_WITH_REVERT,
    "CONFIG_MCUBOOT_BOOTLOADER_MODE_DIRECT_XIP": BootloaderMode.DIRECT_XIP,
    "CONFIG_MCUBOOT_BOOTLOADER_MODE_FIRMWARE_UPDATER": BootloaderMode.FIRMWARE_LOADER,
    "CONFIG_MCUBOOT_BOOTLOADER_MODE_SINGLE_APP_RAM_LOAD": BootloaderMode.SINGLE_APP_RAM_LOAD,
    "CONFIG_MCUBOOT_BOOTLOADER_MODE_SINGLE_APP": BootloaderMode.SINGLE_APP,
    "CONFIG_MCUBOOT_BOOTLOADER_MODE_RAM_LOAD": BootloaderMode.RAM_LOAD,
    "CONFIG_MCUBOOT_BOOTLOADER_MODE_OVERWRITE_ONLY": BootloaderMode.OVERWRITE_ONLY,
    "CONFIG_MCUBOOT_BOOTLOADER_MODE_SWAP_USING_OFFSET": BootloaderMode.SWAP_USING_OFFSET,
    "CONFIG_MCUBOOT_BOOTLOADER_MODE_SWAP_SCRATCH": BootloaderMode.SWAP_USING_SCRATCH,
    "CONFIG_MCUBOOT_BOOTLOADER_MODE_SWAP_USING_MOVE": BootloaderMode.SWAP_USING_MOVE,
    "CONFIG_MCUBOOT_BOOTLOADER_MODE_SWAP_WITHOUT_SCRATCH": BootloaderMode.SWAP_USING_MOVE,
}
_SIGNATURES: Mapping[str, str] = {
    "CONFIG_BOOT_SIGNATURE_TYPE_ECDSA_P256": "ecdsa-p256",
    "CONFIG_BOOT_SIGNATURE_TYPE_ECDSA_P384": "ecdsa-p384",
    "CONFIG_BOOT_SIGNATURE_TYPE_ED25519": "ed25519",
    "CONFIG_BOOT_SIGNATURE_TYPE_NONE": "none",
    "SB_CONFIG_BOOT_SIGNATURE_TYPE_ECDSA_P256": "ecdsa-p256",
    "SB_CONFIG_BOOT_SIGNATURE_TYPE_ED25519": "ed25519",
    "SB_CONFIG_BOOT_SIGNATURE_TYPE_NONE": "none",
    "CONFIG_MCUBOOT_BOOTLOADER_SIGNATURE_TYPE_ECDSA_P256": "ecdsa-p256",
    "CONFIG_MCUBOOT_BOOTLOADER_SIGNATURE_TYPE_ED25519": "ed25519",
    "CONFIG_MCUBOOT_BOOTLOADER_SIGNATURE_TYPE_NONE": "none",
}
_RSA = ("CONFIG_BOOT_SIGNATURE_TYPE_RSA", "SB_CONFIG_BOOT_SIGNATURE_TYPE_RSA")
_RSA_BITS = "CONFIG_BOOT_SIGNATURE_TYPE_RSA_LEN"
_ENCRYPTIONS: Mapping[str, str] = {
    "CONFIG_BOOT_ENCRYPT_EC256": "ecdsa-p256",
    "CONFIG_BOOT_ENCRYPT_X25519": "x25519",
    "CONFIG_BOOT_ENCRYPT_RSA": "rsa-2048",
}
_ENCRYPTS = ("CONFIG_BOOT_ENCRYPT_IMAGE", "SB_CONFIG_BOOT_ENCRYPTION")
# Which key encrypts where the bootloader's own choice is not known: as Zephyr chooses it by the signature.
_BY_SIGNATURE = {"ecdsa-p256": "ecdsa-p256", "ed25519": "x25519", "rsa-2048": "rsa-2048"}
_AES_256 = ("CONFIG_BOOT_ENCRYPT_ALG_AES_256", "CONFIG_MCUBOOT_ENCRYPTION_ALG_AES_256")
_PURE = ("CONFIG_BOOT_SIGNATURE_TYPE_PURE", "CONFIG_MCUBOOT_BOOTLOADER_SIGNATURE_TYPE_PURE")
_SHA512 = ("CONFIG_BOOT_IMG_HASH_ALG_SHA512", "CONFIG_MCUBOOT_BOOTLOADER_USES_SHA512")
_SIMULTANEOUS = ("CONFIG_NRF53_MULTI_IMAGE_UPDATE", "SB_CONFIG_MCUBOOT_NRF53_MULTI_IMAGE_UPDATE")
_UPDATES_NETWORK = ("CONFIG_PCD_APP", "CONFIG_NRF53_UPGRADE_NETWORK_CORE", "SB_CONFIG_NETCORE_APP_UPDATE")
_SIGN_KEYS = (
    "SB_CONFIG_BOOT_SIGNATURE_KEY_FILE",
    "CONFIG_MCUBOOT_SIGNATURE_KEY_FILE",
    "CONFIG_BOOT_SIGNATURE_KEY_FILE",
)
_ENCRYPTION_KEYS = (
    "SB_CONFIG_BOOT_ENCRYPTION_KEY_FILE",
    "CONFIG_MCUBOOT_ENCRYPTION_KEY_FILE",
    "CONFIG_BOOT_ENCRYPTION_KEY_FILE",
)


def read_bootloader(folder: BuildFolder, images: Iterable[BuildImage], sysbuild: Kconfig) -> BuildBootloader:
    """What is known of a build's MCUboot. Raises PackageError, OSError."""
    by_role = {image.role: image for image in images}
    mcuboot = by_role.get(BuildRole.MCUBOOT)
    own = [] if mcuboot is None else [mcuboot.config]
    configs = [*own, *(one.config for role, one in by_role.items() if role is BuildRole.APPLICATION), sysbuild]
    signature = _signature(configs)
    soc = "" if mcuboot is None or mcuboot.soc is None else mcuboot.soc.value.lower()
    encryption = _encryption(configs, signature)
    return BuildBootloader(
        mode=_choice(configs, _MODES),
        pairs=_pairs(configs),
        simultaneous=_simultaneous(configs),
        signature=signature,
        encryption=encryption,
        key_bits=_set(configs, _AES_256, 256) or Fact(128),
        key_file=_first(reversed(configs), _SIGN_KEYS),
        encryption_key_file=_first(reversed(configs), _ENCRYPTION_KEYS),
        public_key=None if mcuboot is None else _public_key(folder, mcuboot),
        pure=_set(configs, _PURE, True) is not None,
        # The nRF54L's images have it since they are signed with Ed25519; only newer builds have a key for it.
        sha512=_set(configs, _SHA512, True) is not None
        or (soc.startswith("nrf54l") and signature is not None and signature.value == "ed25519"),
        max_sectors=_max_sectors(own),
        checks_address=_set(own, ("CONFIG_MCUBOOT_CHECK_HEADER_LOAD_ADDRESS",), True),
    )


def _choice(configs: Iterable[Kconfig], keys: Mapping[str, BootloaderMode]) -> Fact[BootloaderMode] | None:
    found = ((config, key) for config in configs for key in keys if config.flag(key))
    return next((Fact(keys[key], config.file, key) for config, key in found), None)


def _set(configs: Iterable[Kconfig], keys: Iterable[str], value: T) -> Fact[T] | None:
    """``value`` and the first of these keys that is set; None where none is."""
    found = ((config, key) for config in configs for key in keys if config.flag(key))
    return next((Fact(value, config.file, key) for config, key in found), None)


def _first(configs: Iterable[Kconfig], keys: tuple[str, ...]) -> Fact[str] | None:
    return next((found for config in configs if (found := fact_of(config, *keys)) is not None), None)


def _pairs(configs: Iterable[Kconfig]) -> Fact[int] | None:
    key = "CONFIG_UPDATEABLE_IMAGE_NUMBER"
    found = ((config, config.number(key)) for config in configs)
    return next((Fact(number, one.file, key) for one, number in found if number and 0 < number <= MAX_PAIRS), None)


def _max_sectors(configs: Iterable[Kconfig]) -> Fact[int] | None:
    key = "CONFIG_BOOT_MAX_IMG_SECTORS"
    found = ((config, config.number(key)) for config in configs if not config.flag(f"{key}_AUTO"))
    return next((Fact(number, one.file, key) for one, number in found if number and 0 < number <= 1 << 16), None)


def _simultaneous(configs: list[Kconfig]) -> Fact[bool] | None:
    """Whether both cores are updated in one boot; None where nothing says that the network core is updated."""
    found = _set(configs, _SIMULTANEOUS, True)
    return found or _set(configs, _UPDATES_NETWORK, False)


def _signature(configs: Iterable[Kconfig]) -> Fact[str] | None:
    for config in configs:
        for key, kind in _SIGNATURES.items():
            if config.flag(key):
                return Fact(kind, config.file, key)
        for key in _RSA:
            if config.flag(key):
                return Fact(f"rsa-{config.number(_RSA_BITS) or 2048}", config.file, key)
    return None


def _encryption(configs: list[Kconfig], signature: Fact[str] | None) -> Fact[str] | None:
    for config in configs:
        for key, kind in _ENCRYPTIONS.items():
            if config.flag(key):
                return Fact(kind, config.file, key)
    found = _set(configs, _ENCRYPTS, 1)
    if found is None:
        return None
    kind = _BY_SIGNATURE.get("" if signature is None else signature.value, "ecdsa-p256")
    return Fact(kind, found.file, found.key)


def _public_key(folder: BuildFolder, mcuboot: BuildImage) -> Fact[bytes] | None:
    name = folder.first(mcuboot.file("zephyr/autogen-pubkey.c"), mcuboot.file("autogen-pubkey.c"))
    found = None if name is None else folder.read(name, _PUBLIC_KEY_BYTES, documents.parse_public_key)
    return None if name is None or found is None else Fact(found, name, "the key that imgtool wrote")
