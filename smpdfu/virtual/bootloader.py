"""MCUboot on the application core, from reset to the jump into the application.

As the nRF Connect SDK builds it for the nRF5340: one pair of slots (staged scheme) or two (simultaneous). Checks are
made by ``smpdfu.image.verify`` on what is in flash; nothing is taken on trust. Source: ``context_boot_go`` of Nordic's
``loader.c``, its log lines too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from smpdfu.errors import FormatError, SigningError
from smpdfu.image.encrypt import DecryptionKey, opens, unwrap_key
from smpdfu.image.format import COMPRESSED_FLAGS, Dependency, Header, Image
from smpdfu.image.keys import Verifier
from smpdfu.image.loaderbuild import LoaderBuild
from smpdfu.image.trailer import SwapMode
from smpdfu.image.verify import Code, Role, verify
from smpdfu.virtual.counters import CounterError, SecurityCounters
from smpdfu.virtual.decision import UPGRADES, SwapType
from smpdfu.virtual.flash import Bus
from smpdfu.virtual.layout import Layout
from smpdfu.virtual.netcore import NetCore
from smpdfu.virtual.pair import HaltError, Pair, version_number
from smpdfu.virtual.slot import Slot, Slots
from smpdfu.virtual.swap import Log

# What the judge refuses because the loader chokes on it, and the loader itself does not see before it is too late.
_UNSEEN = (Code.ENCRYPTED_HEADER,)

# Estimates for software cryptography on a core with 64 MHz; nothing depends on them but how long a boot takes.
HASH_BYTES_PER_S = 2_500_000
SIGNATURE_S = 0.2


@dataclass(frozen=True, slots=True)
class BootOptions:
    """How MCUboot was built.

    ``downgrade_prevention`` (MCUBOOT_DOWNGRADE_PREVENTION) compares versions, or with ``by_counter`` the security
    counters in the images; ``rollback_protection`` (MCUBOOT_HW_ROLLBACK_PROT) remembers the highest counter seen.
    ``hmac_sha512`` (MCUBOOT_HMAC_SHA512) takes content keys that are wrapped with SHA-512, and no others.
    """

    downgrade_prevention: bool = False
    by_counter: bool = False
    rollback_protection: bool = False
    hmac_sha512: bool = False


DEFAULT_OPTIONS = BootOptions()


@dataclass(frozen=True, slots=True)
class BootKeys:
    """The keys built into the bootloaders, and how else MCUboot was built (``options``).

    ``verifiers`` are MCUboot's; a build without any goes by the hash alone. With ``decryption`` MCUboot is a build with
    encryption, for content keys of ``content_key_size`` bytes only. ``net_verifiers`` are the keys provisioned for b0n
    on the network core.
    """

    verifiers: tuple[Verifier, ...]
    decryption: DecryptionKey | None = None
    content_key_size: int = 16
    net_verifiers: tuple[Verifier, ...] = ()
    options: BootOptions = DEFAULT_OPTIONS

    @property
    def saved_key_size(self) -> int:
        """What the trailer keeps per slot for a content key."""
        return 0 if self.decryption is None else self.content_key_size

    @property
    def build(self) -> LoaderBuild:
        """What of MCUboot's build decides which images are good."""
        return LoaderBuild(
            encryption=self.decryption is not None, hmac_sha="512" if self.options.hmac_sha512 else "256"
        )


@dataclass(frozen=True, slots=True)
class RunningImage:
    """The image that the application core runs; ``hash`` is what SMP lists."""

    header: Header
    hash: bytes


@dataclass(frozen=True, slots=True)
class BootResult:
    """How a boot ended.

    ``running`` is None when there was no image to boot, or when the code that was jumped to cannot run in the primary
    slot (``crashed``): no SMP server then. ``swap_types`` is what was done with each image, ``swapped`` tells that an
    image was brought in, at last perhaps. ``net_updated`` tells that the network core took an image. ``seconds`` is how
    long the bootloader computed and waited, beside what the flashes did.
    """

    running: RunningImage | None
    swap_types: tuple[SwapType, ...]
    swapped: bool = False
    crashed: bool = False
    net_updated: bool = False
    seconds: float = 0.0

    @property
    def swap_type(self) -> SwapType:
        """What was done with image 0."""
        return self.swap_types[0]


