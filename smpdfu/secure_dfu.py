"""The older world in one call, for programs: packages of the nRF5 SDK, and the devices that take them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from smpdfu.connect import Address, ble_backends, holders, pairs, parse_address, places_by_lookup, serial_settings
from smpdfu.dfu.do.journal.device_lock import locked
from smpdfu.errors import ConnectError
from smpdfu.image.keys.keys import Signer, Verifier
from smpdfu.image.secure_dfu.package import SecureDfuPackage
from smpdfu.securedfu.judging import SecureDfuJudgement, judge_package
from smpdfu.securedfu.making.making import MadeSecureDfuPackage, make_package
from smpdfu.securedfu.making.order import SecureDfuOrder
from smpdfu.securedfu.reading import read_package
from smpdfu.securedfu.send.carry import TIMEOUT_S
from smpdfu.securedfu.send.preflight import check_package, check_sendable
from smpdfu.securedfu.send.serial import SerialTransport
from smpdfu.securedfu.send.session import SecureDfuEvent, SentSecureDfuPackage, Session, ignore
from smpdfu.securedfu.send.transport import Transport


def make_secure_dfu_package(
    order: SecureDfuOrder, key: Signer | None = None, *, force: bool = False
) -> MadeSecureDfuPackage:
    """Make a Secure DFU package, signed by ``key`` if there is one. The same order and key give the same bytes.

    ``package.to_bytes()`` of the result is the file; ``findings`` are what is said about it.

    Raises PlanError with what speaks against it, unless ``force``; SigningError for a key of another type than ECDSA
    P-256.
    """
    return make_package(order, key, force=force)


def read_secure_dfu_package(path: Path | str) -> SecureDfuPackage:
    """Read a Secure DFU package, also one whose images have faults: ``judge_secure_dfu_package`` names them.

    Raises FormatError for a file of another kind, and for a package without a readable manifest; OSError.
    """
    return read_package(path)


def judge_secure_dfu_package(
    package: SecureDfuPackage, keys: Sequence[Verifier] = ()
) -> tuple[SecureDfuJudgement, ...]:
    """Say for each image whether a bootloader with one of ``keys`` would take it: its ``findings`` are the reasons.

    Without keys, signatures are not verified. What only a device knows, such as its versions, is not judged.
    """
    return judge_package(package, keys)


async def send_secure_dfu(
    address: str,
    package: SecureDfuPackage | Path | str,
    *,
    timeout_s: float = TIMEOUT_S,
    boot_timeout_s: float | None = None,
    force: bool = False,
    bootloader_name: str | None = None,
    watch: Callable[[SecureDfuEvent], None] = ignore,
    unlocked: Callable[[str], None] | None = None,
) -> SentSecureDfuPackage:
    """Send a Secure DFU package to the device at ``address``, a serial port or a Bluetooth LE device.

    Call it again after any interruption; it continues where the device stands. ``timeout_s`` is how long an answer may
    take, ``boot_timeout_s`` how long a restart (None: by the size of the firmware). ``force`` sends a package in
    spite of the checks. ``bootloader_name`` is what the bootloader shall advertise over Bluetooth. ``watch``
    is called with every event. ``unlocked`` gets a sentence if the state folder cannot be written; without it, that is
    a JournalError.

    The result says what came back, as far as the wire shows it.

    Raises ConnectError, FormatError if the package is damaged, empty or another kind of file, PlanError if no
    bootloader would take it (nothing was sent), DfuRefusedError, DfuNotStartedError if the bootloader took the firmware
    and does not start or install it, DfuUnfinishedError, LinkError, or JournalError if another call is updating this
    device.
    """
    found = package if isinstance(package, SecureDfuPackage) else read_package(package)
    transport = transport_for(parse_address(address), bootloader_name=bootloader_name)
    check_sendable(found)
    if not force:
        check_package(found)
    with locked(await places_by_lookup(address), unlocked):
        session = Session(transport, timeout_s=timeout_s, boot_timeout_s=boot_timeout_s, checks=not force, watch=watch)
        return await session.send(found)


def transport_for(address: Address, *, bootloader_name: str | None = None) -> Transport:
    """Return the transport for a Secure DFU bootloader at ``address``.

    Raises ConnectError if the wire does not carry Secure DFU, and ValueError if ``bootloader_name`` is too long.
    """
    if address.kind == "serial":
        settings = serial_settings(address)
        return SerialTransport(
            address.target,
            settings.baudrate,
            flow_control=settings.flow_control,
            pace=settings.pace,
            holders=holders,
        )
    if address.kind == "ble":
        from smpdfu.securedfu.send.ble import BleTransport  # here: bleak takes its time, and a serial port needs none

        options = address.options
        return BleTransport(
            address.target,
            backends=ble_backends(options.get("hci"), bonds=True),
            adapter=options.get("adapter"),
            pair=pairs(address),
            bootloader_name=bootloader_name,
        )
    raise ConnectError(f"{address} does not carry Secure DFU: give a serial port or a Bluetooth device", str(address))
