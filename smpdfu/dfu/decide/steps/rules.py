"""The steps of an update, and in which order they come: tables by the way in which a device is updated, and nowhere
else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from smpdfu.dfu import bootloader_modes
from smpdfu.dfu.decide.device_state import DeviceState, Scheme
from smpdfu.dfu.decide.steps.actions import Action as Action
from smpdfu.dfu.decide.steps.actions import Policy as Policy
from smpdfu.dfu.package.images import Core, PackageImage, Role
from smpdfu.dfu.package.package import Package
from smpdfu.smp.groups.os import BootloaderMode

_WORDS = {
    Action.UPLOAD: "upload {image}",
    Action.TEST: "mark {image} for the next boot",
    Action.KEEP: "mark {image} as permanent",
    Action.RESET: "reset the device and wait for it",
    Action.CHECK: "check {place}",
    Action.CONFIRM: "confirm {runs}",
    Action.ENTER_LOADER: "restart the device into its firmware loader",
    Action.ENTER_RECOVERY: "restart the device into MCUboot's serial recovery",
}

MARKS = (Action.TEST, Action.KEEP)
ENTERS = (Action.ENTER_LOADER, Action.ENTER_RECOVERY)
BOOTS = frozenset({Action.RESET, *ENTERS})
"""Images that need one of these in a row need it once."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step; its ``name`` is what the journal writes. ``number`` tells images of the role OTHER apart."""

    action: Action
    role: Role
    number: int = 0

    @property
    def core(self) -> Core:
        """The core whose firmware it is about."""
        return self.role.core

    @property
    def name(self) -> str:
        """``upload app``, ``upload other 3``."""
        return f"{self.action} {self.role} {self.number}" if self.number else f"{self.action} {self.role}"

    @property
    def part(self) -> str:
        """The image that it is about, as ``PackageImage.part``: ``app``, ``other 3``."""
        return self.name.partition(" ")[2]

    @property
    def words(self) -> str:
        """For people: ``upload the image of the application core``."""
        place, image = f"the {self.core.words}", f"the image of the {self.core.words}"
        if self.role not in (Role.APP, Role.NET):
            place = image = _PARTS.get(self.role, f"image {self.number}")
        if self.role is Role.MCUBOOT and self.action is Action.CHECK:
            place = "which MCUboot runs"
        runs = "the image that runs" if self.role is Role.APP else image
        return _WORDS[self.action].format(image=image, place=place, runs=runs)


_PARTS = {Role.EXTERNAL: "the half of the application in external flash", Role.MCUBOOT: "the image of MCUboot itself"}


def step_of(action: Action, image: PackageImage) -> Step:
    """The step that does this with the image."""
    return Step(action, image.role, image.image_index if image.role is Role.OTHER else 0)


def _steps(text: str) -> tuple[Step, ...]:
    words = (part.split() for part in text.split(","))
    return tuple(Step(Action(action), Role(role)) for action, role in words)


# The order is the rule.
#
# STAGED: one image pair, through which both cores' images pass.
# 1. The application core goes first, on trial: it is the one that can be rolled back, so nothing else changes before it
#    runs. The check reads the running hash: a device that reverted answers just as well.
#    (MCUboot, "Image swapping": an image that is not confirmed is swapped back at the next reset.)
# 2. It is confirmed before the network core's image is uploaded: both pass through the one secondary slot, and until
#    the confirmation that slot holds the way back. (Zephyr, img_mgmt: the slot is not free during a trial.)
# 3. The network core's image is marked for a test, too. Its reset hands it over permanently whatever the mark is (nRF
#    Connect SDK, subsys/pcd); but should the bootloader take it for an application image, a test is swapped back.
#
# SIMULTANEOUS: a pair for each core and a bootloader that overwrites, so there is no way back for either.
# 4. Nothing is marked before both images are there: a reset in between must not change one core alone.
# 5. The network core's image is marked before the application's, then comes one reset for both: with the other order
#    bootloaders of nRF Connect SDK 2.6 to 3.4 skip the network core (NCSDK-34106).
# 6. A mark for a test, as a permanent one, means "at the next boot"; many builds deny the latter for image 1 (Zephyr,
#    CONFIG_MCUMGR_GRP_IMG_ALLOW_CONFIRM_NON_ACTIVE_IMAGE_*), because it is not the running one.
STAGED = _steps("upload app, test app, reset app, check app, confirm app, upload net, test net, reset net, check net")
SIMULTANEOUS = _steps(
    "upload net, upload app, test net, test app, reset net, reset app, check app, confirm app, check net"
)

