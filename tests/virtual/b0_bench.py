"""A small nRF5340 with NSIB below MCUboot: states of S0 and S1, images of MCUboot, and boots until nothing changes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from smpdfu.image.format import Version
from smpdfu.image.keys.keys import PrivateKey, generate
from smpdfu.image.nsib.firmware_info import FirmwareInfo
from smpdfu.image.nsib.provision import CounterUse, Provision, Tokens, provision_for
from smpdfu.image.nsib.seal import seal
from smpdfu.loaders.releases import LATEST, Release
from smpdfu.loaders.rules import Loader
from smpdfu.virtual.boot.bootloader import BootKeys, BootOptions, BootResult
from smpdfu.virtual.boot.flashing import provision_b0
from smpdfu.virtual.boot.nsib.b0 import B0, find_info
from smpdfu.virtual.boot.nsib.chain import b0_of, start
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.flash import Area, PowerCut, Tear
from smpdfu.virtual.chip.layout import NRF5340DK_B0, Layout, Region, SlotPair
from smpdfu.virtual.chip.regions import NsibLayout

if TYPE_CHECKING:
    from tests.virtual.virtual_bench import HEADER, SECTOR, SIGNING, Bench, firmware
else:
    from virtual_bench import HEADER, SECTOR, SIGNING, Bench, firmware

SEALING, NEXT_SEALING, STRANGER = (generate("ecdsa-p256") for _ in range(3))
MCUBOOT_BYTES = 6000
MOST_BOOTS = 6


def b0_layout(mode: BootMode = BootMode.MOVE) -> Layout:
    """The DK's layout with slots of a few sectors: four for MCUboot, five for an application."""
    s0, s1 = (Region(f"s{number}", (1 + 4 * number) * SECTOR, 4 * SECTOR) for number in range(2))
    primary, secondary = (
        Region(name, (9 + 5 * number) * SECTOR, 5 * SECTOR) for number, name in enumerate(("primary", "secondary"))
    )
    scratch = Region("scratch", 19 * SECTOR, 2 * SECTOR)
    dk = NRF5340DK_B0.nsib
    assert dk is not None
    return replace(
        NRF5340DK_B0,
        name="small-b0",
        flash=Region("app flash", 0, 21 * SECTOR),
        mcuboot=s0,
        images=(SlotPair(primary, secondary),),
        mode=mode,
        scratch=scratch if mode is BootMode.SCRATCH else None,
        nsib=NsibLayout(Region("b0", 0, SECTOR), dk.provision, s0, s1),
    )


@dataclass(frozen=True)
class Mcuboot:
    """MCUboot for slot number ``slot`` (0 is S0), in a ``version`` that b0 compares and MCUboot's header has.

    ``signed`` is the major version in the header, if that is another. ``seal`` and ``sign`` are the keys of the two
    rounds; None leaves that one out. ``at`` is the address that it is linked for instead of the slot's. ``damaged`` is
    the byte of the firmware that is changed after sealing.
    """

    slot: int
    version: int
    signed: int | None = None
    seal: PrivateKey | None = SEALING
    sign: PrivateKey | None = SIGNING
    at: int | None = None
    damaged: int | None = None


