"""What to do next after an error, in one sentence: by its class, its wire, and the code of a refusal.

Each result code of SMP and of its groups has a row (a test walks the enums of ``smp.groups``). A row of ``ON_COMMAND``
goes before that of the group: the same code means something else there. SMP version 1 has its own few codes for all
groups, in which Zephyr's image group hides several of its own (``img_mgmt_translate_error_code``).
"""

from __future__ import annotations

from collections.abc import Mapping
from shlex import quote

from smpdfu.cli.app.advice_by_code import error_advice
from smpdfu.cli.app.server_advice import SERVER_ADVICE
from smpdfu.errors import (
    ActionsFailedError,
    ActionsUnfinishedError,
    AdvisedError,
    ConnectError,
    DeviceError,
    FleetError,
    FleetFailedError,
    FleetPausedError,
    FleetUnfinishedError,
    FleetUnprovenError,
    JournalError,
    LinkError,
    LinkLostError,
    NoEffectError,
    NotReadyError,
    PassphraseError,
    RemoteProtocolError,
    ResponseTimeoutError,
    RevertedError,
    ServerError,
    SmpdfuError,
    StepError,
    TransferTimeoutError,
    UnprovenError,
    WrongPassphraseError,
)

AGAIN = "Run the same command again: it continues where it stopped."

# By class; the first that fits is said.
ON_ERROR: tuple[tuple[type[SmpdfuError], str], ...] = (
    (WrongPassphraseError, "Type it again, or check what --passphrase-env or --passphrase-file leads to."),
    (
        PassphraseError,
        "An encrypted key takes --passphrase-env NAME or --passphrase-file FILE where there is no terminal.",
    ),
    (JournalError, "When that is solved, or the other process has ended, run the same command again."),
    (
        TransferTimeoutError,
        "Run the same command again: it continues where it stopped. A larger --transfer-timeout allows a slow link.",
    ),
    (LinkLostError, "Check the cable or the distance, then run the same command again: it continues where it stopped."),
    (
        ResponseTimeoutError,
        "Check that the firmware has an SMP server on this wire, the baud rate, --raw if it is a raw UART, and that no "
        "other program holds the port (`smpdfu doctor`); --timeout gives a slow device more time.",
    ),
    (
        RemoteProtocolError,
        "Run it again with --log FILE: `smpdfu decode FILE` shows what was sent; it may be no SMP server, or another "
        "program talks to it.",
    ),
    (NotReadyError, ""),  # its findings have said it
    (ConnectError, "`smpdfu scan` shows what is here to talk to, `smpdfu doctor` what is in the way."),
    (
        UnprovenError,
        "Check the radio. `smpdfu info --reset` on the serial console, --ncs or --net-version-from help to prove it.",
    ),
    (
        ActionsUnfinishedError,
        "Run the same command again to continue. `smpdfu agent status AGENT.toml` shows the devices.",
    ),
    (ActionsFailedError, "`smpdfu agent status AGENT.toml` shows why; the update server has the same words."),
    (ServerError, "`smpdfu agent doctor AGENT.toml` checks the server, the token and the clock."),
    (RevertedError, "Nothing needs repair; look at the new image's log, then upload a corrected image."),
)
NEVER_RAN = (
    "Nothing needs repair. `smpdfu inspect FILE` shows the image's key and address; `smpdfu verify FILE -k KEY` checks "
    "whether a bootloader with that key accepts it."
)
"""For an image that was refused, and so has no log."""

# What fits better for one kind of address; NAME stands for what is behind its colon.
ON_WIRE: Mapping[str, tuple[tuple[type[SmpdfuError], str], ...]] = {
    "virtual": (
        (
            ResponseTimeoutError,
            "If its power is off, `smpdfu virtual reset NAME` turns it on. `smpdfu virtual show NAME` shows what it "
            "runs, `smpdfu virtual log NAME` what it wrote on its console.",
        ),
        (
            ConnectError,
            "`smpdfu virtual list` shows the virtual devices and who has them, `smpdfu virtual new` makes one. "
            "While `smpdfu virtual run` has the device, use the port that it prints, or stop it with Ctrl-C.",
        ),
        (LinkLostError, AGAIN),
    ),
    "udp": (
        (LinkLostError, "Check host and port, and that the device's firmware has SMP over UDP; then run it again."),
        (
            ResponseTimeoutError,
            "Check host and port, and that nothing on the way stops UDP; --timeout allows more time.",
        ),
    ),
}

