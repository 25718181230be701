"""MCUboot's way to the network core: which bytes it gives to b0n, and how versions are compared before that.

Source: ``boot_validated_swap_type`` of Nordic's ``loader.c`` (staged), ``modules/mcuboot/hooks/nrf53_hooks.c`` of the
nRF Connect SDK (simultaneous, and ``pcd_version_cmp_net``).
"""

from __future__ import annotations

from collections.abc import Callable

from smpdfu.image.nsib.firmware_info import READ_BYTES, FirmwareInfo
from smpdfu.loaders.rules import Build
from smpdfu.virtual.boot.network.netcore import NetCore, update_network_core
from smpdfu.virtual.boot.slot import RawHeader, Slot
from smpdfu.virtual.chip.flash import Bus

_VECTOR = 4


class NetworkPath:
    """From the application core's slots to b0n. ``seconds`` is how long MCUboot has waited."""

    def __init__(self, net: NetCore | None, bus: Bus, build: Build, log: Callable[[str], None]) -> None:
        self._net = net
        self._bus = bus
        self._build = build
        self._log = log
        self.seconds = 0.0

    @property
    def region(self) -> range:
        """The network application's part of flash; empty without a network core."""
        if self._net is None:
            return range(0)
        app = self._net.layout.app
        return range(app.start, app.end)

    def take_staged(self, slot: Slot) -> bool:
        """Hand over the raw payload of the image in the application's secondary slot.

        Where it lies is read at the slot's start, which with swap using offset is not where the image is. Raises
        ``SilentError`` and ``PowerCut``.
        """
        self._log("I: Starting network core update")
        taken = self._take(slot, slot.raw_header())
        if taken:
            self._log("I: Done updating network core")
        return taken

    def take_copied(self, slot: Slot) -> bool:
        """Hand over what was copied to the RAM that is the network core's primary slot. Raises as ``take_staged``."""
        header = slot.raw_header()
        vector = slot.word(header.hdr_size + _VECTOR) if header.is_image else None
        return self._build.is_handed_over(vector, self.region) and self._take(slot, header)

    def _take(self, slot: Slot, header: RawHeader) -> bool:
        if self._net is None or not header.img_size:
            return False
        source = slot.area.region.start + header.hdr_size
        took = update_network_core(self._net, self._bus, source, header.img_size, self._log)
        self.seconds += took.seconds
        return took.done

    def is_lower(self, slot: Slot, header: RawHeader) -> bool:
        """Does b0n's count for the image in ``slot`` lie below that of the firmware that the network core has?

        Where one of the two cannot be read, it counts as lower. It is looked for behind the header plus the size of
        the protected TLVs, which lie elsewhere: an image with any is not read. Raises ``SilentError``.
        """
        old = None if self._net is None else self._net.version()
        start = header.hdr_size + header.protect_tlv_size
        room = slot.area.size_bytes - start
        new = FirmwareInfo.find(slot.area.read(start, min(READ_BYTES, room))) if room > 0 else None
        return old is None or new is None or new.version < old