# MCUBOOT: the bootloader's update of itself, where b0 (NSIB) starts it from one of two slots. MCUboot copies the image
# from the application's secondary slot into the slot from which it does not run.
# 7. It goes last: it has no way back, so all that has one was found to be well before; and it needs the secondary slot,
#    which is free when the application is confirmed and the network core has its image. MCUboot checks its signature as
#    that of every image, with the keys of the MCUboot that runs: what only the new MCUboot accepts needs an update of
#    its own after this one.
# 8. It is marked for a test. MCUboot takes either mark alike (nrfconnect/sdk-mcuboot, ``nsib_swap_run``); but should a
#    bootloader without b0 take the image for an application, a test is swapped back.
MCUBOOT = _steps("upload mcuboot, test mcuboot, reset mcuboot, check mcuboot")

# DIRECT_XIP and RAM_LOAD: the bootloader starts the highest version, from the slot where it lies or from RAM, and takes
# no marks. There is no trial, and no way back but a still higher version. (MCUboot, docs/design.md, "Direct XIP",
# "RAM loading")
#
# DIRECT_XIP_REVERT: as the application's half of STAGED, but that a trial which is not confirmed is erased at the next
# boot, and the image in the other slot starts. (MCUboot, docs/design.md, "Revert mechanism in direct XIP mode")
HIGHEST_VERSION = _steps("upload app, reset app, check app")

# FIRMWARE_LOADER, SERIAL_RECOVERY: the upload replaces the application, which does not run meanwhile. There is no trial
# and no way back. A device that is there already is not restarted first.
# 9. While the application's slot does not hold a whole image, the loader or recovery starts by itself (MCUboot,
#    CONFIG_BOOT_FIRMWARE_LOADER_NO_APPLICATION, CONFIG_BOOT_SERIAL_NO_APPLICATION; else by a button), so that an upload
#    which was interrupted is begun anew.
# 10. In recovery the network core's image and what goes with the application go first. Their first piece shows whether
#    the bootloader has a number for them, before anything is erased: only those built with direct upload do. Until the
#    application's own upload begins, the old application still starts.
# 11. The bootloader hands the network core's image over when it has answered the last piece. It copies while the
#    application is sent, and refuses the reset until it is done (EBUSY): the power must stay on. (NCSDK-11308)
FIRMWARE_LOADER = _steps("enter-loader app, upload app, reset app, check app")
SERIAL_RECOVERY = _steps(
    "enter-recovery net, enter-recovery app, upload net, upload app, reset net, reset app, check app, check net"
)


class Method(StrEnum):
    """How an image comes to run: the two schemes of a bootloader that swaps or overwrites, else its mode."""

    STAGED = "staged"
    SIMULTANEOUS = "simultaneous"
    DIRECT_XIP = "direct-xip"
    DIRECT_XIP_REVERT = "direct-xip-revert"
    RAM_LOAD = "ram-load"
    FIRMWARE_LOADER = "firmware-loader"
    SERIAL_RECOVERY = "serial-recovery"


_METHODS = {
    BootloaderMode.DIRECT_XIP: Method.DIRECT_XIP,
    BootloaderMode.DIRECT_XIP_WITH_REVERT: Method.DIRECT_XIP_REVERT,
    BootloaderMode.RAM_LOAD: Method.RAM_LOAD,
    BootloaderMode.FIRMWARE_LOADER: Method.FIRMWARE_LOADER,
    BootloaderMode.SINGLE_APP: Method.SERIAL_RECOVERY,
    BootloaderMode.SINGLE_APP_RAM_LOAD: Method.SERIAL_RECOVERY,
}
NO_MARKS = frozenset(_METHODS[mode] for mode in bootloader_modes.NO_MARKS)
"""The highest version starts, whatever is marked."""
RUNS_IN_BOTH_SLOTS = frozenset(_METHODS[mode] for mode in bootloader_modes.RUNS_IN_BOTH_SLOTS)
"""An image runs in the slot where it lies, for which it must be linked."""
REPLACES = frozenset({Method.FIRMWARE_LOADER, Method.SERIAL_RECOVERY})
"""The upload is written over the application."""

UPLOADS_RUN = REPLACES | NO_MARKS | RUNS_IN_BOTH_SLOTS
"""An image that was only uploaded may run after any reset."""

