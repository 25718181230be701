"""MCUboot's serial recovery: the small SMP server of the bootloader, which writes where the application runs from.

With direct upload, and, as the nRF Connect SDK has it, the recovery of the network core, that core's image is gathered
in RAM and handed over when it is whole, after the answer to its last piece: until that is done a reset is refused.
Nothing is tested here, and nothing can be reverted; what is wrong shows at the next boot. ``RecoveryBuild`` is what a
build has of it. Source: ``boot_serial.c``, and recordings of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from smpdfu.errors import FormatError
from smpdfu.image.format import Image
from smpdfu.image.verification.verify import Role
from smpdfu.smp.groups.image import ImageUpload, SlotInfo, StateRead
from smpdfu.smp.groups.os import Params, ParamsReply, Reset
from smpdfu.smp.message import MgmtRc
from smpdfu.virtual.boot.network.netcore import NetCore, SilentError, update_network_core
from smpdfu.virtual.boot.slot import Slot, Slots
from smpdfu.virtual.chip.flash import Area, Flash
from smpdfu.virtual.chip.storage import ERASED
from smpdfu.virtual.server.server import Answer, Buffers, Refused, Server
from smpdfu.virtual.server.slot_content import content_of

BUFFERS = Buffers(1024, 1)
"""CONFIG_BOOT_SERIAL_MAX_RECEIVE_SIZE; the answer is written over the request."""
WRITE_UNIT = 4
NETWORK_IMAGE = 3
"""The number under which the network core's image is sent."""
_RAM = 0x2001_0000
_ROLES: tuple[Role, ...] = ("primary", "secondary")


@dataclass(frozen=True, slots=True)
class RecoveryBuild:
    """How the bootloader's recovery was built.

    ``direct_upload``: each slot has a number; without, which is MCUboot's default, there is number 0 alone, and where
    there are two image pairs number 1, whose slot is RAM. ``image_state``: the list has flags. ``slot_info``,
    ``params``: it has these commands. ``reads_each``: it reads the number from every packet, as it did before July
    2023.
    """

    direct_upload: bool = True
    image_state: bool = False
    slot_info: bool = False
    params: bool = True
    reads_each: bool = False


DEFAULT_BUILD = RecoveryBuild()


@dataclass(slots=True)
class _Upload:
    """What is under way: ``number`` says where to. ``ram`` is what there is of an image that goes through RAM."""

    size: int
    number: int = 0
    off: int = 0
    ram: bytearray | None = None