# Of a fleet; FLEET stands for its file.
_FLEET_STATUS = "`smpdfu fleet status FLEET` shows what failed and why."
ON_FLEET: Mapping[type[FleetError], str] = {
    FleetPausedError: "`smpdfu fleet resume FLEET` continues it.",
    FleetUnfinishedError: f"Run the same command again to continue. {_FLEET_STATUS}",
    FleetFailedError: f"{_FLEET_STATUS} `smpdfu fleet run FLEET --go-on` retries the failed devices.",
    FleetUnprovenError: "`smpdfu fleet status FLEET` shows the reasons.",
}

_LOG = "Look at the device's console: its firmware logs the reason."
_LIST = "`smpdfu list` shows the images and hashes that the device has."
_FLASH = "The device's flash failed: run the same command again; if it fails again, `smpdfu reset` restarts the device."
_IMAGE = "Upload a signed image (`smpdfu sign`); `smpdfu inspect FILE` says what the file is."
_SLOTS = "`smpdfu info` shows the images and slots that the device has."
_BUSY_SLOT = "The other slot is pending or a revert would need it: reset or confirm first, see `smpdfu list`."
_UPLOAD_AGAIN = "Run the same upload again; --log FILE shows what was sent."
_DAMAGED = "The slot's image is damaged: free the slot with `smpdfu erase`, then upload the image again."
_MEMORY = "The device is short of memory: try again with -w 1, or restart it with `smpdfu reset`."
_FILES = "`smpdfu fs stat` shows whether the file is there; a full or damaged file system needs the firmware's help."
_BRIDGED = "End the bridge that is there first: `smpdfu transport disconnect`."
_CONFIGS = "`smpdfu transport configs ID` shows what a connection needs; `smpdfu raw` sends it."
_TRANSPORT = "`smpdfu transport list` shows the transports of the firmware and what they can do."

