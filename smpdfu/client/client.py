"""What can be asked of a device, and how long it may take."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import ceil
from types import TracebackType
from typing import Self, TypeVar, cast

from smpdfu.client.exchange import Exchange, now
from smpdfu.client.patience import DEFAULT_PATIENCE, Patience
from smpdfu.client.report import Report
from smpdfu.client.trace import Tracer
from smpdfu.client.transfers.image_upload import Data, ImageUploader, UploadRequest, UploadResult
from smpdfu.errors import DeviceError, LinkLostError, RemoteProtocolError, ResponseTimeoutError
from smpdfu.link.pipe import Pipe
from smpdfu.smp.framing import ConsoleFraming, Framing, GattFraming, RawFraming
from smpdfu.smp.groups.os import Params, ParamsReply, Reset
from smpdfu.smp.message import HEADER_SIZE, Request, Response
from smpdfu.smp.transfer.window import Window

DEFAULT_TIMEOUT_S = 2.5
ERASE_TIMEOUT_S = 40.0
"""Zephyr erases a whole slot before it answers."""
_DATAGRAMS_PER_PING = 4

R = TypeVar("R", bound=Response)


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
        patience: Patience = DEFAULT_PATIENCE,
        window_max: int | None = None,
        transfer_timeout_s: float | None = None,
    ) -> None:
        if timeout_s <= 0 or attempts < 1:
            raise ValueError(f"{attempts} attempts of {timeout_s} s cannot succeed")
        if window_max is not None and window_max < 1:
            raise ValueError(f"at least one request is in flight, not {window_max}")
        if transfer_timeout_s is not None and transfer_timeout_s <= 0:
            raise ValueError(f"no transfer ends within {transfer_timeout_s} s")
        self.timeout_s = timeout_s
        self.attempts = attempts
        self.patience = patience
        self.transfer_timeout_s = transfer_timeout_s
        self.window_max = window_max
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
    def found_by_name(self) -> bool:
        """True if the device was found by the name that its firmware advertises."""
        return self._exchange.pipe.by_name

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

    @property
    def window_bound(self) -> int | None:
        """The most requests that may be in flight, whatever the device has; None: as many as pay."""
        # Where lost bytes go unnoticed they end up in the image: one more in flight is only the user's decision.
        return 1 if self.window_max is None and not self._exchange.framing.checked else self.window_max

    def window_for(self, params: ParamsReply | None, *, probes: int = 0) -> Window:
        """How many requests of a transfer may be in flight to a device with these buffers; None: it does not tell.

        ``probes``: as many prove that the device hears a second request while it works on one; 0: that is sure.
        """
        buffers = None if params is None else params.buf_count
        least_s = self._exchange.least_trip_s
        return Window(buffers, bound=self.window_bound, timeout_s=self.timeout_s, probes=probes, least_trip_s=least_s)

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
            self._exchange.note("link", f"the reset was not acknowledged: {lines} console lines count as the boot text")
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
            raise RemoteProtocolError(f"the device reports buffers of {params.buf_size} bytes: too short for a message")
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
        """Upload ``data`` and have the device prove that it has the same bytes.

        The upload continues after an earlier upload of the same data, and across lost links
        (``smp/transfer/upload.py`` has the rules). ``erase_timeout_s`` is for the first chunk, at which the device
        erases. ``compare`` False: the device's list of images proves nothing, as in a bootloader's recovery.
        ``names_image``: each chunk says which image it is for; a bootloader needs that if it reads the image number
        from every packet (MCUboot before 2023-07).
        ``recheck`` is called before more is sent if this may be another device: a lost link was opened again, or the
        device asks for the first byte again, or lacks the image. What it raises ends the upload.

        Raises DeviceError if the device refuses; RemoteProtocolError if it makes no progress, or holds other bytes in
        the end, even after all of them were written a second time; LinkError; TransferTimeoutError after
        ``transfer_timeout_s``.
        """
        request = UploadRequest(
            data=data,
            image=image,
            upgrade=upgrade,
            progress=progress,
            erase_timeout_s=erase_timeout_s,
            compare=compare,
            names_image=names_image,
            recheck=recheck,
        )
        return await ImageUploader(self, self._exchange, request).run()

    async def _reconnect(self) -> None:
        await self._exchange.reconnect(self.patience.reconnect_s, self.patience.pause_s)
