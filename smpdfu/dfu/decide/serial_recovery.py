"""MCUboot's serial recovery: how it is recognised, and which number an image has there.

In recovery the bootloader answers itself, on a serial line, and writes straight to where the application runs from.
What an image number means depends on how it was built:

    number    with direct upload               without (MCUboot's default)
    --------  -------------------------------  ------------------------------------------------------------------
    0, none   the application's slot           the application's slot
    1         the application's slot           refused; where there are two image pairs, RAM, and nothing comes of it
    2         its secondary slot               refused
    3         the network core                 refused

Slot info, where it is built in, tells which it is: the first slot has the number 1 with direct upload, else 0. The
bootloader hands the network core's image over when it has answered the last chunk, and refuses a reset until that is
done. Sources: MCUboot, serial_recovery.md and boot_serial.c; nRF Connect SDK, serial recovery of the nRF5340.
"""

from __future__ import annotations

from collections.abc import Sequence

from smpdfu.dfu.decide.device_state import DeviceState
from smpdfu.dfu.decide.one_image import WHICH_IMAGE
from smpdfu.dfu.package.images import Core, PackageImage, Role
from smpdfu.errors import DeviceError, PlanError
from smpdfu.smp.groups.image import SlotInfoImage
from smpdfu.smp.groups.os import ParamsReply
from smpdfu.smp.message import MgmtRc

DEFAULT, APPLICATION, SECONDARY, NETWORK = 0, 1, 2, 3
"""Image numbers; all but the first are those of direct upload."""
COPY_S = 30.0
"""How long the power must stay on after the network core's image was sent (nRF Connect SDK, NCSDK-11308)."""
KEEP_POWER = f"do not switch the device off for {COPY_S:g} s"
_NO_SUCH_NUMBER = (MgmtRc.EINVAL, MgmtRc.ENOENT)


def is_recovery(state: DeviceState, params: ParamsReply | None) -> bool:
    """True for answers that only a bootloader gives: those of ``may_be_recovery``, and a list without flags."""
    flags = any(slot.active or slot.bootable or slot.confirmed or slot.pending for slot in state.slots)
    return may_be_recovery(state, params) and not flags


def may_be_recovery(state: DeviceState, params: ParamsReply | None) -> bool:
    """False for answers that only an application gives: it knows ``os info`` or its bootloader, or has more buffers.

    A bootloader that was built with the state of images lists flags, as an application with very few commands does.
    """
    return state.board is None and state.mode is None and (params is None or params.buf_count == 1)


def has_direct_upload(sizes: Sequence[SlotInfoImage]) -> bool | None:
    """Was the bootloader built with direct upload, by its slot info? None if that does not tell."""
    slots = [slot for info in sizes if info.image == 0 for slot in info.slots]
    first = next((slot for slot in slots if slot.slot == 0), None)
    # A build with one slot numbers it 1 either way.
    if first is None or first.upload_image_id is None or (len(slots) == 1 and first.upload_image_id != DEFAULT):
        return None
    return first.upload_image_id != DEFAULT


def recovery_number(image: PackageImage, asked: int | None, *, direct: bool | None = None, force: bool = False) -> int:
    """The number to send ``image`` with; ``asked`` is what a person wants, None: what fits its core.

    ``direct``: whether the bootloader has direct upload, None if that is not known. Raises PlanError where the wrong
    core would get it (without a number a network image overwrites the application), and where the bootloader has no way
    to the network core. ``force`` goes on where it cannot be known, never where it is known to be wrong.
    """
    core = image.vector_core or (image.core if image.entry else None)
    if core is None and asked is None and not force:
        raise PlanError(
            f"{image.file} does not show for which core it is (encrypted code, or linked for neither), and serial "
            f"recovery would overwrite the wrong one: nothing was written. Choose image {DEFAULT} for the application, "
            f"image {NETWORK} for the network core"
        ).because(WHICH_IMAGE, numbers=f"{DEFAULT} {NETWORK}")
    if core is Core.NET and asked not in (None, NETWORK):
        raise PlanError(
            f"{image.file} is for the network core and image {asked} is a slot of the application, which it would "
            f"overwrite: nothing was written. Send it to image {NETWORK}"
        ).because(WHICH_IMAGE, numbers=str(NETWORK))
    if core is Core.APP and asked == NETWORK:
        raise PlanError(
            f"{image.file} is for the application and image {NETWORK} is the network core: nothing was written. "
            f"Send it to image {DEFAULT}"
        ).because(WHICH_IMAGE, numbers=str(DEFAULT))
    number = (NETWORK if core is Core.NET else DEFAULT) if asked is None else asked
    if number == APPLICATION and direct is False:
        return DEFAULT  # the slot that is meant
    if number > APPLICATION and direct is False:
        text = f"{_no_number(image, number)}: nothing was written. {_instead(number)}"
        raise PlanError(text).because(_no_direct_upload(number))
    return number


def package_number(image: PackageImage) -> int:
    """The number of an image of a package, whose role is known; all but the application's need direct upload."""
    return DEFAULT if image.role is Role.APP else 2 * (1 if image.role is Role.NET else image.image_index) + 1


def no_number_in_package(image: PackageImage) -> PlanError:
    """A bootloader refused the number of an image of a package, before anything was written."""
    return PlanError(
        f"the bootloader's serial recovery does not take {image.file} as image {package_number(image)}: it has no "
        "direct upload, or no such image, or the image is too large. Nothing was written. Install the application "
        "alone, or build the bootloader with CONFIG_MCUBOOT_SERIAL_DIRECT_IMAGE_UPLOAD"
    ).because("recovery-number")


def no_such_number(image: PackageImage, number: int, error: DeviceError) -> DeviceError:
    """What a refused first chunk means: ``error`` with the reason, where the number may be it; nothing was written."""
    if number == DEFAULT or error.group is not None or error.rc not in _NO_SUCH_NUMBER:
        return error
    why = f"{_no_number(image, number)}, or the image is too large; nothing was written. {_instead(number)}"
    explained = DeviceError(error.group, error.rc, error.command, name=error.name, reason=why, explained=True)
    return explained.because(_no_direct_upload(number))


def _no_direct_upload(number: int) -> str:
    """The code of an error for a number that the bootloader does not know."""
    return "no-direct-upload-net" if number == NETWORK else "no-direct-upload"


def _no_number(image: PackageImage, number: int) -> str:
    to = "the network core" if number == NETWORK else f"number {number}"
    return f"the bootloader's serial recovery has no direct upload and cannot write {image.file} to {to}"


def _instead(number: int) -> str:
    if number == NETWORK:
        return "Start the application and update the network core through it, or write it with a debugger"
    return "Without a number the image goes to the application's slot"


def met_unasked() -> PlanError:
    """A device is in recovery, and nobody has said so."""
    return PlanError(
        "the device is in MCUboot's serial recovery, where an upload overwrites what runs, without a test and with no "
        "way back: nothing was written. Ask for serial recovery if that is what you want, or restart the device"
    ).because("recovery-not-asked")


def not_met() -> PlanError:
    """Recovery was asked for, and an application answers."""
    return PlanError(
        "the device runs its application and is not in serial recovery: nothing was written. Upload the image without "
        "serial recovery, or hold the recovery button at a reset"
    ).because("not-in-recovery")