# By the number of the group (None: SMP's own codes), then by the name of the code.
ON_REFUSAL: Mapping[int | None, Mapping[str, str]] = {
    None: {
        "EOK": "",
        "EUNKNOWN": f"The firmware gives no reason. {_LOG}",
        "ENOMEM": _MEMORY,
        "EINVAL": "The device does not accept a value of this command: check the options; see `smpdfu info`.",
        "ETIMEOUT": "The device took too long: run the same command again.",
        "ENOENT": "The device does not have what the command names: check the name or number.",
        "EBADSTATE": "The device cannot do this in its present state: `smpdfu list` shows what is pending or on trial.",
        "EMSGSIZE": "The answer does not fit into the device's buffer (`smpdfu params`): ask for less.",
        "ENOTSUP": "The firmware was built without this command; MCUboot in serial recovery has few.",
        "ECORRUPT": "The device received a damaged message: run the command again, at a lower baud rate if needed.",
        "EBUSY": "The device is busy: wait until it is done, then run the same command again.",
        "EACCESSDENIED": "The firmware forbids this command: it wants a secured link, or its application decides.",
        "UNSUPPORTED_TOO_OLD": "The device speaks only newer versions of SMP: use a newer smpdfu.",
        "UNSUPPORTED_TOO_NEW": "The device speaks only older versions of SMP: update its firmware another way.",
        "EPERUSER": "The firmware's own code: its documentation says what it means.",
    },
    0: {
        "OK": "",
        "UNKNOWN": f"The firmware gives no reason. {_LOG}",
        "INVALID_FORMAT": "The letters are s n r v b m p i o, or a for all; firmware may add its own.",
        "QUERY_YIELDS_NO_ANSWER": "`smpdfu bootloader` shows what the bootloader tells.",
        "RTC_NOT_SET": "`smpdfu datetime --now` sets the clock, to UTC.",
        "RTC_COMMAND_FAILED": "The device's clock failed: restart the device with `smpdfu reset`, then try again.",
        "QUERY_RESPONSE_VALUE_NOT_VALID": "Use application and bootloader from one release: they do not fit together.",
        "HEAP_STATS_FETCH_FAILED": "Try again; the firmware could not read the state of its memory.",
    },
    1: {
        "OK": "",
        "UNKNOWN": f"The firmware gives no reason. {_LOG}",
        "FLASH_CONFIG_QUERY_FAIL": "The firmware does not find the slot's flash: check its partition table.",
        "NO_IMAGE": "The slot holds no image: upload one first.",
        "NO_TLVS": _DAMAGED,
        "INVALID_TLV": _DAMAGED,
        "TLV_MULTIPLE_HASHES_FOUND": "Sign the image again with one hash (`smpdfu sign`), and upload it again.",
        "TLV_INVALID_SIZE": _DAMAGED,
        "HASH_NOT_FOUND": _LIST,
        "NO_FREE_SLOT": _BUSY_SLOT,
        "FLASH_OPEN_FAILED": f"The firmware cannot open the slot's flash. {_SLOTS}",
        "FLASH_READ_FAILED": _FLASH,
        "FLASH_WRITE_FAILED": _FLASH,
        "FLASH_ERASE_FAILED": _FLASH,
        "INVALID_SLOT": _SLOTS,
        "NO_FREE_MEMORY": _MEMORY,
        "FLASH_CONTEXT_ALREADY_SET": "Another upload is under way: end it, or restart the device with `smpdfu reset`.",
        "FLASH_CONTEXT_NOT_SET": _UPLOAD_AGAIN,
        "FLASH_AREA_DEVICE_NULL": "The slot's flash is not ready: restart the device with `smpdfu reset`.",
        "INVALID_PAGE_OFFSET": _UPLOAD_AGAIN,
        "INVALID_OFFSET": _UPLOAD_AGAIN,
        "INVALID_LENGTH": _UPLOAD_AGAIN,
        "INVALID_IMAGE_HEADER": _IMAGE,
        "INVALID_IMAGE_HEADER_MAGIC": _IMAGE,
        "INVALID_HASH": _LIST,
        "INVALID_FLASH_ADDRESS": "The image is built for another address than the slot's: build it for this device.",
        "VERSION_GET_FAILED": "The firmware cannot read its own version: update it without a comparison of versions.",
        "CURRENT_VERSION_IS_NEWER": "The device runs a newer version and was asked to upgrade only.",
        "IMAGE_ALREADY_PENDING": "Let the pending image boot first: `smpdfu reset`.",
        "INVALID_IMAGE_VECTOR_TABLE": "The running slot has a damaged trailer: update the device, which renews it.",
        "INVALID_IMAGE_TOO_LARGE": "Make the image smaller than slot and trailer allow: `smpdfu verify --slot-size`.",
        "INVALID_IMAGE_DATA_OVERRUN": _UPLOAD_AGAIN,
        "IMAGE_CONFIRMATION_DENIED": "This device confirms only the image that runs: test it, reset, then confirm.",
        "IMAGE_SETTING_TEST_TO_ACTIVE_DENIED": "The image runs already; there is nothing to test.",
        "ACTIVE_SLOT_NOT_KNOWN": "The firmware does not know from which slot it runs: it was built for another layout.",
    },
    2: {
        "OK": "",
        "UNKNOWN": f"The firmware gives no reason. {_LOG}",
        "INVALID_GROUP": "`smpdfu stat list` shows the names that the device has.",
        "INVALID_STAT_NAME": "`smpdfu stat list` shows the names that the device has.",
        "INVALID_STAT_SIZE": "The firmware counts in a size that SMP cannot carry: only its makers can change that.",
        "WALK_ABORTED": "The group has more counters than the device's buffer holds (`smpdfu params`).",
    },
    3: {
        "OK": "",
        "UNKNOWN": f"The firmware gives no reason. {_LOG}",
        "KEY_TOO_LONG": "Use a shorter name: the firmware bounds the length of a setting's name.",
        "KEY_NOT_FOUND": "The firmware has no setting of this name, or none with a value.",
        "READ_NOT_SUPPORTED": "This setting cannot be read in this firmware.",
        "ROOT_KEY_NOT_FOUND": "The firmware has no settings under the first part of this name.",
        "WRITE_NOT_SUPPORTED": "This setting cannot be written in this firmware.",
        "DELETE_NOT_SUPPORTED": "This setting cannot be deleted in this firmware.",
        "SAVE_NOT_SUPPORTED": "The firmware cannot save settings one by one: leave the name out.",
    },
    8: {
        "OK": "",
        "UNKNOWN": f"The firmware gives no reason. {_LOG}",
        "FILE_INVALID_NAME": "Give the whole path on the device, such as /lfs1/log.txt.",
        "FILE_NOT_FOUND": "The device has no such file; a name is the whole path on the device, such as /lfs1/log.txt.",
        "FILE_IS_DIRECTORY": "The path is a folder on the device: give the path of a file in it.",
        "FILE_OPEN_FAILED": _FILES,
        "FILE_SEEK_FAILED": _FILES,
        "FILE_READ_FAILED": _FILES,
        "FILE_TRUNCATE_FAILED": _FILES,
        "FILE_DELETE_FAILED": _FILES,
        "FILE_WRITE_FAILED": _FILES,
        "FILE_OFFSET_NOT_VALID": "Run the same command again: the file may have changed meanwhile.",
        "FILE_OFFSET_LARGER_THAN_FILE": "`smpdfu fs stat` shows how long the file is.",
        "CHECKSUM_HASH_NOT_FOUND": "`smpdfu fs types` shows the kinds of hash that the device can compute.",
        "MOUNT_POINT_NOT_FOUND": "The path must begin with a mount point of the firmware, such as /lfs1/.",
        "READ_ONLY_FILESYSTEM": "The device's file system cannot be written: choose a path on another one.",
        "FILE_EMPTY": "The file on the device is empty: there is nothing to read.",
        "FILE_CLOSE_FAILED": _FILES,
    },
    9: {
        "OK": "",
        "UNKNOWN": f"The firmware gives no reason. {_LOG}",
        "COMMAND_TOO_LONG": "Use a shorter command line: the firmware's shell bounds it.",
        "EMPTY_COMMAND": "Give a command, such as `smpdfu shell kernel version`.",
    },
    10: {
        "OK": "",
        "UNKNOWN": f"The firmware gives no reason. {_LOG}",
        "TOO_MANY_GROUP_ENTRIES": "Ask for single groups: `smpdfu enum` shows how many there are.",
        "INSUFFICIENT_HEAP_FOR_ENTRIES": _MEMORY,
        "INDEX_TOO_LARGE": "`smpdfu enum` shows how many groups there are.",
    },
    11: {
        "OK": "",
        "UNKNOWN": f"The firmware gives no reason. {_LOG}",
        "TRANSPORT_MISSING_REQUIRED_FUNCTIONS": _TRANSPORT,
        "TRANSPORT_MISSING_INFO_FUNCTIONS": _TRANSPORT,
        "INVALID_TRANSPORT": _TRANSPORT,
        "INVALID_MODE": "`smpdfu transport modes ID` shows the modes of a wire.",
        "ALL_CONTEXTS_USED": "End another bridge first: `smpdfu transport disconnect`.",
        "BOTH_TRANSPORT_AND_ALL_PARAMETERS": "Give either the number of a wire or --all.",
        "NOT_BRIDGED": "`smpdfu transport status` shows whether this wire is bridged.",
        "SAME_BRIDGE_DEVICE_DISALLOWED": "Choose another wire than the one that this command comes over.",
        "TRANSPORT_INGOING_NOT_SUPPORTED": _TRANSPORT,
        "TRANSPORT_OUTGOING_NOT_SUPPORTED": _TRANSPORT,
        "TRANSPORT_INCOMING_TRANSPORT_ALREADY_BRIDGED": _BRIDGED,
        "TRANSPORT_OUTGOING_TRANSPORT_ALREADY_BRIDGED": _BRIDGED,
        "CONNECT_MISSING_PARAMETER": _CONFIGS,
        "CONNECT_INVALID_PARAMETER": _CONFIGS,
        "CONNECT_UNSUPPORTED_PARAMETER": _CONFIGS,
        "CONNECT_FAILED": "Check that the device behind the bridge is on and in reach, then run the command again.",
    },
    63: {
        "OK": "",
        "UNKNOWN": f"The firmware gives no reason. {_LOG}",
        "FLASH_OPEN_FAILED": "The firmware cannot open its storage partition: it has none, or its flash is not ready.",
        "FLASH_CONFIG_QUERY_FAIL": "The firmware cannot find its storage partition: it was built for other flash.",
        "FLASH_ERASE_FAILED": _FLASH,
    },
}