RULES: Mapping[tuple[Method, Policy], tuple[Step, ...]] = {
    (Method.STAGED, Policy.TEST_AND_CONFIRM): (*STAGED, *MCUBOOT),
    (Method.STAGED, Policy.CONFIRM_ONLY): (*_steps("upload app, keep app"), *STAGED[2:], *MCUBOOT),
    (Method.STAGED, Policy.UPLOAD_ONLY): _steps("upload app, upload net, upload mcuboot"),
    (Method.SIMULTANEOUS, Policy.TEST_AND_CONFIRM): (*SIMULTANEOUS, *MCUBOOT),
    (Method.SIMULTANEOUS, Policy.CONFIRM_ONLY): (*SIMULTANEOUS, *MCUBOOT),
    (Method.SIMULTANEOUS, Policy.UPLOAD_ONLY): (*SIMULTANEOUS[:2], *MCUBOOT[:1]),
    (Method.DIRECT_XIP_REVERT, Policy.TEST_AND_CONFIRM): STAGED[:5],
    (Method.DIRECT_XIP_REVERT, Policy.CONFIRM_ONLY): (*_steps("upload app, keep app"), *STAGED[2:5]),
    (Method.DIRECT_XIP_REVERT, Policy.UPLOAD_ONLY): STAGED[:1],
    **{
        (method, policy): HIGHEST_VERSION[:1] if policy is Policy.UPLOAD_ONLY else HIGHEST_VERSION
        for method in NO_MARKS
        for policy in Policy
    },
    **{(Method.FIRMWARE_LOADER, policy): FIRMWARE_LOADER for policy in Policy},
    **{(Method.SERIAL_RECOVERY, policy): SERIAL_RECOVERY for policy in Policy},
}

# What goes with the application in the same boot, through an image pair of its own. It is sent, marked and confirmed
# before the application: a dependency on the application's new version makes it wait for that one's mark, and go back
# with it (``do/parts``). Where the pair can revert, both do.
COMPANIONS = frozenset({Role.EXTERNAL, Role.OTHER})
_BEFORE = frozenset({Action.UPLOAD, *MARKS, *BOOTS, Action.CONFIRM})


def method_of(state: DeviceState) -> Method:
    """How an image comes to run on this device."""
    if state.recovery or (state.by_recovery and state.mode is not BootloaderMode.FIRMWARE_LOADER):
        return Method.SERIAL_RECOVERY
    return _METHODS.get(BootloaderMode.UNKNOWN if state.mode is None else state.mode, Method(state.scheme))


def activates(step: Step, method: Method) -> bool:
    """Return whether the image may run from the moment at which this step begins."""
    return step.action is not Action.UPLOAD or method in UPLOADS_RUN


def settles(step: Step, steps: Sequence[Step]) -> bool:
    """Return whether it is settled which image runs, when this step of a plan is done: the last one that looks."""
    looks = [one for one in steps if one.part == step.part and one.action in (Action.CHECK, Action.CONFIRM)]
    return looks[-1:] == [step]


def rules_of(package: Package, state: DeviceState, policy: Policy) -> tuple[Step, ...]:
    """All steps for the images of a package on this device, with those that are done already."""
    method = method_of(state)
    # A firmware loader writes the application's slot; where it would put anything else is not known.
    companions = [
        image for image in package.images if image.role in COMPANIONS and method is not Method.FIRMWARE_LOADER
    ]
    return tuple(part for step in RULES[method, policy] for part in _with(step, companions))


def left_out(package: Package, state: DeviceState) -> tuple[PackageImage, ...]:
    """The images of a package for which there are no steps on this device."""
    known = {step.role for step in rules_of(package, state, Policy.TEST_AND_CONFIRM)}
    return tuple(image for image in package.images if image.role not in known)


def _with(step: Step, companions: Sequence[PackageImage]) -> tuple[Step, ...]:
    """A step of the application with the same for what goes with it."""
    if step.role is not Role.APP:
        return (step,)
    more = tuple(step_of(step.action, image) for image in companions)
    return (*more, step) if step.action in _BEFORE else (step, *more)


def image_number(image: PackageImage, scheme: Scheme) -> int:
    """MCUboot's number of the image pair through which an image goes."""
    if image.role in COMPANIONS:
        return image.image_index
    return 1 if image.role is Role.NET and scheme is Scheme.SIMULTANEOUS else 0


def is_used(image: PackageImage, state: DeviceState) -> bool:
    """True if the image lies where it is used: for the application, if it runs."""
    there = state.in_use(image_number(image, state.scheme))
    return there is not None and there.hash is not None and there.hash == image.hash