class RecoveryServer:
    """Answers requests while the bootloader is in serial recovery.

    ``images`` are the slots of each image, ``net`` the network core, ``accepts`` says whether the bootloader takes the
    image in a slot: it lists no others. ``reset`` is called when a client requests a reset. ``clock`` gives the time,
    and ``time_factor`` says how much of it a copy to the network core takes. ``external_half`` is the number of the
    image that is the application's second half; if that is image 1, no number leads to the network core.
    """

    def __init__(
        self,
        images: Sequence[Slots],
        net: NetCore,
        accepts: Callable[[Slots, Role], bool],
        reset: Callable[[], None],
        log: Callable[[str], None],
        build: RecoveryBuild = DEFAULT_BUILD,
        clock: Callable[[], float] = lambda: 0.0,
        time_factor: float = 0.0,
        external_half: int | None = None,
    ) -> None:
        self._images = tuple(images)
        self._net = net
        self._accepts = accepts
        self._reset = reset
        self._log = log
        self._build = build
        self._clock = clock
        self._time_factor = time_factor
        self._external_half = external_half
        self._busy_until = 0.0
        without = [kind for kind, has in ((Params, build.params), (SlotInfo, build.slot_info)) if not has]
        self._server = Server([self], BUFFERS, without=without, needed={ImageUpload: {"off": MgmtRc.EINVAL}}, log=log)
        self._upload = _Upload(0)

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
        """Answer, then restart; not while the network core's bootloader copies."""
        if self._clock() < self._busy_until:
            raise Refused(MgmtRc.EBUSY)
        self._reset()
        return {"rc": MgmtRc.EOK}

    def on_state_read(self, request: StateRead) -> Answer:
        """The images that are valid; without flags, unless it was built with them."""
        return {"images": [line for number in range(len(self._images)) for line in self._lines(number)]}

    def _lines(self, number: int) -> list[dict[str, object]]:
        lines: list[dict[str, object]] = []
        slots = self._images[number]
        for place, (slot, role) in enumerate(zip(slots.places, _ROLES, strict=False)):
            content = content_of(slot)
            if content is None or not self._accepts(slots, role):
                continue
            image: dict[str, object] = {"image": number} if len(self._images) > 1 else {}
            version = str(content.version).replace("+", ".")
            lines.append({**image, **self._flags(place), "slot": place, "hash": content.hash, "version": version})
        return lines

    def _flags(self, place: int) -> dict[str, object]:
        """Those that are true, as this build has them: of a device on which nothing is marked."""
        if not self._build.image_state:
            return {}
        flags = ("bootable",) if place else ("bootable", "confirmed", "active")
        return dict.fromkeys(flags, True)

    def on_slot_info(self, request: SlotInfo) -> Answer:
        """The sizes, and the number with which each slot is reached, if it is."""
        return {
            "images": [
                {
                    "image": number,
                    "slots": [self._slot_info(number, place, slot) for place, slot in enumerate(slots.places)],
                }
                for number, slots in enumerate(self._images)
            ]
        }

    def _slot_info(self, number: int, place: int, slot: Slot) -> dict[str, object]:
        found: dict[str, object] = {"slot": place, "size": slot.area.size_bytes}
        if self._images[number].other is None:  # a build with one slot counts from 1, with direct upload or without
            return {**found, "upload_image_id": number + 1}
        if self._build.direct_upload:
            return {**found, "upload_image_id": 2 * number + place + 1}
        return found if place else {**found, "upload_image_id": number}

    def on_image_upload(self, request: ImageUpload) -> Answer:
        """Write a piece; whole units only, but for the last. The first one erases the slot."""
        upload = self._begin(request) if request.off == 0 else self._upload
        if self._build.reads_each:
            upload.number = request.image or 0
        if request.off == upload.off:
            self._write(upload, request.data)
        return {"rc": MgmtRc.EOK, "off": upload.off}

    def _begin(self, request: ImageUpload) -> _Upload:
        self._upload = _Upload(0)
        number, size = request.image or 0, request.len
        if size is None or size == 0:
            raise Refused(MgmtRc.EINVAL)
        if self._is_ram(number):
            if size > self._net.app.size_bytes + 0x1000:  # what the RAM that stands in for its slot holds
                raise Refused(MgmtRc.EINVAL)
            self._upload = _Upload(size, number, ram=bytearray())
            return self._upload
        area = self._area(number)
        if area is None or size > area.size_bytes:
            raise Refused(MgmtRc.EINVAL)
        area.erase_all()
        self._upload = _Upload(size, number)
        return self._upload

    def _is_ram(self, number: int) -> bool:
        """Does the number lead to the RAM that stands in for the network core's slot?"""
        if self._external_half == 1:
            return False
        if self._build.direct_upload:
            return number == NETWORK_IMAGE
        return number == 1 < len(self._images)

    def _area(self, number: int) -> Area | None:
        """The slot that a number stands for: 0, and with direct upload 1, are the application's primary one.

        Without direct upload, each number stands for the primary slot of that image.
        """
        if not self._build.direct_upload:
            return self._images[number].primary.area if number < len(self._images) else None
        slots = [slot for image in self._images for slot in image.places]
        place = max(number, 1) - 1
        return slots[place].area if place < len(slots) else None

    def _write(self, upload: _Upload, data: bytes) -> None:
        if upload.off + len(data) > upload.size:
            raise Refused(MgmtRc.EINVAL)
        if upload.off + len(data) < upload.size:
            data = data[: len(data) // WRITE_UNIT * WRITE_UNIT]
        area = self._area(upload.number)
        if self._is_ram(upload.number) and upload.ram is not None:
            upload.ram += data
        elif area is not None and data:
            area.program(upload.off, data + bytes([ERASED]) * (-len(data) % WRITE_UNIT))
        upload.off += len(data)
        if upload.off == upload.size and upload.number == NETWORK_IMAGE and upload.ram is not None and data:
            self._hand_over(bytes(upload.ram))

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
        with suppress(SilentError):  # the server answers, whatever becomes of the copy
            took = update_network_core(self._net, ram, _RAM + header.hdr_size, header.img_size, self._log)
            self._busy_until = self._clock() + took.seconds * self._time_factor
