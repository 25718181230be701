"""What the bootloader says that is installed: bootloader, SoftDevice and application, each with its version."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from smpdfu.errors import FormatError, LinkError, SilentBootloaderError
from smpdfu.image.secure_dfu.init_packet import FwType
from smpdfu.image.secure_dfu.package import Entry
from smpdfu.image.secure_dfu.softdevices import SoftDeviceInfo
from smpdfu.securedfu.protocol.messages import Answer, FirmwareType, FirmwareVersion, GetFirmwareVersion
from smpdfu.securedfu.send.transport import Transport

IMAGES_MAX = 3
ATTEMPTS = 6
"""How often an image is asked for on a line that damages answers."""
SILENCE_MAX, ANSWER_S = 24, 0.5
"""How many questions without any answer are enough, and how long each waits: a person may press a button meanwhile."""

Installed = dict[FirmwareType, FirmwareVersion]


async def read_installed(transport: Transport) -> Installed | None:
    """Ask the bootloader at ``transport``, which is open, for its images; None if it does not say, or not clearly.

    Raises SilentBootloaderError if nothing at all is heard.
    """
    if not transport.pings:  # a build without pings is one without versions
        return None
    found: Installed = {}
    for number in range(IMAGES_MAX):
        version = await _ask(transport, number)
        if version is None:
            return None
        if version.kind == FirmwareType.UNKNOWN:
            break
        found[FirmwareType(version.kind)] = version
    return found


async def _ask(transport: Transport, number: int) -> FirmwareVersion | None:
    """Return the image ``number``, when two answers agree: damage must not look like a version."""
    heard: list[Answer | None] = []
    silent = 0
    while len(heard) < ATTEMPTS:
        try:
            async with asyncio.timeout(ANSWER_S):
                await transport.request(GetFirmwareVersion(number).to_bytes())
                answer = await _read(transport)
        except LinkError:
            return None
        except TimeoutError:
            silent += 1
            if silent == SILENCE_MAX:
                raise SilentBootloaderError(heard=bool(heard), off=0, total=0) from None
            continue
        if answer is not None and answer in heard:
            content = answer.content
            return content if isinstance(content, FirmwareVersion) and content.kind in list(FirmwareType) else None
        heard.append(answer)
    return None


async def _read(transport: Transport) -> Answer | None:
    """The next answer to such a request, None for a damaged one; those to earlier requests are skipped."""
    while True:
        try:
            answer = Answer.from_bytes(await transport.read())
        except FormatError:
            return None
        if answer.opcode == GetFirmwareVersion.opcode:
            return answer


def has_already(entry: Entry, installed: Installed) -> bool:
    """True if the device has the SoftDevice and the bootloader of ``entry`` already. Of an application, nobody knows.

    An application may be another build of the same version. A bootloader refuses its own version, and a SoftDevice has
    one build for each version.
    """
    kind = entry.init_packet.init.type
    if kind not in (FwType.SOFTDEVICE, FwType.BOOTLOADER, FwType.SOFTDEVICE_BOOTLOADER):
        return False
    return all(_wanted(entry, kind, installed))


def shows_others(entry: Entry, installed: Installed) -> bool:
    """True if the device reports another SoftDevice or bootloader than that of ``entry``: it did not install it."""
    kind = entry.init_packet.init.type
    info = SoftDeviceInfo.find(entry.firmware) if kind in (FwType.SOFTDEVICE, FwType.SOFTDEVICE_BOOTLOADER) else None
    if info is not None and info.version:
        softdevice = installed.get(FirmwareType.SOFTDEVICE)
        if softdevice is None or softdevice.version != info.version:
            return True
    bootloader = installed.get(FirmwareType.BOOTLOADER)
    if kind not in (FwType.BOOTLOADER, FwType.SOFTDEVICE_BOOTLOADER) or bootloader is None:
        return False
    return bootloader.version != entry.init_packet.init.fw_version


def _wanted(entry: Entry, kind: int, installed: Installed) -> Iterator[bool]:
    init = entry.init_packet.init
    if kind != FwType.BOOTLOADER:
        info, here = SoftDeviceInfo.find(entry.firmware), installed.get(FirmwareType.SOFTDEVICE)
        yield info is not None and here is not None and bool(info.version) and info.version == here.version
    if kind != FwType.SOFTDEVICE:
        here = installed.get(FirmwareType.BOOTLOADER)
        yield here is not None and init.fw_version == here.version
