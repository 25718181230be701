"""What one boot knows of its build, and MCUboot's checks of an image that lies in a slot.

Source: ``boot_image_check`` and its callers in Nordic's ``loader.c``.
"""

from __future__ import annotations

from smpdfu.errors import FormatError, SigningError
from smpdfu.image.format import COMPRESSED_FLAGS, HEADER_SIZE, Image
from smpdfu.image.signing.encrypt import opens, unwrap_key
from smpdfu.image.trailer import SlotGeometry
from smpdfu.image.verification.rollback import counter_refusals
from smpdfu.image.verification.verify import Code, Role, verify
from smpdfu.virtual.boot.build import BootKeys, Entrance, build_of
from smpdfu.virtual.boot.known_images import image_in
from smpdfu.virtual.boot.known_verdicts import VERDICTS, Question
from smpdfu.virtual.boot.network.handover import NetworkPath
from smpdfu.virtual.boot.network.netcore import NetCore
from smpdfu.virtual.boot.nsib.second_stage import SecondStage
from smpdfu.virtual.boot.security_counters import CounterError, SecurityCounters
from smpdfu.virtual.boot.slot import RawHeader, Slot, Slots
from smpdfu.virtual.boot.swap.swap import Log
from smpdfu.virtual.chip.flash import Bus
from smpdfu.virtual.chip.layout import Layout

# What ``verify`` refuses because the loader chokes on it, and the loader itself does not see before it is too late.
_UNSEEN = (Code.ENCRYPTED_HEADER,)

# Estimates for software cryptography on a core with 64 MHz; nothing depends on them but how long a boot takes.
HASH_BYTES_PER_S = 2_500_000
SIGNATURE_S = 0.2


class HaltError(Exception):
    """MCUboot stopped at an assertion; the message is its text."""


class Checks:
    """The build, the network core and the security counters of one boot, and the checks that all images share.

    ``seconds`` is how long the checks have computed, ``asked`` what asks for the firmware loader at this boot.
    ``stage`` is what MCUboot knows of itself behind b0; None where it is the first stage.
    ``ValueError`` for what no bootloader is built for.
    """

    def __init__(
        self,
        bus: Bus,
        layout: Layout,
        keys: BootKeys,
        log: Log,
        net: NetCore | None,
        asked: Entrance | None = None,
        stage: SecondStage | None = None,
    ) -> None:
        self.stage = stage
        self.layout = layout
        self.keys = keys
        self._bus = bus
        self.log = log
        self.build = build_of(layout, keys, has_network_core=net is not None)
        self.network = NetworkPath(net, bus, self.build, log)
        self.asked = asked
        self.seconds = 0.0
        self.counters: SecurityCounters | None = None
        if keys.options.rollback_protection:
            if layout.otp is None:
                raise ValueError(f"layout {layout.name} has no memory for security counters")
            self.counters = SecurityCounters(bus.area(layout.otp), len(layout.images))

    def slots(self, number: int = 0) -> Slots:
        """The slots of image number ``number``."""
        return self.keys.slots(self._bus, self.layout, number)

    @property
    def image_count(self) -> int:
        """How many images MCUboot updates (BOOT_IMAGE_NUMBER): behind b0 it is one itself."""
        return len(self.layout.images) + (self.stage is not None)

    @property
    def mcuboot_slots(self) -> Slots:
        """The slots of MCUboot's own image. ``ValueError`` where it is none."""
        if self.stage is None:
            raise ValueError("MCUboot is no image that it updates")
        return self.stage.slots_of_mcuboot(self._bus, self.slots(), len(self.layout.images))

    def running_version(self) -> tuple[int, int, int]:
        """The version that the running MCUboot was signed with, behind b0; 0.0.0 where it has no header."""
        if self.stage is None:
            return (0, 0, 0)
        header = RawHeader.from_bytes(self._bus.read(self.stage.active.start, HEADER_SIZE))
        return header.version if header.is_image else (0, 0, 0)

    def is_accepted(self, slots: Slots, role: Role, start: int = 0) -> bool:
        """Hash, signature, size and structure of the image in a slot, by ``image.verification.verify``."""
        slot = slots.primary if role == "primary" else slots.secondary
        # Whichever slot it is in, it must fit where it comes from.
        return self.is_good(slot, role, slots.places[-1].geometry, number=slots.image, start=start)

    def is_good(self, slot: Slot, role: Role, limits: SlotGeometry, *, number: int = 0, start: int = 0) -> bool:
        """The same for a slot of image ``number`` that is decrypted as ``role`` says and holds what fits ``limits``."""
        try:
            pieces = slot.image_pieces(start)
            image = image_in(pieces)
        except FormatError:
            return False
        self.seconds += image.size_bytes / HASH_BYTES_PER_S + SIGNATURE_S * bool(self.keys.verifiers)
        if image.header.flags & COMPRESSED_FLAGS or not self._is_counter_high_enough(number, image):
            return False
        if role == "secondary" and image.encrypted and self.content_key(image) is None:
            return False
        return VERDICTS.of(Question(pieces, role, limits), self.keys, lambda: self._passes(image, role, limits))

    def _passes(self, image: Image, role: Role, limits: SlotGeometry) -> bool:
        keys, build = self.keys, self.keys.build
        verdict = verify(image, keys.verifiers, enc_key=keys.decryption, slot=limits, role=role, build=build)
        return all(finding.code in _UNSEEN for finding in verdict.refusals)

    def content_key(self, image: Image) -> bytes | None:
        """The key of an encrypted image; None when there is none that can be unwrapped."""
        key = self.keys.decryption
        if key is None or not image.encrypted:
            return None
        allows = self.keys.build.allows_unprotected
        tlvs = (tlv for _, _, tlv in image.tlv_offsets())
        tlv = next((one for one in tlvs if opens(key, one) and allows(one.type)), None)
        if tlv is None:
            return None
        try:
            return unwrap_key(tlv, key, self.keys.content_key_size)
        except (FormatError, SigningError):
            return None

    # --- security counters ---

    def counts(self, number: int) -> bool:
        """True for an image whose security counter MCUboot remembers; the network core's may be left to NSIB.

        Its own is left to NSIB.
        """
        left_to_nsib = number == self.layout.network_image and self.build.loader.release.nsib_counts_network
        if number == len(self.layout.images):
            return False
        return self.counters is not None and not left_to_nsib

    def _is_counter_high_enough(self, number: int, image: Image) -> bool:
        if self.counters is None or not self.counts(number):
            return True
        return not any(counter_refusals(image, self.counters.read(number)))

    def counter_of(self, slot: Slot, start: int = 0) -> int | None:
        """The security counter in the image in a slot; None when there is none."""
        try:
            return slot.image(start).security_counter
        except FormatError:
            return None

    def raise_counter(self, slots: Slots) -> None:
        """Remember the counter of the image in the primary slot; halts when there is no room for it."""
        try:
            self.store_counter(slots.primary, slots.image)
        except CounterError:
            self.log("E: Security counter update failed after image upgrade.")
            raise HaltError("rc == 0") from None

    def store_counter(self, slot: Slot, number: int = 0) -> None:
        """Remember the counter of the image in a slot of image ``number``. Raises ``CounterError``."""
        counter = self.counter_of(slot) if self.counts(number) else None
        if self.counters is not None and counter is not None:
            self.counters.raise_to(number, counter)
