"""What ``upload`` says before it begins: what will happen behind the upload. Pure; ``one_image`` decides it."""

from __future__ import annotations

from smpdfu.dfu.decide.device_state import DeviceState, Scheme
from smpdfu.dfu.decide.one_image import Job, Left, Way, why_no_marks, why_no_test
from smpdfu.dfu.package.images import Core, PackageImage
from smpdfu.dfu.package.seals import is_mcuboot


def announcement(job: Job, image: PackageImage, state: DeviceState) -> str:
    """What will happen behind the upload, to be said before it; "" where nothing more will, or a finding says it."""
    if is_mcuboot(image):
        return "" if state.b0.active is not None else _PERHAPS_NO_B0
    match job.way:
        case Way.UPLOAD:
            return ""
        case Way.TEST:
            why = why_no_test(image, state, job)
            return (
                f"a reset cannot take this mark back: {why}. The next reset installs the image permanently"
                if why
                else ""
            )
        case Way.TRIAL if job.left is Left.STARTED and state.running is not None and state.running.hash == image.hash:
            return "the image runs on trial: it must answer, then it is confirmed"
        case Way.TRIAL if image.core is Core.NET:
            return "the device restarts and hands the image to the network core"
        case Way.TRIAL:
            tried = "on trial: the device restarts, the image must run and answer, then it is confirmed"
            return tried if state.can_revert else f"{tried}. {_UNKNOWN}"
        case Way.PERMANENT:
            return (
                f"this device cannot try an image first ({_why_no_trial(state)}). The new image will be permanent and "
                "cannot be rolled back. Then the device restarts"
            )
        case Way.HIGHER_VERSION:
            return (
                f"the bootloader {why_no_marks(state)} and cannot try an image first: it starts the higher version at "
                "the next reset. After the upload the device restarts, and the running image is checked"
            )
        case Way.ONE_SLOT:
            return (
                "the firmware loader answers: the upload replaces the application, with no way back. Then the device "
                "restarts, and the running image is checked"
            )


_PERHAPS_NO_B0 = (
    "the device does not report a slot of MCUboot's own: if it has no b0 (NSIB), its bootloader takes MCUboot for an "
    "application, and the device does not start with it"
)
_UNKNOWN = (
    "The device does not tell how its bootloader updates: if that overwrites, the image cannot be rolled back; the "
    "restart shows it"
)


def _why_no_trial(state: DeviceState) -> str:
    if state.can_revert is False:
        return "its bootloader overwrites"
    two_pairs = state.scheme is Scheme.SIMULTANEOUS
    return "it has an image pair for each core" if two_pairs else "its slot is the one that the bootloader boots"
