"""The upload of one image: from the first question to the device to the proof that it has the same bytes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from smpdfu.client.deadline import Deadline
from smpdfu.client.exchange import Exchange, now
from smpdfu.client.patience import Patience
from smpdfu.client.report import Report, no_report
from smpdfu.client.retry import insist
from smpdfu.client.transfer import Transfer
from smpdfu.errors import DeviceError, FormatError, RemoteProtocolError
from smpdfu.image.format import Image
from smpdfu.smp.framing import ConsoleFraming
from smpdfu.smp.groups.image import StateRead
from smpdfu.smp.groups.os import ParamsReply
from smpdfu.smp.hearing import PAGE
from smpdfu.smp.message import Request, Response
from smpdfu.smp.upload import PATIENCE, Upload, UploadProgress
from smpdfu.smp.window import Window

T = TypeVar("T")
R = TypeVar("R", bound=Response)
Data = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class UploadResult:
    """A finished upload of ``len`` bytes.

    ``match``: the device compared the flash with the SHA-256 that the client sent (None: it does not compare).
    ``listed``: the device lists the image's hash in a slot that does not run (None: it cannot be asked, or the data is
    no MCUboot image). ``retries`` counts the requests that were sent again. ``resumed_at``: the bytes that were there
    from an earlier upload. ``requests`` counts the requests sent, copies included. ``window`` is the largest number of
    requests in flight. ``sealed``: each request was checked as a whole on its way (False on a raw serial line, and on
    Bluetooth if a request takes several writes).
    """

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
    def off(self) -> int:
        """The bytes that are in the device: all of them."""
        return self.len

    @property
    def verified(self) -> bool:
        """True if it is proven that the device received the bytes that were sent.

        ``match`` covers every byte. ``listed`` is weaker: the image's header and the hash at its end have arrived. For
        the rest the device's answers count, which prove something only if ``sealed``. Whether the flash kept the bytes
        is seen by the bootloader alone.
        """
        return bool(self.match or (self.listed and self.sealed))


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadRequest:
    """The arguments of ``Client.upload``, which describes them."""

    data: Data
    image: int
    upgrade: bool
    progress: Report | None
    erase_timeout_s: float
    compare: bool
    names_image: bool
    recheck: Callable[[], Awaitable[None]] | None


class Asker(Protocol):
    """The parts of ``Client`` that an upload needs."""

    timeout_s: float
    attempts: int
    patience: Patience
    transfer_timeout_s: float | None

    async def request(self, request: Request[R]) -> R:
        """Send ``request`` until it is answered."""
        ...

    async def params(self) -> ParamsReply | None:
        """Return the sizes of the device's buffers."""
        ...

    def window_for(self, params: ParamsReply | None, *, probes: int) -> Window:
        """Return how many requests may be in flight."""
        ...


class ImageUploader:
    """Uploads one image. Use it once: ``await uploader.run()``."""

    def __init__(self, client: Asker, exchange: Exchange, request: UploadRequest) -> None:
        self._client = client
        self._exchange = exchange
        self._request = request
        self._report: Report = request.progress or no_report
        image = _image_in(request.data) if request.compare else None
        self._hash = None if image is None else image.hash
        self._ends_with_hash = image is not None and image.size_bytes == memoryview(request.data).nbytes

    async def run(self) -> UploadResult:
        """Upload the image. Raises the errors that ``Client.upload`` describes."""
        began = now()
        async with Deadline("the upload", self._client.transfer_timeout_s) as deadline:
            self._report = deadline.watched(self._report)
            params = await self._insist(self._client.params)
            upload = self._new_upload()
            window = self._new_window(params)
            for last_try in (False, True):
                await self._transfer(upload, window)
                listed = await self._lists(self._hash)
                if upload.match or (upload.match is None and listed is not False):
                    break
                if last_try:
                    raise RemoteProtocolError("the device holds other bytes than were sent: their hashes differ")
                await self.check_device()
                upload.begin_again()
        return UploadResult(
            len=upload.progress.len,
            match=upload.match,
            listed=listed,
            seconds=now() - began,
            retries=upload.retries,
            resumed_at=upload.resumed_at,
            requests=upload.requests,
            window=upload.widest,
            sealed=self._exchange.seals(),
        )

    # --- for the transfer -------------------------------------------------------------------------------------------

    def report(self, progress: UploadProgress) -> None:
        """Pass the progress on."""
        self._report(progress)

    async def reconnect(self) -> None:
        """Open the lost link again, and check that the same device is there. LinkLostError if the link stays lost."""
        await self._reopen()
        await self.check_device()

    async def has_image(self) -> bool:
        """Whether the device lists the image. The last part of the data holds the hash, so that it has all of it."""
        return bool(await self._lists(self._hash if self._ends_with_hash else None))

    async def check_device(self) -> None:
        """Call ``recheck``: this may be another device now. What it raises ends the upload."""
        if self._request.recheck is not None:
            await self._request.recheck()

    # --- steps ------------------------------------------------------------------------------------------------------

    def _new_upload(self) -> Upload:
        request = self._request
        return Upload(
            request.data,
            message_max=self._exchange.message_max(),
            image=request.image,
            upgrade=request.upgrade,
            names_image=request.names_image,
        )

    def _new_window(self, params: ParamsReply | None) -> Window:
        # A UART loses bytes. Datagrams and Bluetooth packets arrive whole, or are not acknowledged.
        serial = isinstance(self._exchange.framing, ConsoleFraming)
        probes = PAGE // self._exchange.message_max() + 1 if serial else 0
        return self._client.window_for(params, probes=probes)

    async def _transfer(self, upload: Upload, window: Window) -> None:
        transfer = Transfer(
            self._exchange,
            upload,
            window,
            self,
            timeout_s=self._client.timeout_s,
            first_timeout_s=max(self._client.timeout_s, self._request.erase_timeout_s / PATIENCE),
            patience=self._client.patience,
        )
        await transfer.run()

    async def _lists(self, wanted: bytes | None) -> bool | None:
        """Whether the device lists ``wanted`` in a slot that does not run; None if that cannot be known."""
        if wanted is None:
            return None
        try:
            slots = (await self._insist(lambda: self._client.request(StateRead()))).images
        except (DeviceError, RemoteProtocolError):
            return None
        if any(slot.hash == wanted and not slot.active for slot in slots):
            return True
        return None if any(slot.hash is None for slot in slots) else False

    async def _insist(self, ask: Callable[[], Awaitable[T]]) -> T:
        client = self._client
        return await insist(ask, self._reopen, attempts=client.attempts, pause_s=client.patience.pause_s)

    async def _reopen(self) -> None:
        patience = self._client.patience
        await self._exchange.reconnect(patience.reconnect_s, patience.pause_s)


def image_hash(data: Data) -> bytes | None:
    """Return the hash that a device lists for ``data``: its SHA TLV; None if it is no MCUboot image."""
    image = _image_in(data)
    return None if image is None else image.hash


def _image_in(data: Data) -> Image | None:
    try:
        return Image.from_bytes(bytes(data))
    except FormatError:
        return None