class B0Bench(Bench):
    """The device. It has one provisioned key, and MCUboot in version 1 in S0; the application is version 1."""

    def __init__(
        self,
        mode: BootMode = BootMode.MOVE,
        release: Release = LATEST,
        *,
        keys: tuple[PrivateKey, ...] = (SEALING,),
        counter_slots: int = 8,
        options: BootOptions | None = None,
    ) -> None:
        options = replace(options or BootOptions(), loader=Loader(release))
        super().__init__(b0_layout(mode), BootKeys((SIGNING.public,), options=options))
        assert self.layout.nsib is not None
        self.nsib = self.layout.nsib
        found = b0_of(self.chip.bus, self.layout, self.keys, self.log.append)
        assert found is not None
        self.b0: B0 = found
        tokens = Tokens.NUMBERED if release.b0_of_2024 else Tokens.PLAIN
        public = [key.public for key in keys]
        starts = [slot.start for slot in self.nsib.slots]
        made = provision_for(starts[0], starts[1], public, counter_slots=counter_slots, tokens=tokens)
        provision_b0(self.chip, self.nsib, made)
        self.install(Mcuboot(0, 1))
        self.write("primary", self.app_image(1, 5000))

    # --- MCUboot ---

    def firmware_of(self, made: Mcuboot) -> bytes:
        """Firmware with firmware info, sealed as ``made`` says."""
        address = self.nsib.slots[made.slot].start + HEADER if made.at is None else made.at
        plain = firmware(made.version, address, MCUBOOT_BYTES)
        info = FirmwareInfo(size=len(plain), version=made.version, address=address).to_bytes()
        whole = plain[:0x200] + info + plain[0x200 + len(info) :]
        sealed = whole if made.seal is None else seal(whole, address, made.seal)
        if made.damaged is None:
            return sealed
        changed = bytes((sealed[made.damaged] ^ 0xFF,))
        return sealed[: made.damaged] + changed + sealed[made.damaged + 1 :]

    def image_of(self, made: Mcuboot) -> bytes:
        """The signed image of it, as it is uploaded."""
        major = made.version if made.signed is None else made.signed
        return self.image(self.firmware_of(made), key=made.sign, version=Version(major))

    def install(self, made: Mcuboot) -> None:
        """Write it into its slot, as a debugger does."""
        self.chip.load(self.area(made.slot), self.image_of(made))

    def send(self, made: Mcuboot, *, permanent: bool = False) -> None:
        """Upload it and mark it."""
        self.upload(self.image_of(made), permanent=permanent)

    # --- boots ---

    def boot(self) -> BootResult:
        """From a reset to the application."""
        self.chip.forget()
        return start(self.chip.bus, self.layout, self.keys, self.log.append, self.net)

    def settle(self) -> BootResult:
        """Boot until a boot leaves all flash as it was."""
        for _ in range(MOST_BOOTS):
            before = self.contents()
            found = self.boot()
            if self.contents() == before:
                return found
        raise AssertionError("every boot changes the flash")

    def boot_cut(self, *cuts: int, tear: Tear = Tear.LOWER) -> None:
        """Boot once for each of ``cuts``, and lose the power at that flash operation, if the boot comes so far."""
        for cut in cuts:
            self.chip.power.cut_after, self.chip.power.tear = cut, tear
            try:
                self.boot()
            except PowerCut:
                continue
            finally:
                self.chip.power.cut_after = None

    # --- what is there ---

    def contents(self) -> dict[str, dict[int, bytes]]:
        """All flash, as ``restore`` takes it."""
        return {name: dict(flash.pages()) for name, flash in self.chip.flashes.items()}

    def restore(self, contents: dict[str, dict[int, bytes]]) -> None:
        """Make all flash what it was."""
        for name, flash in self.chip.flashes.items():
            flash.load(contents[name])

    def area(self, slot: int) -> Area:
        """S0 or S1."""
        return self.b0.slots[slot]

    def version(self, slot: int) -> int | None:
        """The version that b0 finds in a slot; None without firmware info."""
        info = find_info(self.area(slot))
        return None if info is None else info.version

    @property
    def data(self) -> Provision:
        """What b0 is provisioned with now."""
        return self.b0.storage.read()

    @property
    def counted(self) -> int:
        """The lowest version that b0 starts."""
        counter = self.data.counter(CounterUse.NSIB)
        return 0 if counter is None else counter.current >> 1

    @property
    def refusals(self) -> tuple[str | None, str | None]:
        """Why b0 would not start what is in S0, and in S1."""
        return self.b0.check(0, self.data).refusal, self.b0.check(1, self.data).refusal
