"""Models of applications whose bootloaders an nRF5340 does not have, answering over UDP as the recorded servers do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from smpdfu.image.format import Image
from smpdfu.smp.groups.image import Erase, ImageRc, ImageUpload, SlotInfo, StateRead, StateWrite, UploadReply
from smpdfu.smp.groups.os import BootloaderInfo, BootloaderInfoReply, Echo, EchoReply, Params, ParamsReply, Reset
from smpdfu.smp.message import Empty, MgmtRc
from smpdfu.virtual.server.server import Answer, Buffers, Refused, Server


@dataclass
class TwoSlots:
    """Two slots, of which the one with the higher version runs; marks are refused (MCUboot that loads into RAM).

    ``mode`` is what it tells of its bootloader, None: nothing. ``refuses``: it boots nothing new.
    """

    slots: dict[int, bytes]
    running: int = 0
    mode: int | None = None
    refuses: bool = False
    buffer: bytearray = field(default_factory=bytearray)
    total: int = 0
    uploads: int = 0
    marks: int = 0

    def on_echo(self, request: Echo) -> Answer:
        return EchoReply(request.d)

    def on_params(self, request: Params) -> Answer:
        return ParamsReply(1024, 2)

    def on_bootloader_info(self, request: BootloaderInfo) -> Answer:
        if self.mode is None:
            raise Refused(MgmtRc.ENOTSUP)
        return BootloaderInfoReply(mode=self.mode) if request.query else BootloaderInfoReply("MCUboot")

    def on_state_read(self, request: StateRead) -> Answer:
        return {"images": [self.line(slot) for slot in sorted(self.slots)], "splitStatus": 0}

    def line(self, slot: int) -> dict[str, object]:
        image, runs = Image.from_bytes(self.slots[slot]), slot == self.running
        flags = {"bootable": True, "pending": False, "confirmed": runs, "active": runs, "permanent": False}
        return {"slot": slot, "version": str(image.header.version), "hash": image.hash, **flags}

    def on_state_write(self, request: StateWrite) -> Answer:
        self.marks += request.hash is not None
        raise Refused(MgmtRc.ENOTSUP)

    def on_slot_info(self, request: SlotInfo) -> Answer:
        slots = [{"slot": slot, "size": 0x80000} for slot in (0, 1)]
        slots[1 - self.running]["upload_image_id"] = 0
        return {"images": [{"image": 0, "slots": slots}]}

    def on_erase(self, request: Erase) -> Answer:
        self.slots.pop(1 - self.running, None)
        return Empty()

    def on_image_upload(self, request: ImageUpload) -> Answer:
        self.uploads += 1
        if request.image:
            raise Refused(ImageRc.INVALID_SLOT)
        if request.off == 0 and request.len is not None:
            self.buffer, self.total = bytearray(), request.len
            self.slots.pop(self.place, None)
        if request.off == len(self.buffer):
            self.buffer += request.data
        if len(self.buffer) == self.total:
            self.slots[self.place] = bytes(self.buffer)
        return UploadReply(len(self.buffer))

    @property
    def place(self) -> int:
        """Where an upload goes."""
        return 1 - self.running

    def on_reset(self, request: Reset) -> Answer:
        if not self.refuses:
            self.boot()
        return Empty()

    def boot(self) -> None:
        self.running = max(self.slots, key=lambda slot: (Image.from_bytes(self.slots[slot]).header.version, -slot))


@contextmanager
def served(model: TwoSlots) -> Iterator[str]:
    """Serve ``model`` on a port of this computer; its address for ``--to``."""
    server = Server([model], Buffers(1024, 2))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.bind(("127.0.0.1", 0))
        ended = threading.Event()

        def answer() -> None:
            while True:
                packet, sender = wire.recvfrom(65535)
                if ended.is_set():
                    return
                for reply in server.answers(packet):
                    wire.sendto(reply, sender)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        port = wire.getsockname()[1]
        try:
            yield f"udp:127.0.0.1:{port}"
        finally:
            ended.set()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"", ("127.0.0.1", port))
            thread.join()
