"""MCUboot's serial recovery: the small SMP server of the bootloader, which writes where the application runs from.

Built with direct upload, a hash in the list, and, as the nRF Connect SDK has it, with the recovery of the network core:
its image is gathered in RAM and handed over when it is whole. Nothing is tested here, and nothing can be reverted; what
is wrong shows at the next boot. Source: ``boot_serial.c``, and recordings of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from smpdfu.errors import FormatError
from smpdfu.image.format import Image
from smpdfu.image.verify import Role
from smpdfu.smp.groups.image import ImageUpload, StateRead
from smpdfu.smp.groups.os import Params, ParamsReply, Reset
from smpdfu.smp.message import MgmtRc
from smpdfu.virtual.content import content_of
from smpdfu.virtual.flash import Area, Flash
from smpdfu.virtual.layout import Region
from smpdfu.virtual.netcore import NetCore, update_network_core
from smpdfu.virtual.server import Answer, Buffers, Refused, Server
from smpdfu.virtual.slot import Slot, Slots
from smpdfu.virtual.storage import ERASED

BUFFERS = Buffers(1024, 1)
"""CONFIG_BOOT_SERIAL_MAX_RECEIVE_SIZE; the answer is written over the request."""
WRITE_UNIT = 4
NETWORK_IMAGE = 3
"""The number under which the network core's image is sent."""
_RAM = 0x2001_0000


@dataclass(slots=True)
class _Upload:
    """What is under way: into ``area`` of a flash; of the network core's image, the bytes that are there."""

    size: int
    area: Area | None
    off: int = 0
    image: bytearray | None = None


class RecoveryServer:
    """Answers requests while the bootloader is in serial recovery.

    ``images`` are the slots of each image, ``net`` the network core, ``accepts`` tells of a slot whether the bootloader
    takes its image: others are not listed. ``reset`` is called when a reset is asked for.
    """

    def __init__(
        self,
        images: Sequence[Slots],
        net: NetCore,
        accepts: Callable[[Slots, Role], bool],
        reset: Callable[[], None],
        log: Callable[[str], None],
    ) -> None:
        self._images, self._net, self._accepts, self._reset, self._log = tuple(images), net, accepts, reset, log
        self._server = Server([self], BUFFERS, needed={ImageUpload: {"off": MgmtRc.EINVAL}}, log=log)
        self._upload = _Upload(0, None)

    @property
    def buffers(self) -> Buffers:
        """Those of this server; the application has its own."""
        return self._server.buffers

    def answers(self, packet: bytes) -> list[bytes]:
        """The answers to a packet of a wire."""
        return self._server.answers(packet)

    # --- handlers ----------------------------------------------------------------------------------------------------

    def on_params(self, request: Params) -> ParamsReply:
        """The one buffer."""
        return ParamsReply(BUFFERS.size_bytes, BUFFERS.count)

    def on_reset(self, request: Reset) -> Answer:
        """Answer, then restart."""
        self._reset()
        return {"rc": MgmtRc.EOK}

    def on_state_read(self, request: StateRead) -> Answer:
        """The images that are valid, without flags."""
        return {"images": [line for number in range(len(self._images)) for line in self._lines(number)]}

    def _lines(self, number: int) -> list[dict[str, object]]:
        lines: list[dict[str, object]] = []
        slots = self._images[number]
        places: tuple[tuple[Slot, Role], ...] = (slots.primary, "primary"), (slots.secondary, "secondary")
        for place, (slot, role) in enumerate(places):
            content = content_of(slot)
            if content is None or not self._accepts(slots, role):
                continue
            image: dict[str, object] = {"image": number} if len(self._images) > 1 else {}
            version = str(content.version).replace("+", ".")
            lines.append({**image, "slot": place, "hash": content.hash, "version": version})
        return lines

    def on_image_upload(self, request: ImageUpload) -> Answer:
        """Write a piece; whole units only, but for the last. The first one erases the slot."""
        upload = self._begin(request) if request.off == 0 else self._upload
        if request.off == upload.off:
            self._write(upload, request.data)
        return {"rc": MgmtRc.EOK, "off": upload.off}

    def _begin(self, request: ImageUpload) -> _Upload:
        self._upload = _Upload(0, None)
        number, size = request.image or 0, request.len
        if size is None or size == 0:
            raise Refused(MgmtRc.EINVAL)
        if number == NETWORK_IMAGE:
            if size > self._net.app.size_bytes + 0x1000:  # what the RAM that stands in for its slot holds
                raise Refused(MgmtRc.EINVAL)
            self._upload = _Upload(size, None, image=bytearray())
            return self._upload
        area = self._area(number)
        if area is None or size > area.size_bytes:
            raise Refused(MgmtRc.EINVAL)
        area.erase_all()
        self._upload = _Upload(size, area)
        return self._upload

    def _area(self, number: int) -> Area | None:
        """The slot that a number of direct upload stands for: 0 and 1 are the primary one."""
        slots = [slot for image in self._images for slot in (image.primary, image.secondary)]
        place = max(number, 1) - 1
        return slots[place].area if place < len(slots) else None

    def _write(self, upload: _Upload, data: bytes) -> None:
        if upload.off + len(data) > upload.size:
            raise Refused(MgmtRc.EINVAL)
        if upload.off + len(data) < upload.size:
            data = data[: len(data) // WRITE_UNIT * WRITE_UNIT]
        if upload.image is not None:
            upload.image += data
        elif upload.area is not None and data:
            upload.area.program(upload.off, data + bytes([ERASED]) * (-len(data) % WRITE_UNIT))
        upload.off += len(data)
        if upload.off == upload.size and upload.image is not None and data:
            self._hand_over(bytes(upload.image))

    def _hand_over(self, data: bytes) -> None:
        """The network core's image is whole: have b0n take its payload."""
        size = -(-len(data) // 4096) * 4096
        ram = Flash(_RAM, size)
        ram.program(_RAM, data + bytes([ERASED]) * (-len(data) % WRITE_UNIT))
        try:
            header = Image.from_bytes(data).header
        except FormatError:
            self._log("E: Network core image is not valid")
            return
        firmware = Region("network image", _RAM + header.hdr_size, header.img_size)
        self._log("I: Starting network core update")
        if update_network_core(self._net, ram, firmware, self._log).done:
            self._log("I: Done updating network core")
