"""What ``vulture`` finds unused in smpdfu/ and what stays all the same; each row says why. Read by ``make lint``."""

from smpdfu.__main__ import imgtool
from smpdfu.agent.actions.events import PackageReady
from smpdfu.agent.ddi.config_data import Mode as ConfigMode
from smpdfu.agent.ddi.feedback import Execution
from smpdfu.agent.ddi.resources import ConfirmationBase, Handling, MaintenanceWindow
from smpdfu.agent.description.file import Consent
from smpdfu.agent.management.wish import ActionKind
from smpdfu.agent.report.metrics import AgentMetrics
from smpdfu.agent.server.client import DdiClient
from smpdfu.cli.image.sign_options import ByteOrder
from smpdfu.cli.keys.options import Language, PrivateFormat, PublicEncoding
from smpdfu.cli.securedfu.package_options import Zigbee
from smpdfu.cli.virtual.options.boot import B0nChoice, KeyLength, Mode
from smpdfu.dfu.build_folder.formats.partitions import Memory
from smpdfu.dfu.build_folder.packing.making import make_build_mcuboot_package, make_build_package
from smpdfu.dfu.build_folder.table import describe_build
from smpdfu.dfu.evidence.sbom_reading import read_sbom
from smpdfu.dfu.package.making import make_package
from smpdfu.image.format import Flag
from smpdfu.image.nsib.trusted_keys import read_nsib_keys
from smpdfu.image.secure_dfu.init_packet import HashType
from smpdfu.library import health_command, health_soak, install_image, recover_image
from smpdfu.secure_dfu import judge_secure_dfu_package, make_secure_dfu_package, read_secure_dfu_package
from smpdfu.securedfu.protocol.messages import HardwareVersion
from smpdfu.smp.groups.enum import EnumRc
from smpdfu.smp.groups.fs import FsRc
from smpdfu.smp.groups.image import ImageRc
from smpdfu.smp.groups.os import BootloaderMode, OsRc
from smpdfu.smp.groups.settings import SettingsRc
from smpdfu.smp.groups.stat import StatRc
from smpdfu.smp.groups.transport import ConfigType, TransportRc
from smpdfu.smp.message import MgmtRc
from smpdfu.virtual.boot.network.netcore import B0n
from smpdfu.virtual.server.groups.os import Build
from smpdfu.virtual.store.sample_firmware import split_halves

# The codes and words that a specification lists: they are looked up by their numbers.
(ConfigMode.REPLACE, ConfigMode.REMOVE, Execution.RESUMED, Handling.ATTEMPT, MaintenanceWindow.AVAILABLE)
(EnumRc.INSUFFICIENT_HEAP_FOR_ENTRIES,)
(
    FsRc.FILE_OPEN_FAILED,
    FsRc.FILE_SEEK_FAILED,
    FsRc.FILE_READ_FAILED,
    FsRc.FILE_TRUNCATE_FAILED,
    FsRc.FILE_DELETE_FAILED,
    FsRc.READ_ONLY_FILESYSTEM,
    FsRc.FILE_CLOSE_FAILED,
)
(
    ImageRc.INVALID_TLV,
    ImageRc.TLV_MULTIPLE_HASHES_FOUND,
    ImageRc.TLV_INVALID_SIZE,
    ImageRc.FLASH_READ_FAILED,
    ImageRc.FLASH_CONTEXT_ALREADY_SET,
    ImageRc.FLASH_CONTEXT_NOT_SET,
    ImageRc.FLASH_AREA_DEVICE_NULL,
    ImageRc.ACTIVE_SLOT_NOT_KNOWN,
)
(MgmtRc.ETIMEOUT, MgmtRc.EACCESSDENIED, MgmtRc.UNSUPPORTED_TOO_OLD, MgmtRc.EPERUSER)
(OsRc.QUERY_RESPONSE_VALUE_NOT_VALID, OsRc.HEAP_STATS_FETCH_FAILED)
(BootloaderMode.SWAP_WITHOUT_SCRATCH,)
(SettingsRc.WRITE_NOT_SUPPORTED, SettingsRc.DELETE_NOT_SUPPORTED)
(StatRc.WALK_ABORTED,)
(
    TransportRc.INVALID_MODE,
    TransportRc.ALL_CONTEXTS_USED,
    TransportRc.SAME_BRIDGE_DEVICE_DISALLOWED,
    TransportRc.TRANSPORT_INGOING_NOT_SUPPORTED,
    TransportRc.TRANSPORT_OUTGOING_NOT_SUPPORTED,
    TransportRc.TRANSPORT_INCOMING_TRANSPORT_ALREADY_BRIDGED,
    TransportRc.TRANSPORT_OUTGOING_TRANSPORT_ALREADY_BRIDGED,
    TransportRc.CONNECT_MISSING_PARAMETER,
    TransportRc.CONNECT_INVALID_PARAMETER,
    TransportRc.CONNECT_UNSUPPORTED_PARAMETER,
    TransportRc.CONNECT_FAILED,
)
(ConfigType.INT, ConfigType.BOOL, ConfigType.STRING, ConfigType.BYTE_STRING)
(Flag.PIC,)  # MCUboot, image.h
(HashType.SHA128,)  # nRF5 SDK, dfu-cc.proto
_chip = HardwareVersion(0, 0, 0, 0, 0)
(_chip.rom_size, _chip.ram_size, _chip.rom_page_size)  # nRF5 SDK, nrf_dfu_req_handler.h
(Memory.RAM,)  # the Partition Manager's word
(Build().built,)  # of the answer to os info, whose fields are read in their order

# The words of an option: typer reads the classes, and a value is found by its text.
(ByteOrder.BIG, Language.RUST, PublicEncoding.RUST, PrivateFormat.OPENSSL)
(ActionKind.SOFT, ActionKind.DOWNLOAD_ONLY)
(Mode.OVERWRITE, KeyLength.AES256, B0nChoice.REFUSES, B0n.REFUSES)

# Called from outside of the package.
# A console script; names of smpdfu.__all__.
(imgtool, health_command, health_soak, install_image, make_package, recover_image)
(make_build_package, make_build_mcuboot_package, describe_build, read_sbom, read_nsib_keys)
(make_secure_dfu_package, read_secure_dfu_package, judge_secure_dfu_package)
(split_halves,)  # sample_images/make_samples.py

# A word of the agent's file; what prometheus-client calls; the agent's log writes every field of an event.
(Consent.DENY, AgentMetrics.collect, PackageReady("", "", "", 0, "", "sha256").checked_by)

# The rest of hawkBit's protocol for devices: the client speaks all of it, and the agent needs most of it today.
(DdiClient.get_installed, DdiClient.put_installed, DdiClient.set_auto_confirm)
(ConfirmationBase(auto_confirm=False).auto_confirm, ConfirmationBase.deactivate)

# Options of nrfutil that are refused: dataclasses.fields finds them.
(Zigbee().image_type, Zigbee().comment, Zigbee().ota_hw_version, Zigbee().ota_fw_version)
(Zigbee().ota_min_hw_version, Zigbee().ota_max_hw_version)
