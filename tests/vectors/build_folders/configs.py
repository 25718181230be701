"""The Kconfig values that a build of each kind leaves: sysbuild's own, and those of its images.

Sources: Z share/sysbuild/images/bootloader/Kconfig and image_configurations, Z modules/Kconfig.mcuboot (words of the
application), N sysbuild/Kconfig.mcuboot, .netcore, .secureboot, .zip, .dfu, the Kconfig of nrfconnect/sdk-mcuboot.
Only values that a reader could want; a real file has a thousand more.
"""

from __future__ import annotations

from tests.vectors.build_folders.firmware import ENCRYPT_KEY
from tests.vectors.build_folders.kinds import Kind
from tests.vectors.build_folders.layouts import Part
from tests.vectors.build_folders.signing import NETWORK_VERSION, key_file

Values = dict[str, object]

# MCUboot's word for each mode (sdk-mcuboot boot/zephyr/Kconfig).
_LOADER_WORDS = {
    "SWAP_USING_MOVE": ("BOOT_SWAP_USING_MOVE",),
    "SWAP_USING_OFFSET": ("BOOT_SWAP_USING_OFFSET",),
    "OVERWRITE_ONLY": ("BOOT_UPGRADE_ONLY",),
    "DIRECT_XIP": ("BOOT_DIRECT_XIP",),
    "DIRECT_XIP_WITH_REVERT": ("BOOT_DIRECT_XIP", "BOOT_DIRECT_XIP_REVERT"),
    "FIRMWARE_UPDATER": ("BOOT_FIRMWARE_LOADER",),
    "SINGLE_APP": ("SINGLE_APPLICATION_SLOT",),
    "RAM_LOAD": ("BOOT_RAM_LOAD",),
}


def mode_word(kind: Kind) -> str:
    """The word of the application's and sysbuild's Kconfig: Zephyr 4.1 renamed swap without scratch."""
    return "SWAP_WITHOUT_SCRATCH" if kind.old_words and kind.mode == "SWAP_USING_MOVE" else kind.mode


def _signature(kind: Kind, prefix: str) -> Values:
    chosen = "ED25519" if kind.chip.key == "ed25519" else "ECDSA_P256"
    names = ("NONE", "RSA", "ECDSA_P256", "ED25519")
    return {f"{prefix}BOOT_SIGNATURE_TYPE_{name}": name == chosen for name in names}


def _numbers(kind: Kind, prefix: str) -> Values:
    if kind.ncs < "2.8":  # the options are newer
        return {}
    # N sysbuild/Kconfig.mcuboot: -1 stands for an image that there is not.
    return {
        f"{prefix}MCUBOOT_APPLICATION_IMAGE_NUMBER": 0,
        f"{prefix}MCUBOOT_NETWORK_CORE_IMAGE_NUMBER": 1 if kind.net else -1,
        f"{prefix}MCUBOOT_WIFI_PATCHES_IMAGE_NUMBER": -1,
        f"{prefix}MCUBOOT_QSPI_XIP_IMAGE_NUMBER": kind.split_number if kind.split else -1,
        f"{prefix}MCUBOOT_MCUBOOT_IMAGE_NUMBER": -1,
    }


