"""What has an image run that ``upload`` only sent or marked. Pure; see ``one_image`` for how it comes to run."""

from __future__ import annotations

from enum import StrEnum

from smpdfu.dfu.decide.device_state import SECONDARY, DeviceState, version_of
from smpdfu.dfu.decide.one_image import NO_MARK_MODES, ONE_SLOT_MODES, REVERTING_MODES, Job, Way, why_no_test
from smpdfu.dfu.package.images import PackageImage
from smpdfu.image.format import counted
from smpdfu.smp.groups.os import BootloaderMode


class NextStep(StrEnum):
    """What has an image run that was only sent or marked.

    RESET_TRIES: a reset starts it on trial, then it is to be confirmed. RESET_INSTALLS: a reset installs it, with no
    way back. RESET_STARTS: a reset starts it. RESET_STARTS_HIGHER: so, because its version is the highest. TOO_OLD: it
    does not start, because another one has a higher version. MARK: it is to be marked for a test. INSTALL: the same
    call with ``test`` or ``confirm`` marks it, as far as the device takes marks. RUNS_ALREADY: nothing is left to do.
    """

    RESET_TRIES = "reset-tries"
    RESET_INSTALLS = "reset-installs"
    RESET_STARTS = "reset-starts"
    RESET_STARTS_HIGHER = "reset-starts-higher"
    TOO_OLD = "too-old"
    MARK = "mark"
    INSTALL = "install"
    RUNS_ALREADY = "runs-already"


def marked(image: PackageImage, state: DeviceState, job: Job) -> NextStep:
    """What follows for an image that was marked for a test."""
    return NextStep.RESET_INSTALLS if why_no_test(image, state, job) else NextStep.RESET_TRIES


def starts_unmarked(image: PackageImage, state: DeviceState, job: Job) -> bool:
    """Return whether a reset may start an image that was only sent, as far as the device tells how it updates."""
    by_itself = job.way in (Way.HIGHER_VERSION, Way.ONE_SLOT) or state.mode in REVERTING_MODES
    next_step = how_to_start(image, state, job)
    return by_itself or next_step in (NextStep.RESET_STARTS, NextStep.RESET_STARTS_HIGHER)


def how_to_start(image: PackageImage, state: DeviceState, job: Job) -> NextStep:
    """What follows for an image that was only sent, as far as that can work on this device."""
    if job.image == 0 and state.running is not None and state.running.hash == image.hash is not None:
        return NextStep.RUNS_ALREADY
    if state.mode in ONE_SLOT_MODES:
        return NextStep.RESET_STARTS
    runs_from_other = (
        state.mode not in REVERTING_MODES and state.running is not None and state.running.slot == SECONDARY
    )
    if state.mode in NO_MARK_MODES or (job.image == 0 and runs_from_other):
        there = None if state.running is None else version_of(state.running)
        if there is not None and counted(image.image.header.version) <= counted(there):
            return NextStep.TOO_OLD
        return NextStep.RESET_STARTS_HIGHER
    if state.mode in (None, BootloaderMode.UNKNOWN):  # perhaps one that takes no marks
        return NextStep.INSTALL
    return NextStep.MARK
