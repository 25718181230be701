"""The whole of a package, part after part: SoftDevice and bootloader first, then the application.

After each part the device restarts and installs it. For the next part its bootloader waits some seconds. After the last
part, what came back says whether the application starts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from smpdfu.errors import (
    ConnectError,
    DfuNotStartedError,
    DfuRefusedError,
    DfuUnfinishedError,
    LinkError,
)
from smpdfu.image.secure_dfu.flash import PAGE_SIZE
from smpdfu.image.secure_dfu.init_packet import FwType
from smpdfu.image.secure_dfu.package import Entry, SecureDfuPackage
from smpdfu.securedfu.protocol.actions import TransferProgress
from smpdfu.securedfu.protocol.messages import ExtendedError, FirmwareType
from smpdfu.securedfu.send.carry import TIMEOUT_S, Carrier
from smpdfu.securedfu.send.causes import explain
from smpdfu.securedfu.send.installed import Installed, has_already, read_installed, shows_others
from smpdfu.securedfu.send.preflight import check_device
from smpdfu.securedfu.send.transport import CameBack, Transport

RESTART_S = 5.0
"""How long a device may take to restart, without what it copies."""
_NOT_NEWER = frozenset({ExtendedError.FW_VERSION_FAILURE, ExtendedError.FW_ALREADY_PRESENT})
COPY_PAGE_S = 0.25
"""A page is erased in 0.09 s and written in 0.05 s, in the worst case; it may be moved twice."""


@dataclass(frozen=True, slots=True)
class SecureDfuPartBegins:
    """The part ``number`` of ``parts``, from 1: the image ``image`` of the manifest, of ``size_bytes``."""

    image: str
    number: int
    parts: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class SecureDfuProgress:
    """The progress of the part."""

    image: str
    progress: TransferProgress


@dataclass(frozen=True, slots=True)
class SecureDfuPartSkipped:
    """The device has this part already, or a newer one: what its bootloader refuses as not newer counts, too."""

    image: str


@dataclass(frozen=True, slots=True)
class SecureDfuRestarts:
    """All of the part is there, and the device installs it; smpdfu waits at most ``within_s`` for it to come back."""

    image: str
    within_s: float


SecureDfuEvent = SecureDfuPartBegins | SecureDfuProgress | SecureDfuPartSkipped | SecureDfuRestarts
Watch = Callable[[SecureDfuEvent], None]


@dataclass(frozen=True, slots=True)
class SentSecureDfuPart:
    """A part that was sent in ``seconds``, or that the device did not need (``skipped``)."""

    image: str
    size_bytes: int
    seconds: float = 0.0
    resumed_at: int = 0
    repeats: int = 0
    damaged: int = 0
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class SentSecureDfuPackage:
    """A package that the bootloader took. ``came_back``: what runs now, as far as the wire shows it."""

    parts: tuple[SentSecureDfuPart, ...]
    came_back: CameBack


def ignore(event: SecureDfuEvent) -> None:
    """Watch nothing."""


class Session:
    """Sends a package over ``transport``. ``boot_timeout_s``: how long each restart may take; None: by its size.

    ``checks``: refuse what would not start on the device, before the first byte.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        timeout_s: float = TIMEOUT_S,
        boot_timeout_s: float | None = None,
        checks: bool = True,
        watch: Watch = ignore,
    ) -> None:
        self._transport = transport
        self._checks = checks
        self._timeout_s = timeout_s
        self._boot_timeout_s = boot_timeout_s
        self._watch = watch

    async def send(self, package: SecureDfuPackage) -> SentSecureDfuPackage:
        """Send all parts.

        Raises PlanError, DfuRefusedError, DfuNotStartedError, DfuUnfinishedError or LinkError.
        """
        entries = package.in_sending_order
        sent: list[SentSecureDfuPart] = []
        came_back = CameBack.UNKNOWN
        try:
            await self._transport.open()
            installed = await self._look(package)
            for number, entry in enumerate(entries, 1):
                self._watch(SecureDfuPartBegins(entry.name, number, len(entries), len(entry.firmware)))
                sent.append(await self._part(entry, installed, last=number == len(entries)))
                if sent[-1].skipped:
                    continue
                came_back = await self._restarted(entry)
                if number < len(entries):
                    await self._next(entry, entries[number], came_back)
            if came_back is CameBack.BOOTLOADER and _is_application(entries[-1]):
                raise await self._not_started()
            if came_back is CameBack.BOOTLOADER and self._checks:
                await self._check_installed(entries[-1])
        except LinkError as error:
            explain(error, self._transport)
            raise
        finally:
            await self._transport.close()
        return SentSecureDfuPackage(tuple(sent), came_back)

    async def _look(self, package: SecureDfuPackage) -> Installed:
        """Ask the bootloader what it has, and check that the package fits. Nothing, if it does not say."""
        installed = await read_installed(self._transport)
        if installed is not None and self._checks:
            check_device(package, installed)
        return installed or {}

    async def _part(self, entry: Entry, installed: Installed, *, last: bool) -> SentSecureDfuPart:
        """Send a part that others follow only if the device lacks it.

        The bootloader reports what it has. One that reports nothing refuses what is not newer, as over Bluetooth.
        """
        if last or not has_already(entry, installed):
            try:
                return await self._send_part(entry)
            except DfuRefusedError as refused:
                if last or self._transport.pings or refused.extended not in _NOT_NEWER:
                    raise
        self._watch(SecureDfuPartSkipped(entry.name))
        return SentSecureDfuPart(entry.name, len(entry.firmware), skipped=True)

    async def _send_part(self, entry: Entry) -> SentSecureDfuPart:
        carrier = Carrier(self._transport, self._timeout_s)
        transfer = carrier.new_transfer(entry.init_packet.to_bytes(), entry.firmware)
        begin = time.monotonic()
        await carrier.carry(transfer, lambda progress: self._watch(SecureDfuProgress(entry.name, progress)))
        seconds = time.monotonic() - begin
        done = transfer.progress
        if not transfer.confirmed:
            await self._unconfirmed(entry)
        return SentSecureDfuPart(entry.name, done.len, seconds, done.resumed_at, done.repeats, done.damaged)

    async def _restarted(self, entry: Entry) -> CameBack:
        within_s = self._within_s(entry)
        self._watch(SecureDfuRestarts(entry.name, within_s))
        return await self._transport.came_back(within_s)

    def _within_s(self, entry: Entry) -> float:
        if self._boot_timeout_s is not None:
            return self._boot_timeout_s
        return RESTART_S + len(entry.firmware) / PAGE_SIZE * COPY_PAGE_S

    async def _next(self, entry: Entry, following: Entry, came_back: CameBack) -> None:
        """Connect for the part that follows."""
        if came_back is CameBack.BOOTLOADER:
            await self._transport.open()
            return
        if came_back is CameBack.APPLICATION and self._transport.starts_bootloader and await self._started():
            return
        what = "the application runs" if came_back is CameBack.APPLICATION else "its bootloader does not answer"
        raise DfuUnfinishedError(f"the {entry.name} was sent, but the {following.name} was not: {what} now").advising(
            "dfu-next-part",
            "Bring the device into its bootloader, then send the package again: smpdfu leaves out what the bootloader "
            "reports as installed.",
        )

    async def _started(self) -> bool:
        """Start the bootloader from the application, and connect; False if the application cannot do that."""
        try:
            await self._transport.open()
        except ConnectError:
            return False
        return True

    async def _unconfirmed(self, entry: Entry) -> None:
        """The answer to the last request was lost. Raises an error if what runs afterwards does not tell enough."""
        came_back = await self._restarted(entry)
        if came_back is CameBack.BOOTLOADER and await self._resent(entry):
            return
        raise DfuUnfinishedError(
            f"all of the {entry.name} was sent, but the last answer of the bootloader was lost: nobody knows whether "
            "it took the firmware"
        ).advising(
            "dfu-unconfirmed",
            "Check the version that the device runs. If it is the old one, bring the device into its bootloader and "
            "send the package again.",
        )

    async def _resent(self, entry: Entry) -> bool:
        """Send the part once more, unless it is installed: the bootloader may lack the last request.

        Return whether the bootloader has it then.
        """
        await self._transport.open()
        if has_already(entry, await read_installed(self._transport) or {}):
            return True
        carrier = Carrier(self._transport, self._timeout_s)
        transfer = carrier.new_transfer(entry.init_packet.to_bytes(), entry.firmware)
        try:
            await carrier.carry(transfer, lambda progress: self._watch(SecureDfuProgress(entry.name, progress)))
        except DfuRefusedError as refused:
            if refused.extended not in _NOT_NEWER:
                raise
            return True  # it took this init packet before: the version that it has since then is this one
        return transfer.confirmed

    async def _read_again(self) -> Installed | None:
        """What the bootloader that came back has; None if it does not say."""
        try:
            await self._transport.open()
            return await read_installed(self._transport)
        except LinkError:
            return None

    async def _check_installed(self, entry: Entry) -> None:
        """Check that the device has the SoftDevice or the bootloader that it took. Raises DfuNotStartedError."""
        installed = await self._read_again()
        if installed is not None and shows_others(entry, installed):
            raise DfuNotStartedError(
                f"the device took the {entry.name} and did not install it: its bootloader reports another version"
            ).advising(
                "dfu-not-installed",
                "Restart the device into its bootloader, then send the package again. If it happens again, the device "
                "needs a programmer.",
            )

    async def _not_started(self) -> DfuNotStartedError:
        """The error for a device that is in its bootloader again, with what that says about the application."""
        said = ""
        installed = await self._read_again()
        if installed is not None:
            application = installed.get(FirmwareType.APPLICATION)
            said = (
                ". The bootloader reports no valid application"
                if application is None
                else f". The bootloader reports an application of version {application.version}"
            )
        return DfuNotStartedError(
            f"the device took the package and is in its bootloader again: no application runs{said}"
        ).advising(
            "dfu-not-started",
            "Check the address of the firmware: it must be linked behind the SoftDevice that the device has, or at "
            "0x1000 without one. A button or a pin that is held also keeps the device in its bootloader.",
        )


def _is_application(entry: Entry) -> bool:
    return entry.init_packet.init.type == FwType.APPLICATION