def sysbuild(kind: Kind) -> Values:
    """``zephyr/.config`` of the build folder itself."""
    values: Values = {
        "SB_CONFIG_BOARD": kind.chip.board,
        "SB_CONFIG_BOARD_QUALIFIERS": kind.chip.qualifiers,
        "SB_CONFIG_SOC": kind.chip.soc,
        "SB_CONFIG_PARTITION_MANAGER": kind.style == "pm",
        "SB_CONFIG_BUILD_OUTPUT_BIN": True,
        "SB_CONFIG_BUILD_OUTPUT_HEX": True,
        "SB_CONFIG_BOOTLOADER_NONE": False,
        "SB_CONFIG_BOOTLOADER_MCUBOOT": True,
        f"SB_CONFIG_MCUBOOT_MODE_{mode_word(kind)}": True,
        "SB_CONFIG_SIGNATURE_TYPE": "ED25519" if kind.chip.key == "ed25519" else "ECDSA_P256",
        **_signature(kind, "SB_CONFIG_"),
        "SB_CONFIG_BOOT_SIGNATURE_KEY_FILE": str(key_file(kind)),
        "SB_CONFIG_BOOT_ENCRYPTION": kind.encrypted,
        "SB_CONFIG_MCUBOOT_UPDATEABLE_IMAGES": updateable(kind),
        "SB_CONFIG_MCUBOOT_HARDWARE_DOWNGRADE_PREVENTION": False,
        **_numbers(kind, "SB_CONFIG_"),
        "SB_CONFIG_DFU_ZIP": True,
        "SB_CONFIG_DFU_ZIP_APP": True,
        "SB_CONFIG_QSPI_XIP_SPLIT_IMAGE": kind.split,
        "SB_CONFIG_DFU_MULTI_IMAGE_PACKAGE_BUILD": kind.multi_image,
    }
    if kind.encrypted:
        values["SB_CONFIG_BOOT_ENCRYPTION_KEY_FILE"] = str(ENCRYPT_KEY)
    if kind.style == "pm":
        values |= {"SB_CONFIG_PM_MCUBOOT_PAD": "0x200", "SB_CONFIG_PM_EXTERNAL_FLASH_MCUBOOT_SECONDARY": kind.external}
    if kind.direct_xip:
        values["SB_CONFIG_MCUBOOT_BUILD_DIRECT_XIP_VARIANT"] = True
    if kind.mode == "FIRMWARE_UPDATER":
        values |= {
            "SB_CONFIG_FIRMWARE_LOADER_IMAGE_BLE_MCUMGR": True,
            "SB_CONFIG_FIRMWARE_LOADER_IMAGE_NAME": "ble_mcumgr",
        }
    if kind.own_update:
        values |= {"SB_CONFIG_SECURE_BOOT": True, "SB_CONFIG_SECURE_BOOT_APPCORE": True}
        values |= {"SB_CONFIG_SECURE_BOOT_BUILD_S1_VARIANT_IMAGE": True}
        values["SB_CONFIG_SECURE_BOOT_SIGNING_KEY_FILE"] = str(key_file(kind))
        values |= {
            "SB_CONFIG_SECURE_BOOT_MCUBOOT_VERSION": NETWORK_VERSION,
            "SB_CONFIG_MCUBOOT_MCUBOOT_IMAGE_NUMBER": 1,
        }
        values["SB_CONFIG_DFU_MULTI_IMAGE_PACKAGE_MCUBOOT"] = True
    if kind.chip.key == "ed25519":
        values |= {"SB_CONFIG_SOC_SERIES_NRF54L": True, "SB_CONFIG_BOOT_IMG_HASH_ALG_SHA512": True}
    return values | (_sysbuild_network(kind) if kind.net else {})


def _sysbuild_network(kind: Kind) -> Values:
    # In 2.7 only MCUboot's own .config and its partitions tell whether both images are updated in one boot.
    both = {} if kind.ncs < "2.8" else {"SB_CONFIG_MCUBOOT_NRF53_MULTI_IMAGE_UPDATE": kind.simultaneous}
    return both | {
        "SB_CONFIG_NETCORE_IPC_RADIO": True,
        "SB_CONFIG_NETCORE_IMAGE_NAME": kind.net,
        "SB_CONFIG_NETCORE_APP_UPDATE": True,
        "SB_CONFIG_SECURE_BOOT": True,
        "SB_CONFIG_SECURE_BOOT_NETCORE": True,
        "SB_CONFIG_SECURE_BOOT_APPCORE": False,
        "SB_CONFIG_SECURE_BOOT_SIGNING_KEY_FILE": str(key_file(kind)),
        "SB_CONFIG_SECURE_BOOT_MCUBOOT_VERSION": NETWORK_VERSION,
        "SB_CONFIG_DFU_ZIP_NET": True,
        "SB_CONFIG_DFU_MULTI_IMAGE_PACKAGE_APP": kind.multi_image,
        "SB_CONFIG_DFU_MULTI_IMAGE_PACKAGE_NET": kind.multi_image,
    }


