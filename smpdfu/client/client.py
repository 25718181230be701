"""What can be asked of a device, and how long it may take."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from types import TracebackType
from typing import Self, TypeVar, cast

from smpdfu.client.deadline import Deadline
from smpdfu.client.exchange import Exchange, now
from smpdfu.client.image_upload import Errands, Report, Transfer, Waits
from smpdfu.client.retry import insist
from smpdfu.client.trace import Tracer
from smpdfu.errors import DeviceError, FormatError, LinkLostError, RemoteProtocolError, ResponseTimeoutError
from smpdfu.image.format import Image
from smpdfu.link.pipe import Pipe
from smpdfu.smp.framing import ConsoleFraming, Framing, GattFraming, RawFraming
from smpdfu.smp.groups.image import StateRead
from smpdfu.smp.groups.os import Params, ParamsReply, Reset
from smpdfu.smp.hearing import PAGE
from smpdfu.smp.message import HEADER_SIZE, Request, Response
from smpdfu.smp.upload import PATIENCE, Upload, UploadProgress
from smpdfu.smp.window import Window

DEFAULT_TIMEOUT_S = 2.5
ERASE_TIMEOUT_S = 40.0
"""Zephyr erases a whole slot before it answers."""
_DATAGRAMS_PER_PING = 4

R = TypeVar("R", bound=Response)
T = TypeVar("T")
Data = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Patience:
    """How long things may take, in seconds.

    ``reconnect_s``: for a lost link to come back. ``reset_grace_s``: from the answer to a reset until the device is
    down (Zephyr waits 250 ms). ``quiet_s``: silence on the console that ends the boot text, for some boards hang when
    bytes arrive while they boot; ``quiet_max_s`` is how long such silence is waited for in one boot, for other boards
    never are silent. ``ping_s``: until a device that may be booting is asked again; an answer has as long as any.
    ``pause_s``: before a device that was not there, or was busy, is asked again.
    """

    reconnect_s: float = 10.0
    reset_grace_s: float = 0.5
    quiet_s: float = 0.2
    quiet_max_s: float = 3.0
    ping_s: float = 1.0
    pause_s: float = 0.1


@dataclass(frozen=True, slots=True)
class UploadResult:
    """An upload that is done: ``off`` and ``len`` are equal.

    ``match``: the device compared the flash with the SHA-256 sent (None: it does not). ``listed``: the device lists the
    image's hash in a slot that does not run (None: it cannot be asked, or the data is no MCUboot image). ``retries``
    counts what was sent again, ``resumed_at`` the bytes that were there from an earlier upload. ``requests`` counts the
    requests sent, copies included; ``window`` is the largest number of them that was in flight. ``sealed``: each was
    checked as a whole on its way (False on a raw serial line, and on Bluetooth where one takes several writes).
    """

    off: int
    len: int
    match: bool | None
    listed: bool | None
    seconds: float
    retries: int
    resumed_at: int
    requests: int = 0
    window: int = 1
    sealed: bool = True

    @property
    def verified(self) -> bool:
        """True if it is proven that the device took what was sent: ``match`` covers every byte.

        ``listed`` is the weaker one: the image's header and its hash at the end have arrived. For the rest the device's
        word must do, which is a proof only if ``sealed``; that the flash kept it is seen by the bootloader alone.
        """
        return bool(self.match or (self.listed and self.sealed))


class Client:
    """One device. ``async with client:`` or ``open`` and ``close`` open the link and close it, as often as you like.

    ``timeout_s`` bounds one attempt of a request, ``attempts`` the attempts. ``window_max`` bounds the requests of an
    upload that are in flight at one time: 1 for one after the other, None for as many as pay, which is 1 where the
    framing does not notice lost bytes. ``transfer_timeout_s`` bounds a whole upload or download; None: only the least
    rate of ``pace`` does. ValueError if any is below its least.
    """

    def __init__(
        self,
        pipe: Pipe,
        framing: Framing,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        attempts: int = 4,
        patience: Patience = Patience(),
        window_max: int | None = None,
        transfer_timeout_s: float | None = None,
    ) -> None:
        if timeout_s <= 0 or attempts < 1:
            raise ValueError(f"{attempts} attempts of {timeout_s} s cannot succeed")
        if window_max is not None and window_max < 1:
            raise ValueError(f"at least one request is in flight, not {window_max}")
        if transfer_timeout_s is not None and transfer_timeout_s <= 0:
            raise ValueError(f"no transfer ends within {transfer_timeout_s} s")
        self.timeout_s, self.attempts, self.patience = timeout_s, attempts, patience
        self.transfer_timeout_s, self.window_max = transfer_timeout_s, window_max
        self._exchange = Exchange(pipe, framing)
        self._params: ParamsReply | None = None
        self._asked_params = False
        self._down_until = 0.0
        self._quiet_left_s = patience.quiet_max_s

    @property
    def name(self) -> str:
        """What people call the far end."""
        return self._exchange.pipe.name

    @property
    def strays(self) -> int:
        """Messages that came and answered nothing: late, double, or somebody else's."""
        return self._exchange.session.strays

    @property
    def console(self) -> Callable[[str], None] | None:
        """Called with the device's console text, whole lines at a time; None: nobody listens."""
        return self._exchange.console

    @console.setter
    def console(self, listener: Callable[[str], None] | None) -> None:
        self._exchange.console = listener

    @property
    def boot_text(self) -> str:
        """What the console said in the last boot: between ``reset`` and the first answer to a later request.

        Whole lines without colour codes, 64 KiB at most; "" where the wire has no console, or there was no reset.
        ``smpdfu.loaders.console.read_boot`` tells the bootloader's lines from the application's.
        """
        return self._exchange.boot.text

    @property
    def over_serial(self) -> bool:
        """True on a serial line, the only wire that MCUboot's recovery has."""
        framing = self._exchange.framing
        return isinstance(framing, ConsoleFraming | RawFraming) and not isinstance(framing, GattFraming)

    @property
    def trace(self) -> Tracer | None:
        """Called with everything that is sent, heard, or happens to the link; None: nobody looks on."""
        return self._exchange.trace

    @trace.setter
    def trace(self, tracer: Tracer | None) -> None:
        self._exchange.trace = tracer

    async def open(self) -> None:
        """Open the link; close it first if it is open or was lost.

        Raises ConnectError if that fails, LinkLostError if another task calls ``close`` meanwhile.
        """
        await self._exchange.open_link()

    async def close(self) -> None:
        """Close the link. Never fails, also on a closed client.

        A request, upload or download that runs in another task ends with LinkLostError (``closed`` is True), and so
        does a later one until ``open``.
        """
        self._exchange.boot.end()
        await self._exchange.close_link()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # --- requests ---------------------------------------------------------------------------------------------------

    async def request(self, request: Request[R], *, timeout_s: float | None = None, attempts: int | None = None) -> R:
        """Send ``request`` until it is answered. LocalProtocolError if it is longer than the device takes."""
        timeout_s = self.timeout_s if timeout_s is None else timeout_s
        attempts = self.attempts if attempts is None else attempts
        ticket = self._exchange.session.open(request)
        try:
            for attempt in range(1, attempts + 1):
                try:
                    return cast("R", await self._exchange.attempt(ticket, timeout_s))
                except RemoteProtocolError:
                    if attempt == attempts:
                        raise
                except ResponseTimeoutError:
                    self._exchange.after_silence(attempt)
        finally:
            self._exchange.session.close(ticket)
        raise ResponseTimeoutError(request.title, timeout_s, attempts, self._exchange.pipe.hint)

    async def params(self) -> ParamsReply | None:
        """The sizes of the device's buffers, asked once; None if it does not tell."""
        if not self._asked_params:
            await self._ask_params(self.timeout_s, self.attempts)
        return self._params

    def message_max(self) -> int:
        """The longest SMP message, in bytes, that the device takes as far as is known: see ``params``."""
        return self._exchange.message_max()

    def window_for(self, params: ParamsReply | None, *, probes: int = 0) -> Window:
        """How many requests of a transfer may be in flight to a device with these buffers; None: it does not tell.

        ``probes``: as many prove that the device hears a second request while it works on one; 0: that is sure.
        """
        buffers = None if params is None else params.buf_count
        # Where lost bytes go unnoticed they end up in the image: one more in flight is only the user's decision.
        bound = 1 if self.window_max is None and not self._exchange.framing.checked else self.window_max
        least_s = self._exchange.least_trip_s
        return Window(buffers, bound=bound, timeout_s=self.timeout_s, probes=probes, least_trip_s=least_s)

    async def reset(self, *, force: bool = False, boot_mode: int | None = None) -> bool:
        """Restart the device; return True if it acknowledged the request.

        The request is sent once, and a lost answer is no error: a second reset could reach a device that already
        tries a new image, and would revert it. The running image shows whether the device restarted. A lost link is
        opened again first. Raises LinkLostError if that fails, or if another task closes the client; DeviceError if
        the device refuses.
        """
        if self._exchange.lost is not None:
            await self._reconnect()
        acknowledged = False
        self._exchange.expect_boot()
        try:
            await self.request(Reset(1 if force else None, boot_mode), attempts=1)
            acknowledged = True
        except (ResponseTimeoutError, RemoteProtocolError):
            pass
        except LinkLostError as error:
            if error.closed:
                raise
        if not acknowledged and (lines := self._exchange.boot.count):
            self._exchange.note("link", f"the reset was not acknowledged: {lines} console lines count as its boot's")
        self._asked_params = False
        self._down_until = now() + self.patience.reset_grace_s
        self._quiet_left_s = self.patience.quiet_max_s
        return acknowledged

    async def wait_for_device(self, deadline_s: float) -> None:
        """Wait until the device answers, opening the link again if it is lost, for ``deadline_s`` at most.

        After ``reset`` the device is given time to go down first. Raises ResponseTimeoutError or LinkLostError;
        RemoteProtocolError if all that it answers in the end is unreadable.
        """
        deadline = now() + deadline_s
        await self._exchange.stay(self._down_until)
        while True:
            try:
                return await self._ping(deadline)
            except RemoteProtocolError:
                if now() >= deadline:
                    raise
            except ResponseTimeoutError as error:
                if now() >= deadline:
                    raise ResponseTimeoutError(error.command, deadline_s) from error
            except LinkLostError as error:
                if error.closed or now() >= deadline:
                    raise
            await asyncio.sleep(self.patience.pause_s)

    async def _ping(self, deadline: float) -> None:
        if self._exchange.lost is not None:
            await self._exchange.reconnect(deadline - now(), self.patience.pause_s)
        began = now()
        await self._exchange.quiet(self.patience.quiet_s, min(deadline, began + self._quiet_left_s))
        self._quiet_left_s -= now() - began
        # A datagram that comes too early harms nobody; bytes on a serial line may disturb a bootloader.
        times = 1 if self._exchange.pipe.ordered else _DATAGRAMS_PER_PING
        step_s = min(self.patience.ping_s, self.timeout_s) / times
        # Copies of one question: the answer to any of them counts, as late as the user's timeout, or the link, has it.
        wait_s = min(max(self.timeout_s, 2 * self._exchange.trip_s), max(deadline - now(), 0.0))
        await self._ask_params(step_s, max(times, ceil(wait_s / step_s)))

    async def _ask_params(self, timeout_s: float, attempts: int) -> None:
        self._params = self._exchange.buf_size = None
        with suppress(DeviceError):
            self._params = self._usable(await self.request(Params(), timeout_s=timeout_s, attempts=attempts))
            self._exchange.buf_size = self._params.buf_size
        self._asked_params = True

    def _usable(self, params: ParamsReply) -> ParamsReply:
        """The same; RemoteProtocolError where such a buffer cannot even hold the message that told it."""
        exchange = self._exchange
        if exchange.framing.message_max(params.buf_size, exchange.pipe.max_write) <= HEADER_SIZE:
            raise RemoteProtocolError(
                f"the device says that its buffers have {params.buf_size} bytes: none holds a message"
            )
        return params

    # --- upload -----------------------------------------------------------------------------------------------------

    async def upload(
        self,
        data: Data,
        image: int = 0,
        *,
        upgrade: bool = False,
        progress: Report | None = None,
        erase_timeout_s: float = ERASE_TIMEOUT_S,
        compare: bool = True,
        names_image: bool = False,
        recheck: Callable[[], Awaitable[None]] | None = None,
    ) -> UploadResult:
        """Upload ``data`` (see ``smp/upload.py`` for the rules) and have the device prove that it has the same bytes.

        Goes on where an earlier upload of the same data ended, and across lost links. ``erase_timeout_s`` is for the
        first chunk, at which the device erases. DeviceError when the device refuses; RemoteProtocolError when it makes
        no progress, or holds other bytes in the end, even after all of them were written a second time. ``compare``
        False: the device's list of images proves nothing, as in a bootloader's recovery. ``names_image``: each chunk
        says which image it is for, as a bootloader needs it that reads that from every packet (MCUboot before 2023-07).
        ``recheck`` is called, before more is sent, when it may be another device: a lost link was opened again, or the
        device asks for the first byte anew, or lacks the image. What it raises ends the upload. TransferTimeoutError
        after ``transfer_timeout_s``.
        """
        async with Deadline("the upload", self.transfer_timeout_s) as deadline:
            started, inside = now(), _image_in(data) if compare else None
            wanted = inside.hash if inside is not None else None
            params = await self._insist(self.params)
            longest = self._exchange.message_max()
            upload = Upload(data, message_max=longest, image=image, upgrade=upgrade, names_image=names_image)
            last_part = wanted if inside is not None and inside.size_bytes == upload.progress.len else None

            async def again() -> None:
                if recheck is not None:
                    await recheck()

            async def look() -> bool:
                return bool(await self._lists(last_part))

            async def reconnect() -> None:
                await self._reconnect()
                await again()

            # Datagrams and Bluetooth's packets arrive whole, or are not acknowledged. A UART loses bytes.
            serial = isinstance(self._exchange.framing, ConsoleFraming)
            window = self.window_for(params, probes=PAGE // longest + 1 if serial else 0)
            errands = Errands(deadline.watched(progress or _no_report), reconnect, look, again)
            for last_try in (False, True):
                await Transfer(self._exchange, upload, window, self._waits(erase_timeout_s), errands).run()
                listed = await self._lists(wanted)
                if upload.match or (upload.match is None and listed is not False):
                    break
                if last_try:
                    raise RemoteProtocolError("the device holds other bytes than were sent: their hashes differ")
                await again()
                upload.begin_again()
        at, seconds = upload.progress, now() - started
        sizes = (at.retries, at.resumed_at, upload.requests, upload.widest, self._exchange.seals())
        return UploadResult(at.off, at.len, upload.match, listed, seconds, *sizes)

    def _waits(self, erase_timeout_s: float) -> Waits:
        first_s, patience = max(self.timeout_s, erase_timeout_s / PATIENCE), self.patience
        return Waits(first_s, self.timeout_s, patience.pause_s, patience.quiet_s, patience.quiet_max_s)

    async def _lists(self, wanted: bytes | None) -> bool | None:
        """Does the device list ``wanted`` in a slot that does not run? None if that cannot be known."""
        if wanted is None:
            return None
        try:
            slots = (await self._insist(lambda: self.request(StateRead()))).images
        except (DeviceError, RemoteProtocolError):
            return None
        if any(slot.hash == wanted and not slot.active for slot in slots):
            return True
        return None if any(slot.hash is None for slot in slots) else False

    async def _insist(self, ask: Callable[[], Awaitable[T]]) -> T:
        return await insist(ask, self._reconnect, attempts=self.attempts, pause_s=self.patience.pause_s)

    async def _reconnect(self) -> None:
        await self._exchange.reconnect(self.patience.reconnect_s, self.patience.pause_s)


def image_hash(data: Data) -> bytes | None:
    """The hash that a device will list for ``data``: its SHA TLV; None if it is no MCUboot image."""
    image = _image_in(data)
    return None if image is None else image.hash


def _image_in(data: Data) -> Image | None:
    try:
        return Image.from_bytes(bytes(data))
    except FormatError:
        return None


def _no_report(progress: UploadProgress) -> None:
    """Nobody wants to know."""