# The same where the code means something else for one command, by its title and the name of the code.
_V1_UPLOAD = {
    "EINVAL": f"The device does not accept the image or the slot. {_IMAGE}",
    "EBADSTATE": _BUSY_SLOT,
    "EUNKNOWN": f"The device could not write its flash. {_FLASH}",
    "ENOENT": "The device does not have this slot; `smpdfu info` shows those that it has.",
    "ENOMEM": "The image is larger than the slot, or the device is short of memory: `smpdfu info` shows the sizes.",
}
_MARK_TAKEN = "Another image is pending or on trial: `smpdfu reset` lets it boot, `smpdfu confirm` ends a trial."
_V1_MARK = {
    "EINVAL": _LIST,
    "EBADSTATE": _MARK_TAKEN,
    "EUNKNOWN": "The device could not write the mark: free the slot with `smpdfu erase`, then upload the image again.",
    "ENOENT": _LIST,
}
_NOT_ERASED = "A slot that runs, is pending, or that a revert would need is not erased; see `smpdfu list`."
ON_COMMAND: Mapping[str, Mapping[str, str]] = {
    "img upload": _V1_UPLOAD,
    "img state write": {
        **_V1_MARK,
        # Zephyr reports a trailer that it cannot mark as a wrong magic, and may have erased the slot (boot_set_next).
        "INVALID_IMAGE_HEADER_MAGIC": "The slot's trailer is damaged, and the device may have erased the slot: upload "
        "the image again, then mark it.",
        "INVALID_IMAGE_HEADER": _DAMAGED,
        "NO_FREE_SLOT": _MARK_TAKEN,
    },
    "img erase": {
        "NO_FREE_SLOT": _NOT_ERASED,
        "EBADSTATE": _NOT_ERASED,
        "EINVAL": _SLOTS,
        "ENOENT": _SLOTS,
        "FLASH_OPEN_FAILED": "The device may not have this slot; `smpdfu info` shows those that it has.",
    },
    "fs download": {"ENOENT": "The device has no such file; a name is the whole path, such as /lfs1/log.txt."},
    "fs upload": {"ENOENT": "The device has no such folder; a name is the whole path, such as /lfs1/log.txt."},
    "os reset": {"EBUSY": "The firmware does not want to restart now: try again later, or add --force."},
}
_NO_EFFECT = f"{_LIST} {_LOG}"
_OWN_CODE = "The code is the firmware's own: its documentation or its console says what it means."


def advice(error: SmpdfuError) -> str:
    """What to do next, in a sentence or two; empty where the error says it all."""
    if isinstance(error, AdvisedError):
        return " ".join(filter(None, (error.advice, error_advice(error))))
    if known := error_advice(error) or SERVER_ADVICE.get(error.code):
        return known
    if isinstance(error, DeviceError):
        if error.explained:
            return ""
        name = error.name or ""
        found = ON_COMMAND.get(error.command, {}).get(name) or ON_REFUSAL.get(error.group, {}).get(name)
        return _OWN_CODE if found is None else found
    if isinstance(error, FleetError):
        return ON_FLEET.get(type(error), "").replace("FLEET", quote(str(error.file)))
    if isinstance(error, NoEffectError):
        return _NO_EFFECT
    if isinstance(error, StepError):
        return AGAIN if error.resumable else ""
    if isinstance(error, RevertedError) and error.ran is False:
        return NEVER_RAN
    wire, _, name = ((error.address if isinstance(error, LinkError) else None) or "").partition(":")
    for kind, text in ON_WIRE.get(wire, ()):
        if isinstance(error, kind):
            return text.replace("NAME", name)
    return next((text for kind, text in ON_ERROR if isinstance(error, kind)), "")