def updateable(kind: Kind) -> int:
    """Images that MCUboot updates. The stored Kconfig of N counts the network core in staged builds too (3.x)."""
    staged = kind.net and not kind.simultaneous and not kind.old_words
    return kind.images + 1 if staged else kind.images


def _image(kind: Kind) -> Values:
    return {
        "CONFIG_BOARD": kind.chip.board,
        "CONFIG_BOARD_REVISION": "",
        "CONFIG_BOARD_TARGET": kind.chip.target,
        "CONFIG_BOARD_QUALIFIERS": kind.chip.qualifiers,
        "CONFIG_SOC": kind.chip.soc,
        "CONFIG_KERNEL_BIN_NAME": "zephyr",
        "CONFIG_BUILD_OUTPUT_BIN": True,
        "CONFIG_BUILD_OUTPUT_HEX": True,
        "CONFIG_PARTITION_MANAGER_ENABLED": kind.style != "dts",
        "CONFIG_FLASH_SIZE": 1524 if kind.chip.key == "ed25519" else 1024,
        "CONFIG_FLASH_BASE_ADDRESS": "0x0",
    }


def application(kind: Kind, slot: Part, *, variant: bool = False, loader: bool = False) -> Values:
    """``zephyr/.config`` of an image that MCUboot boots; ``variant``: for slot 1, ``loader``: the updater image."""
    values = _image(kind) | {
        "CONFIG_BOOTLOADER_MCUBOOT": True,
        f"CONFIG_MCUBOOT_BOOTLOADER_MODE_{mode_word(kind)}": True,
        "CONFIG_MCUBOOT_SIGNATURE_KEY_FILE": str(key_file(kind)),
        "CONFIG_MCUBOOT_ENCRYPTION_KEY_FILE": str(ENCRYPT_KEY) if kind.encrypted else "",
        "CONFIG_MCUBOOT_IMGTOOL_SIGN_VERSION": kind.version,
        "CONFIG_MCUBOOT_EXTRA_IMGTOOL_ARGS": "",
        "CONFIG_MCUBOOT_GENERATE_UNSIGNED_IMAGE": False,
        "CONFIG_MCUBOOT_GENERATE_CONFIRMED_IMAGE": False,
        "CONFIG_MCUBOOT_FLASH_WRITE_BLOCK_SIZE": kind.chip.align,
        "CONFIG_MCUBOOT_HARDWARE_DOWNGRADE_PREVENTION": False,
        "CONFIG_UPDATEABLE_IMAGE_NUMBER": updateable(kind),
        "CONFIG_NCS_IS_VARIANT_IMAGE": variant,
        "CONFIG_ROM_START_OFFSET": hex(kind.chip.header) if kind.style == "dts" else 0,
        "CONFIG_MCUBOOT_IMGTOOL_OVERWRITE_ONLY": kind.mode == "OVERWRITE_ONLY",  # with PM it is set and not used
        "CONFIG_USE_DT_CODE_PARTITION": True,
        "CONFIG_BUILD_WITH_TFM": kind.tfm,
    }
    if kind.style == "dts":
        values |= {"CONFIG_FLASH_LOAD_OFFSET": hex(slot.address), "CONFIG_FLASH_LOAD_SIZE": hex(slot.size)}
        values["CONFIG_NCS_MCUBOOT_IMGTOOL_SET_ROM_FIXED_ADDRESS"] = bool(kind.net)
    else:  # PM: the board's own devicetree, which says nothing of where the image lies
        values |= {"CONFIG_FLASH_LOAD_OFFSET": "0x10000", "CONFIG_FLASH_LOAD_SIZE": "0x70000"}
    if loader:
        values["CONFIG_MCUBOOT_APPLICATION_FIRMWARE_UPDATER"] = True
    if kind.split:
        values["CONFIG_MCUBOOT_QSPI_XIP_IMAGE_NUMBER"] = kind.split_number
        # Z subsys/mgmt/mcumgr/grp/img_mgmt/Kconfig: without it, no host can confirm an external half that is on trial.
        # N samples/nrf5340/extxip_smp_svr does not set it; its trials revert.
        values["CONFIG_MCUMGR_GRP_IMG_ALLOW_CONFIRM_NON_ACTIVE_IMAGE_ANY"] = True
    return values


