"""What the production line does with NSIB on the application core: keys and counter into OTP, MCUboot into its slot."""

from __future__ import annotations

from collections.abc import Sequence

from smpdfu.image.keys.keys import PublicKey, Signer, generate
from smpdfu.image.nsib.provision import Counter, CounterUse, Provision, provision_for
from smpdfu.virtual.boot.flashing import flash_mcuboot, provision_b0
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.store.sample_firmware import mcuboot_image


def install_b0(
    device: VirtualNrf5340, keys: Sequence[PublicKey], mcuboot: bytes | None, seal_key: Signer | None, slots: int
) -> None:
    """Provision b0 of a device with ``keys`` and a counter of ``slots``, and write MCUboot where it is linked for.

    Without keys, b0 checks the hash only (a real one would start nothing). Without MCUboot, a sample is written into
    S0, sealed with ``seal_key`` or else with a key that nobody has. Raises ``ValueError`` for a device without NSIB,
    ``FormatError``, ``TooLargeError``, ``SigningError`` for keys that b0 cannot have.
    """
    nsib = device.layout.nsib
    if nsib is None or device.b0 is None:
        raise ValueError(f"layout {device.layout.name} has no b0")
    s0, s1 = (slot.start for slot in nsib.slots)
    tokens, room = device.b0.storage.tokens, nsib.provision.size_bytes
    if keys:
        data = provision_for(s0, s1, keys, counter_slots=slots, tokens=tokens, max_bytes=room)
    else:
        counters = (Counter(CounterUse.NSIB, slots),) if slots else ()
        data = Provision(s0, s1, counters=counters, tokens=tokens)
    provision_b0(device.chip, nsib, data)
    flash_mcuboot(device.chip, nsib, mcuboot or mcuboot_image(1, nsib.s0, seal_key or generate("ecdsa-p256"), None))
