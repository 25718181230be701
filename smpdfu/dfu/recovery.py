"""MCUboot's serial recovery: how it is recognised, and which number an image has there.

In recovery the bootloader answers itself: a list without flags, one buffer, and uploads that go straight to where the
application runs from. It counts slots and not images (direct upload): 0 and 1 the application's primary slot, 2 its
secondary one, 3 the network core. Sources: MCUboot, serial_recovery.md; Nordic, serial recovery of the nRF5340.
"""

from __future__ import annotations

from smpdfu.dfu.package import Core, CoreImage
from smpdfu.dfu.state import DeviceState
from smpdfu.errors import PlanError
from smpdfu.smp.groups.os import ParamsReply

APPLICATION, SECONDARY, NETWORK = 1, 2, 3
"""Numbers of direct upload."""


def is_recovery(state: DeviceState, params: ParamsReply | None) -> bool:
    """True for the answers of a bootloader: it says of no image that it runs, knows no ``os info``, has one buffer."""
    flags = any(slot.active or slot.bootable or slot.confirmed for slot in state.slots)
    application = flags or state.board is not None or state.mode is not None
    return not application and (params is None or params.buf_count == 1)


def recovery_number(image: CoreImage, asked: int | None, *, force: bool = False) -> int:
    """The number to send ``image`` with; ``asked`` is what a person wants, None or 0: what fits its core.

    Raises PlanError where the wrong core would get it: without a number a network image overwrites the application.
    ``force`` goes on where it cannot be known, never where it is known to be wrong.
    """
    core = image.vector_core or (image.core if image.entry else None)
    if core is None and not asked and not force:
        raise PlanError(
            f"{image.file} does not show for which core it is (encrypted code, or linked for neither), and in serial "
            f"recovery the wrong one would be overwritten: nothing was written. Give -n {APPLICATION} for the "
            f"application, -n {NETWORK} for the network core"
        )
    if core is Core.NET and asked not in (None, 0, NETWORK):
        raise PlanError(
            f"{image.file} is for the network core and -n {asked} is a slot of the application, which it would "
            f"overwrite: nothing was written. Send it with -n {NETWORK}"
        )
    if core is Core.APP and asked == NETWORK:
        raise PlanError(
            f"{image.file} is for the application and -n {NETWORK} is the network core: nothing was written. "
            f"Send it with -n {APPLICATION}"
        )
    if asked:
        return asked
    return NETWORK if core is Core.NET else APPLICATION


def met_unasked() -> PlanError:
    """A device is in recovery, and nobody has said so."""
    return PlanError(
        "the device is in MCUboot's serial recovery, where an upload overwrites what runs, without a test and with no "
        "way back: nothing was written. Add --recovery if that is what you want, or restart it with `smpdfu reset`"
    )


def not_met() -> PlanError:
    """Recovery was asked for, and an application answers."""
    return PlanError(
        "the device runs its application and is not in serial recovery: nothing was written. Leave --recovery out, or "
        "hold the recovery button at a reset; `smpdfu reset --boot-mode 1` does it where the build knows boot modes"
    )