def mcuboot(kind: Kind) -> Values:
    """``zephyr/.config`` of MCUboot."""
    values = _image(kind) | {
        "CONFIG_MCUBOOT": True,
        **dict.fromkeys((f"CONFIG_{one}" for one in _LOADER_WORDS[kind.mode]), True),
    }
    values |= _signature(kind, "CONFIG_") | {
        "CONFIG_BOOT_SIGNATURE_KEY_FILE": str(key_file(kind)),
        "CONFIG_BOOT_ENCRYPT_IMAGE": kind.encrypted,
        "CONFIG_BOOT_VALIDATE_SLOT0": True,
        "CONFIG_BOOT_MAX_IMG_SECTORS": 256,
        "CONFIG_UPDATEABLE_IMAGE_NUMBER": updateable(kind),
        "CONFIG_MCUBOOT_DOWNGRADE_PREVENTION": False,
        **_numbers(kind, "CONFIG_"),
    }
    if kind.encrypted:
        values |= {"CONFIG_BOOT_ENCRYPT_EC256": True, "CONFIG_BOOT_ENCRYPTION_KEY_FILE": str(ENCRYPT_KEY)}
    if kind.net:
        values |= {"CONFIG_NRF53_MULTI_IMAGE_UPDATE": kind.simultaneous, "CONFIG_PCD_APP": True}
    if kind.mode == "SINGLE_APP":
        # sdk-mcuboot boot/zephyr/Kconfig.serial_recovery: nothing else updates such a device.
        values |= {"CONFIG_MCUBOOT_SERIAL": True, "CONFIG_BOOT_SERIAL_BOOT_MODE": True}
        values["CONFIG_BOOT_SERIAL_NO_APPLICATION"] = True
    if kind.own_update:
        values |= {"CONFIG_FW_INFO": True, "CONFIG_FW_INFO_OFFSET": "0x200"}
        values["CONFIG_FW_INFO_FIRMWARE_VERSION"] = kind.firmware_version
    if kind.style == "dts":
        # Its default (facts, generations.md): not with an image pair for the network core.
        values["CONFIG_MCUBOOT_CHECK_HEADER_LOAD_ADDRESS"] = bool(kind.net) and not kind.simultaneous
    return values


def network(kind: Kind, *, bootloader: bool = False) -> Values:
    """``zephyr/.config`` of the network image, or of b0n."""
    values = _image(kind) | {
        "CONFIG_BOARD_TARGET": f"{kind.chip.board}/nrf5340/cpunet",
        "CONFIG_BOARD_QUALIFIERS": "nrf5340/cpunet",
        "CONFIG_FLASH_BASE_ADDRESS": "0x1000000",
        "CONFIG_FLASH_SIZE": 256,
        "CONFIG_FW_INFO": True,
        "CONFIG_FW_INFO_OFFSET": "0x200",
        "CONFIG_FW_INFO_FIRMWARE_VERSION": kind.firmware_version,
    }
    return values | (
        {"CONFIG_IS_SECURE_BOOTLOADER": True, "CONFIG_SB_VALIDATE_FW_SIGNATURE": False} if bootloader else {}
    )


def b0(kind: Kind) -> Values:
    """``zephyr/.config`` of b0, which checks signatures (N subsys/bootloader/Kconfig)."""
    return _image(kind) | {
        "CONFIG_FW_INFO": True,
        "CONFIG_IS_SECURE_BOOTLOADER": True,
        "CONFIG_SB_VALIDATE_FW_SIGNATURE": True,
    }
