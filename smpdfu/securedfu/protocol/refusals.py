"""What a refusal of the bootloader means, and what to do: a sentence for each result and each extended error.

Sources: nRF5 SDK 17, nrf_dfu_handling_error.h and nrf_dfu_req_handler.h, and what nrf_dfu_validation.c checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from smpdfu.errors import DfuRefusedError
from smpdfu.securedfu.protocol.messages import Answer, ExtendedError, ObjectType, Opcode, Result

REFUSALS = frozenset(Result) - {Result.INVALID_CODE, Result.SUCCESS}
LAST_REFUSALS = frozenset({Result.INVALID_OBJECT, Result.OPERATION_FAILED, Result.EXTENDED_ERROR})
"""What can be wrong with the whole firmware."""


class Meaning(NamedTuple):
    """``code`` names the cause, ``what`` says what it is, ``todo`` what a person can do."""

    code: str
    what: str
    todo: str


_AGAIN = "Restart the device into its bootloader, then send the package again."
_OUR_FAULT = "The bootloader may be an unusual one. Ask its makers, or report this with a log."

EXTENDED_ERRORS: Mapping[int, Meaning] = {
    ExtendedError.NO_ERROR: Meaning("dfu-no-reason", "the bootloader gives no reason", _AGAIN),
    ExtendedError.INVALID_ERROR_CODE: Meaning("dfu-no-reason", "the bootloader gives no valid reason", _AGAIN),
    ExtendedError.WRONG_COMMAND_FORMAT: Meaning(
        "dfu-init-format", "the format of the init packet is wrong", "Make the package again."
    ),
    ExtendedError.UNKNOWN_COMMAND: Meaning(
        "dfu-init-unknown", "the bootloader does not know this kind of init packet", "Make the package again."
    ),
    ExtendedError.INIT_COMMAND_INVALID: Meaning(
        "dfu-init-invalid",
        "the init packet lacks a field that its kind of firmware needs, such as a size, or its kind is unknown here",
        "Make the package again with the right kind of firmware. A bootloader that talks only over one wire may not "
        "take a SoftDevice.",
    ),
    ExtendedError.FW_VERSION_FAILURE: Meaning(
        "dfu-fw-version",
        "the version in the init packet is too low: an application must have at least the version of the one that the "
        "bootloader knows, a bootloader a higher one than its own",
        "Make the package again with a higher version. A debug build of the bootloader takes any version from a "
        "package in debug mode.",
    ),
    ExtendedError.HW_VERSION_FAILURE: Meaning(
        "dfu-hw-version",
        "the package is for another hardware version than that of this bootloader",
        "Send the package that is for this board. An nRF52840 usually has version 52, an nRF51 version 51.",
    ),
    ExtendedError.SD_VERSION_FAILURE: Meaning(
        "dfu-sd-version",
        "the device does not have one of the SoftDevices that the package asks for",
        "Make the package again with the identifier of the device's SoftDevice, or send a package with that "
        "SoftDevice, too.",
    ),
    ExtendedError.SIGNATURE_MISSING: Meaning(
        "dfu-unsigned", "the bootloader takes only signed packages, and this one is not signed", "Sign the package."
    ),
    ExtendedError.WRONG_HASH_TYPE: Meaning(
        "dfu-hash-type", "the bootloader does not take this type of hash", "Make the package again with SHA-256."
    ),
    ExtendedError.HASH_FAILED: Meaning(
        "dfu-hash-failed", "the bootloader cannot compute the hash of the firmware", _AGAIN
    ),
    ExtendedError.WRONG_SIGNATURE_TYPE: Meaning(
        "dfu-signature-type",
        "the bootloader does not take this type of signature",
        "Sign the package with a key of the type ECDSA P-256.",
    ),
    ExtendedError.VERIFICATION_FAILED: Meaning(
        "dfu-hash",
        "the firmware does not have the hash that is in the init packet",
        "The package is damaged or was put together from two builds: make it again.",
    ),
    ExtendedError.INSUFFICIENT_SPACE: Meaning(
        "dfu-space",
        "the firmware does not fit into the device's flash",
        "Make the firmware smaller. With two banks, the running application needs its space until the end.",
    ),
    ExtendedError.FW_ALREADY_PRESENT: Meaning(
        "dfu-present", "the device has this firmware already", "Nothing needs to be sent."
    ),
}

RESULTS: Mapping[int, Meaning] = {
    Result.INVALID_CODE: Meaning("dfu-invalid-opcode", "the bootloader calls the request invalid", _OUR_FAULT),
    Result.OPCODE_NOT_SUPPORTED: Meaning("dfu-not-supported", "the bootloader does not have this request", _OUR_FAULT),
    Result.INVALID_PARAMETER: Meaning(
        "dfu-parameter", "the bootloader does not accept a number in the request", _OUR_FAULT
    ),
    Result.INSUFFICIENT_RESOURCES: Meaning(
        "dfu-space",
        "the firmware or its init packet is too large for this device",
        "Make the firmware smaller. With two banks, the running application needs its space until the end.",
    ),
    Result.INVALID_OBJECT: Meaning(
        "dfu-invalid-object", "what was sent is not valid for this bootloader", "Make the package again, and send it."
    ),
    Result.UNSUPPORTED_TYPE: Meaning("dfu-type", "the bootloader does not know this kind of object", _OUR_FAULT),
    Result.OPERATION_NOT_PERMITTED: Meaning(
        "dfu-not-permitted", "the bootloader does not permit this in its present state", _AGAIN
    ),
    Result.OPERATION_FAILED: Meaning(
        "dfu-failed",
        "the bootloader failed: its flash, or the cryptography of the init packet",
        "Restart the device into its bootloader, then send the package again. If it fails again, check how the "
        "package is signed.",
    ),
}

# The same where a result means something else for one request about one kind of object.
ON_REQUEST: Mapping[tuple[Opcode, ObjectType, Result], Meaning] = {
    (Opcode.EXECUTE, ObjectType.COMMAND, Result.INVALID_OBJECT): Meaning(
        "dfu-signature",
        "the signature of the package is not one of the key that this bootloader trusts, or the init packet cannot be "
        "read",
        "Sign the package with the key whose public half is in the bootloader.",
    ),
    (Opcode.EXECUTE, ObjectType.DATA, Result.INVALID_OBJECT): Meaning(
        "dfu-hash",
        "the firmware does not have the hash or the boot validation that is in the init packet",
        "The package is damaged or was put together from two builds: make it again.",
    ),
}
_UNKNOWN = Meaning("dfu-unknown", "the code is not one of the nRF5 SDK", _OUR_FAULT)
_SUBJECTS = {ObjectType.COMMAND: "the init packet", ObjectType.DATA: "the firmware"}


def meaning_of(answer: Answer, kind: ObjectType) -> Meaning:
    """Return what the refusal ``answer`` means for an object of ``kind``."""
    if answer.extended is not None:
        return EXTENDED_ERRORS.get(answer.extended, _UNKNOWN)
    on_request = {(int(opcode), one, int(result)): found for (opcode, one, result), found in ON_REQUEST.items()}
    return on_request.get((answer.opcode, kind, answer.result)) or RESULTS.get(answer.result, _UNKNOWN)


def refusal(answer: Answer, kind: ObjectType) -> DfuRefusedError:
    """Return the error for the refusal ``answer``, about an object of ``kind``."""
    meaning = meaning_of(answer, kind)
    request, name = _name(Opcode, answer.opcode), _name(Result, answer.result)
    if answer.extended is not None:
        name = f"{name}, {_name(ExtendedError, answer.extended)}"
    message = f"the bootloader refused {_SUBJECTS[kind]}: {meaning.what} ({request.lower()}: {name})"
    error = DfuRefusedError(message, request.lower(), answer.result, answer.extended, name=name)
    return error.advising(meaning.code, meaning.todo)


def _name(kind: type[Opcode | Result | ExtendedError], value: int) -> str:
    try:
        return kind(value).name
    except ValueError:
        return f"0x{value:02x}"
