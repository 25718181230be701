"""DFU mode of the nRF5 SDK's secure bootloader: it answers requests, and writes what arrives into flash.

Objects: a command object holds the init packet, up to 512 bytes; each data object holds a page of firmware, the last
one the rest. A valid init packet is saved at once. The rest of the progress is lost at a reset, unless the build saves
it. The wire around this gives whole messages, and resets the device when ``ended`` is set. Source: nRF5 SDK 17,
``nrf_dfu_req_handler.c``, ``nrf_dfu_validation.c``, ``nrf_dfu_serial.c``.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from smpdfu.image.secure_dfu.flash import MBR_END, PAGE_SIZE, WORD_SIZE
from smpdfu.image.secure_dfu.init_packet import INIT_COMMAND_MAX_SIZE
from smpdfu.securedfu.protocol.messages import (
    Abort,
    Answer,
    Checksum,
    CreateObject,
    Execute,
    FirmwareType,
    FirmwareVersion,
    GetChecksum,
    GetFirmwareVersion,
    GetHardwareVersion,
    GetMtu,
    GetProtocolVersion,
    HardwareVersion,
    Mtu,
    Numbers,
    ObjectType,
    Opcode,
    Ping,
    Pong,
    ProtocolVersion,
    Request,
    Result,
    Selected,
    SelectObject,
    SetReceipts,
    UnknownRequest,
    WriteObject,
    read_request,
)
from smpdfu.virtual.nrf52.build import Trust
from smpdfu.virtual.nrf52.chip import Nrf52Chip
from smpdfu.virtual.nrf52.image_checks import accept_image
from smpdfu.virtual.nrf52.init_checks import Decoded, Refused, check_init, decode, firmware_size, overwrites_softdevice
from smpdfu.virtual.nrf52.room import make_room
from smpdfu.virtual.nrf52.settings import BankCode

_LONGEST_REQUEST = 6
"""Parameters that are missing in a message are zeros here. On the chip they are what an old buffer holds."""


@dataclass(slots=True)
class _Receiving:
    """The firmware that is expected: where it goes, and how many bytes of it."""

    start: int = 0
    size: int = 0


class Nrf52Bootloader:
    """DFU mode since the last start. ``ended`` is set when the device has to reset: after an update, or an abort.

    ``handle`` and ``write`` raise ``PowerCut`` if the power of the flash goes.
    """

    def __init__(
        self,
        chip: Nrf52Chip,
        trust: Trust,
        say: Callable[[str], None],
        is_active: Callable[[], None] = lambda: None,
    ) -> None:
        """``is_active`` is called with each step of an update that restarts the SDK's inactivity timer."""
        self.ended = False
        self._chip, self._trust, self._say, self._is_active = chip, trust, say, is_active
        self._kind: int = ObjectType.COMMAND
        self._receipts = self._writes_left = 0
        self._init: Decoded | None = None
        """The init packet, when it was accepted; also that of an earlier run."""
        self._receiving = _Receiving()
        self._answers: Mapping[type, Callable[[Any], Numbers | None]] = {
            GetProtocolVersion: self._protocol_version,
            GetHardwareVersion: self._hardware_version,
            GetFirmwareVersion: self._firmware_version,
            Ping: self._pong,
            GetMtu: self._mtu,
            SetReceipts: self._set_receipts,
            Abort: self._abort,
            SelectObject: self._select_object,
            GetChecksum: self._get_checksum,
            CreateObject: self._create,
            Execute: self._execute,
        }
        if chip.settings.progress.command_size:
            self._resume()

    def _resume(self) -> None:
        try:
            self._init = decode(self._command)
            self._receiving = _Receiving(self._chip.bank_1_start, firmware_size(self._init.init, self._chip))
        except Refused:
            self._init = None

    @property
    def _command(self) -> bytes:
        settings = self._chip.settings
        return settings.init_command[: settings.progress.command_size]

    @property
    def is_busy(self) -> bool:
        """Whether an update is under way: an init packet was accepted."""
        return self._init is not None

    # --- messages --------------------------------------------------------------------------------------------------

    def handle(self, message: bytes) -> bytes | None:
        """Handle a request and return the answer; None for a write without a receipt, and for an empty message."""
        if not message:
            return None
        padded = message if message[0] == Opcode.WRITE else message.ljust(_LONGEST_REQUEST, b"\0")
        request = read_request(padded)
        if isinstance(request, WriteObject):
            return self.write(request.data)
        try:
            content = self._answer(request)
        except Refused as refused:
            self._say(f"refused {_name(message[0])}: {refused}")
            return Answer(message[0], refused.result, None, refused.extended).to_bytes()
        return Answer(message[0], Result.SUCCESS, content).to_bytes()

    def write(self, data: bytes) -> bytes | None:
        """Append bytes to the current object; return a receipt if one is due. Errors show in the receipts only."""
        result = Result.SUCCESS
        checksum: Checksum | None = None
        try:
            checksum = self._write(data)
        except Refused as refused:
            result = refused.result
            self._say(f"refused WRITE: {refused}")
        self._writes_left = (self._writes_left - 1) & 0xFFFF
        if not self._receipts or self._writes_left:
            return None
        self._writes_left = self._receipts
        return Answer(Opcode.CHECKSUM, result, checksum).to_bytes()

    def _answer(self, request: Request | UnknownRequest) -> Numbers | None:
        answer = self._answers.get(type(request))
        if answer is None:
            raise Refused(Result.OPCODE_NOT_SUPPORTED)
        return answer(request)

    def lose_transport(self) -> None:
        """The host is gone (Bluetooth, USB): progress that is not saved is forgotten, as the SDK does."""
        self._chip.load_settings()

    # --- what the bootloader is ------------------------------------------------------------------------------------

    def _protocol_version(self, request: GetProtocolVersion) -> Numbers:
        self._check_not_reduced()
        return ProtocolVersion(1)

    def _hardware_version(self, request: GetHardwareVersion) -> Numbers:
        self._check_not_reduced()
        layout = self._chip.layout
        return HardwareVersion(layout.part, layout.variant, layout.flash_bytes, layout.ram_bytes, PAGE_SIZE)

    def _firmware_version(self, request: GetFirmwareVersion) -> Numbers:
        self._check_not_reduced()
        found = self._images()
        return found[request.image] if request.image < len(found) else FirmwareVersion(FirmwareType.UNKNOWN, 0, 0, 0)

    def _images(self) -> list[FirmwareVersion]:
        chip, settings = self._chip, self._chip.settings
        place, softdevice = chip.layout.bootloader, chip.softdevice
        version = settings.bootloader_version
        found = [FirmwareVersion(FirmwareType.BOOTLOADER, version, place.start, place.size_bytes)]
        if softdevice is not None:
            found.append(FirmwareVersion(FirmwareType.SOFTDEVICE, softdevice.version, MBR_END, softdevice.end))
        if settings.bank_0.code == BankCode.VALID_APP:
            size = settings.bank_0.image_size
            found.append(FirmwareVersion(FirmwareType.APPLICATION, settings.app_version, chip.bank_0_start, size))
        return found

    def _pong(self, request: Ping) -> Numbers:
        self._check_not_reduced()
        return Pong(request.id)

    def _mtu(self, request: GetMtu) -> Numbers:
        self._check_not_reduced()
        return Mtu(self._trust.build.mtu)

    def _check_not_reduced(self) -> None:
        if self._trust.build.is_reduced:
            raise Refused(Result.OPCODE_NOT_SUPPORTED)

    # --- the transfer ----------------------------------------------------------------------------------------------

    def _set_receipts(self, request: SetReceipts) -> None:
        self._receipts = self._writes_left = request.every

    def _abort(self, request: Abort) -> None:
        self._say("the host aborted the update")
        self.ended = True

    def _select_object(self, request: SelectObject) -> Numbers:
        self._select(request.kind)
        found = self._checksum()
        longest = INIT_COMMAND_MAX_SIZE if self._kind == ObjectType.COMMAND else PAGE_SIZE
        return Selected(longest, found.offset, found.crc)

    def _get_checksum(self, request: GetChecksum) -> Numbers:
        self._select(self._kind)
        return self._checksum()

    def _create(self, request: CreateObject) -> None:
        self._writes_left = self._receipts
        self._select(request.kind)
        if self._kind == ObjectType.COMMAND:
            self._create_command(request.size)
        else:
            self._create_data(request.size)

    def _execute(self, request: Execute) -> None:
        self._select(self._kind)
        if self._kind == ObjectType.COMMAND:
            self._execute_command()
        else:
            self._execute_data()

    def _select(self, kind: int) -> None:
        """Turn to a kind of object; another number stays, and refuses everything up to the next one."""
        self._kind = kind
        if kind not in (ObjectType.COMMAND, ObjectType.DATA):
            raise Refused(Result.INVALID_OBJECT)

    def _checksum(self) -> Checksum:
        progress = self._chip.settings.progress
        if self._kind == ObjectType.COMMAND:
            return Checksum(progress.command_offset, progress.command_crc)
        return Checksum(progress.image_offset, progress.image_crc)

    def _write(self, data: bytes) -> Checksum:
        self._select(self._kind)
        return self._write_command(data) if self._kind == ObjectType.COMMAND else self._write_data(data)

    # --- the init packet -------------------------------------------------------------------------------------------

    def _create_command(self, size: int) -> None:
        self._is_active()
        if not size:
            raise Refused(Result.INVALID_PARAMETER)
        if size > INIT_COMMAND_MAX_SIZE:
            raise Refused(Result.INSUFFICIENT_RESOURCES)
        self._init = None
        self._chip.reset_progress()
        self._chip.settings.progress.command_size = size

    def _write_command(self, data: bytes) -> Checksum:
        settings, progress = self._chip.settings, self._chip.settings.progress
        end = progress.command_offset + len(data)
        if end > progress.command_size:
            raise Refused(Result.INVALID_PARAMETER)
        kept = settings.init_command
        settings.init_command = kept[: progress.command_offset] + data + kept[end:]
        progress.command_offset = end
        progress.command_crc = zlib.crc32(data, progress.command_crc)
        return self._checksum()

    def _execute_command(self) -> None:
        progress = self._chip.settings.progress
        if progress.command_offset != progress.command_size:
            raise Refused(Result.OPERATION_NOT_PERMITTED)
        if self._init is None:
            found = decode(self._command)
            try:
                self._receiving = self._prepare(found)
            except Refused:
                self._chip.reset_progress()
                raise
            self._init = found
            self._say(f"the init packet is valid: {self._receiving.size} bytes to 0x{self._receiving.start:x}")
        self._chip.save_settings_with_backup()

    def _prepare(self, found: Decoded) -> _Receiving:
        size = check_init(found, self._chip, self._trust)
        build = self._trust.build
        is_single = build.single_bank and (found.init.type or 0) in (0, 1)  # an application or a SoftDevice
        keeps = build.requires_softdevice or not overwrites_softdevice(found.init)
        if not make_room(self._chip, build, size, single_bank=is_single, keeps_softdevice=keeps):
            raise Refused(Result.INSUFFICIENT_RESOURCES)
        return _Receiving(self._chip.bank_1_start, size)

    # --- the firmware ----------------------------------------------------------------------------------------------

    def _create_data(self, size: int) -> None:
        progress, total = self._chip.settings.progress, self._receiving.size
        if self._init is None:
            raise Refused(Result.OPERATION_NOT_PERMITTED)
        if not size or (size % PAGE_SIZE and progress.image_offset_last + size != total):
            raise Refused(Result.INVALID_PARAMETER)
        if size > PAGE_SIZE:
            raise Refused(Result.INSUFFICIENT_RESOURCES)
        if progress.image_offset_last + size > total:
            raise Refused(Result.OPERATION_NOT_PERMITTED)
        progress.object_size = size
        progress.image_crc = progress.image_crc_last
        progress.image_offset = progress.image_offset_last
        self._chip.settings.write_offset = progress.image_offset_last
        self._chip.erase(self._receiving.start + progress.image_offset, size)

    def _write_data(self, data: bytes) -> Checksum:
        settings, progress = self._chip.settings, self._chip.settings.progress
        if self._init is None:
            raise Refused(Result.OPERATION_NOT_PERMITTED)
        if progress.image_offset - progress.image_offset_last + len(data) > progress.object_size:
            raise Refused(Result.INVALID_PARAMETER)
        address = self._receiving.start + settings.write_offset
        if not data or len(data) % WORD_SIZE or address % WORD_SIZE:
            return Checksum(0, 0)  # fstorage writes whole words only, and the SDK passes over that
        self._chip.write(address, data)
        settings.write_offset += len(data)
        progress.image_offset += len(data)
        progress.image_crc = zlib.crc32(data, progress.image_crc)
        return self._checksum()

    def _execute_data(self) -> None:
        progress = self._chip.settings.progress
        if progress.object_size != progress.image_offset - progress.image_offset_last:
            raise Refused(Result.OPERATION_NOT_PERMITTED)
        progress.object_size = 0
        progress.image_crc_last, progress.image_offset_last = progress.image_crc, progress.image_offset
        self._is_active()
        if progress.image_offset == self._receiving.size:
            self._finish()
        elif self._trust.build.saves_progress:
            self._chip.save_settings_with_backup()

    def _finish(self) -> None:
        """All firmware is there. The device resets afterwards, also if the firmware is refused."""
        self.ended = True
        found = decode(self._command) if self._init is None else self._init
        try:
            accept_image(found.init, self._chip, self._trust, self._receiving.start, self._receiving.size)
            self._say("the firmware is valid. It is activated after the reset")
        finally:
            self._init = None
            self._chip.save_settings_with_backup()


def _name(opcode: int) -> str:
    return Opcode(opcode).name if opcode in list(Opcode) else f"0x{opcode:02x}"
