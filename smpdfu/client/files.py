"""Files to and from the file systems of a device, in pieces, with little memory.

    async with client_for("serial:/dev/ttyACM0") as client:
        with open("settings.bin", "rb") as source:
            result = await upload_file(client, source, "/lfs1/settings.bin")

The rules of an upload:

    the device answers                        what the client does
    ----------------------------------------  ---------------------------------------------------------------------
    the end of the piece                      it sends the next piece
    another offset, or FILE_OFFSET_NOT_VALID  the device took a copy of the piece before: the client continues at the
                                              length of the device's file
    an error that can pass (busy, memory)     the same, after a pause that doubles every time
    nothing, in all attempts                  it tries once more with half the length, if no piece of this length
                                              ever got through
    any other error                           it raises the error

- If the link is lost, the client opens it again and continues at the length of the device's file.
- To find that length, the client closes the file and asks for its status. The length counts if the last piece began or
  ended there. Otherwise it counts only if the device's hash over those bytes is the same: an older file, and a file
  that lost its end in a reset, have a length, too. If nothing can be proved, the client begins at 0.
- Before a small file the client asks nothing, and after it one hash, to need few requests. It sends that question right
  behind the last piece if the device has three buffers or more. If the answer is no proof, it asks again.
- ``PATIENCE`` bad events in a row without progress end in an error.

An upload has one piece in flight at a time. Zephyr writes where the file ends and takes no other piece. If one piece is
lost or late, Zephyr refuses the whole rest, and a second copy of the first piece begins the file again. Some servers
fell silent when more pieces came than they could write (2 in flight over UDP: 22 times slower; 4 over a serial line:
the upload failed).

A download has several pieces in flight, because reads change nothing, and continues at the byte that it has reached. At
the end the client compares the device's hash of the whole file, if the device has a kind of hash that smpdfu knows.

Sources: Zephyr, smp_group_8.rst and fs_mgmt.c; recordings of real servers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from smpdfu.client.client import Client
from smpdfu.client.deadline import Deadline
from smpdfu.client.exchange import now
from smpdfu.client.report import Report, no_report
from smpdfu.client.transfers.file_download import FILE_MAX, FileReceiver
from smpdfu.client.transfers.file_upload import FileSender
from smpdfu.errors import RemoteProtocolError

__all__ = ["FILE_MAX", "FileResult", "Report", "download_file", "upload_file"]


@dataclass(frozen=True, slots=True)
class FileResult:
    """A finished transfer of ``len`` bytes in ``seconds``.

    ``resumed_at``: the bytes that were there before. ``retries``: how often the client asked the device how much of an
    upload it has. ``hash_type``: the kind of hash that proved every byte; None if the device has no kind that smpdfu
    knows.
    """

    len: int
    seconds: float
    resumed_at: int
    hash_type: str | None
    retries: int = 0

    @property
    def verified(self) -> bool:
        """True if the device's hash equals that of the transferred bytes. For an empty file its length is enough."""
        return self.hash_type is not None or self.len == 0


async def upload_file(
    client: Client, source: BinaryIO, name: str, *, resume: bool = True, progress: Report | None = None
) -> FileResult:
    """Write ``source``, a seekable binary file, to the file ``name`` of the device, and compare the device's hash.

    ``resume``: continue after the part that the device already has, if it can prove that it is the same. ``progress``
    is called with ``UploadProgress`` after every piece. Raises LocalProtocolError if ``name`` leaves no room in a
    message; DeviceError if the device refuses; RemoteProtocolError if it makes no progress or holds other bytes in the
    end; LinkError; TransferTimeoutError after the client's ``transfer_timeout_s``.
    """
    began = now()
    async with Deadline(f"the upload of {name}", client.transfer_timeout_s) as deadline:
        report = deadline.watched(progress or no_report)
        await client.params()
        sending = FileSender(client, source, source.seek(0, 2), name)
        off = await sending.standing() if resume and not sending.is_small else 0
        resumed_at = off
        for last_try in (False, True):
            await sending.send(off, resumed_at, report)
            if await sending.arrived():
                break
            if last_try:
                raise RemoteProtocolError(f"the device holds other bytes in {name} than were sent")
            off = resumed_at = 0
            sending.retries += 1
    kind = sending.kind if sending.size else None
    return FileResult(sending.size, now() - began, resumed_at, kind, sending.retries)


async def download_file(
    client: Client, name: str, target: BinaryIO, *, resume: bool = False, progress: Report | None = None
) -> FileResult:
    """Read the file ``name`` of the device into ``target``, a binary file, and compare the device's hash.

    With ``resume``, ``target`` must be seekable and readable. Its content is kept if the device can prove that the file
    begins with it; otherwise it is overwritten. Raises the errors of ``upload_file``, and OSError if ``target`` cannot
    be written.
    """
    began = now()
    async with Deadline(f"the download of {name}", client.transfer_timeout_s) as deadline:
        report = deadline.watched(progress or no_report)
        receiving = FileReceiver(client, target, name)
        if resume:
            await receiving.take_up()
        resumed_at = receiving.off
        await receiving.receive(resumed_at, report)
        kind = await receiving.compare() if receiving.off else None
    return FileResult(receiving.off, now() - began, resumed_at, kind)