def boot(bus: Bus, layout: Layout, keys: BootKeys, log: Log, net: NetCore | None = None) -> BootResult:
    """Run the bootloader once. Raises ``PowerCut`` when the power goes; calling again is the next boot.

    ``bus`` is the application core's flash, or all flashes that the layout names. ``net`` is the network core, which
    network images are handed over to; without it none is taken. ``ValueError`` for what no bootloader is built for: an
    image of the network core in a swap mode, security counters without a place for them.
    """
    if layout.network_image is not None and layout.mode is not SwapMode.OVERWRITE_ONLY:
        raise ValueError(f"no bootloader for layout {layout.name}: an image of the network core cannot be swapped")
    return Loader(bus, layout, keys, log, net).run()


class Loader:
    """One boot: what ``context_boot_go`` keeps in its state, and the checks that all images share."""

    def __init__(self, bus: Bus, layout: Layout, keys: BootKeys, log: Log, net: NetCore | None) -> None:
        self.bus, self.layout, self.keys, self.log, self.net = bus, layout, keys, log, net
        self.seconds = 0.0
        self.counters: SecurityCounters | None = None
        if keys.options.rollback_protection:
            if layout.otp is None:
                raise ValueError(f"layout {layout.name} has no memory for security counters")
            self.counters = SecurityCounters(bus.area(layout.otp), len(layout.images))
        numbers = range(len(layout.images))
        key_size = keys.saved_key_size
        self.pairs = [Pair(self, Slots.of(bus, layout, number, encrypted_key_size=key_size)) for number in numbers]

    def run(self) -> BootResult:
        """Finish or begin what the trailers ask for, then jump into the primary slot if that is valid."""
        self.log("I: Starting bootloader")
        try:
            self._prepare()
            for pair in self.pairs:
                pair.perform()
            return self._jump()
        except HaltError as halt:
            self.log(f'assertion "{halt}" failed')
            return self._result()

    def _prepare(self) -> None:
        """Find out for each image what there is to do; what depends on something that is not there is not done."""
        wanted = False
        for number, pair in enumerate(self.pairs):
            pair.prepare()
            self._review(self.pairs[:number], pair)
            wanted = wanted or pair.swap_type in UPGRADES
        if wanted and len(self.pairs) > 1 and not self._are_dependencies_met():
            for pair in self.pairs:
                pair.swap_type = SwapType.NONE

    def _review(self, earlier: Sequence[Pair], pair: Pair) -> None:
        """After a reset between two images of one update, the first is no candidate for a revert."""
        if pair.resumed or pair.swap_type not in (SwapType.NONE, SwapType.REVERT):
            for other in earlier:
                if other.swap_type is SwapType.REVERT:
                    other.swap_type = SwapType.NONE

    # --- dependencies ---

    def _are_dependencies_met(self) -> bool:
        """``boot_verify_dependencies``: True if each image that will run finds the others as new as it wants them."""
        try:
            return all(self._is_met(wanted) for pair in self.pairs for wanted in self._dependencies(pair))
        except FormatError:
            return False

    def _dependencies(self, pair: Pair) -> tuple[Dependency, ...]:
        if pair.swap_type in UPGRADES:
            return pair.secondary_image().dependencies
        try:
            return pair.slots.primary.image().dependencies
        except FormatError:
            return ()  # an empty slot wants nothing

    def _is_met(self, wanted: Dependency) -> bool:
        if wanted.image >= len(self.pairs):
            return False
        other = self.pairs[wanted.image]
        header = other.headers[1 if other.swap_type in UPGRADES else 0]
        return header is not None and version_number(header.version) >= version_number(wanted.version)

    # --- the checks ---

    def is_accepted(self, slots: Slots, role: Role, start: int = 0) -> bool:
        """Hash, signature, size and structure of the image in a slot, by the one judge."""
        slot = slots.primary if role == "primary" else slots.secondary
        try:
            image = slot.image(start)
        except FormatError:
            return False
        self.seconds += image.size_bytes / HASH_BYTES_PER_S + SIGNATURE_S * bool(self.keys.verifiers)
        if image.header.flags & COMPRESSED_FLAGS or not self._is_counter_high_enough(slots.image, image):
            return False
        if role == "secondary" and image.encrypted and self.content_key(image) is None:
            return False
        geometry = slots.secondary.geometry  # whichever slot it is in, it must fit where it comes from
        keys, build = self.keys, self.keys.build
        verdict = verify(image, keys.verifiers, enc_key=keys.decryption, slot=geometry, role=role, build=build)
        return all(finding.code in _UNSEEN for finding in verdict.refusals)

    def content_key(self, image: Image) -> bytes | None:
        """The key of an encrypted image; None when there is none that can be unwrapped."""
        key = self.keys.decryption
        if key is None or not image.encrypted:
            return None
        tlv = next((one for one in image.unprotected if opens(key, one)), image.encryption_key_tlv)
        if tlv is None:
            return None
        try:
            return unwrap_key(tlv, key, self.keys.content_key_size)
        except (FormatError, SigningError):
            return None

    # --- security counters ---

    def _is_counter_high_enough(self, number: int, image: Image) -> bool:
        if self.counters is None or number == self.layout.network_image:
            return True
        counter = image.security_counter
        return counter is not None and counter >= self.counters.read(number)

    def counter_of(self, slot: Slot, start: int = 0) -> int | None:
        """The security counter in the image in a slot; None when there is none."""
        try:
            return slot.image(start).security_counter
        except FormatError:
            return None

    def raise_counter(self, slots: Slots) -> None:
        """Remember the counter of the image in the primary slot; halts when there is no room for it."""
        counter = None if self.counters is None else self.counter_of(slots.primary)
        if self.counters is None or counter is None or slots.image == self.layout.network_image:
            return
        try:
            self.counters.raise_to(slots.image, counter)
        except CounterError:
            self.log("E: Security counter update failed after image upgrade.")
            raise HaltError("rc == 0") from None

    # --- the end ---

    def _jump(self) -> BootResult:
        """Check what is in the primary slots and start the application."""
        for pair in self.pairs:
            if not self._is_bootable(pair):
                self.log("E: Image in the primary slot is not valid!")
                self.log("E: Unable to find bootable image")
                return self._result()
        primary = self.pairs[0].slots.primary
        image, start = primary.image(), primary.area.region.start
        self.log(f"I: Bootloader chainload address offset: 0x{start:x}")
        version = image.header.version
        self.log(f"I: Image version: v{version.major}.{version.minor}.{version.revision}")
        self.log("I: Jumping to the first image slot")
        if image.reset_vector is None or image.reset_vector not in primary.area.region:
            return replace(self._result(), crashed=True)
        return replace(self._result(), running=RunningImage(image.header, image.hash or b""))

    def _is_bootable(self, pair: Pair) -> bool:
        """True if the image in the primary slot is good; that of the network core is not looked at."""
        if pair.is_network:
            return True
        slots = pair.slots
        if not self.is_accepted(slots, "primary"):
            return False
        trailer = slots.primary.trailer()
        if trailer.magic != "good" or trailer.image_ok == "set":
            self.raise_counter(slots)
        return True

    def _result(self) -> BootResult:
        return BootResult(
            None,
            tuple(pair.done for pair in self.pairs),
            swapped=any(pair.swapped for pair in self.pairs),
            net_updated=any(pair.net_updated for pair in self.pairs),
            seconds=self.seconds,
        )
