"""What a device reports: its slots, its bootloader, the console text of its last boot. Nothing here writes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from smpdfu.client import Client
from smpdfu.dfu.bootloader_modes import ONE_SLOT
from smpdfu.dfu.decide.device_state import PRIMARY, SECONDARY, DeviceState, mode_of
from smpdfu.dfu.decide.evidence import NO_EVIDENCE, console_clue, mode_clue
from smpdfu.dfu.decide.serial_recovery import is_recovery, may_be_recovery
from smpdfu.errors import DeviceError
from smpdfu.loaders.console import read_boot
from smpdfu.smp.groups.enum import GroupCount
from smpdfu.smp.groups.image import ImageRc, SlotInfo, StateRead, StateReply, StateWrite
from smpdfu.smp.groups.os import ACTIVE_B0_SLOT, BootloaderInfo, DateTimeRead, Info, TaskStat
from smpdfu.smp.groups.stat import StatList
from smpdfu.smp.message import MgmtRc, Request, Response

APPLICATION_ONLY: tuple[Request[Any], ...] = (TaskStat(), StatList(), DateTimeRead(), GroupCount())
"""Harmless questions that no bootloader's recovery has an answer to (MCUboot, boot_serial.c)."""
R = TypeVar("R", bound=Response)


async def read_state(client: Client) -> DeviceState:
    """Ask the device for everything that a decision needs; what it does not know stays empty.

    Raises LinkError, and DeviceError if the device has no list of images and no bootloader beside which it needs none.
    """
    listed, refusal = await _list(client)
    sizes = await ask(client, SlotInfo())
    answer = await ask(client, BootloaderInfo("mode"))
    platform = await ask(client, Info("i"))
    mode = None if answer is None else mode_of(answer.mode)
    if refusal is not None and mode not in ONE_SLOT:
        raise refusal
    state = DeviceState(
        () if listed is None else listed.images,
        () if sizes is None else sizes.images,
        mode,
        bool(answer and answer.no_downgrade),
        platform.output.strip() if platform else None,
        evidence=NO_EVIDENCE.with_clues(mode_clue(mode)),
        lists_images=listed is not None,
    )
    state = with_console(client, state)
    return state if listed is None else replace(state, recovery=await _in_recovery(client, state, listed))


async def _list(client: Client) -> tuple[StateReply | None, DeviceError | None]:
    """The list of images, or the refusal of a device that has none. Raises LinkError, and DeviceError for others."""
    try:
        return await client.request(StateRead()), None
    except DeviceError as error:
        if not error.is_code(MgmtRc.ENOTSUP):
            raise
        return None, error


async def _in_recovery(client: Client, state: DeviceState, listed: StateReply) -> bool:
    """Does a bootloader answer? Where its answers do not tell, it is known by the commands that it lacks."""
    params = await client.params()
    if is_recovery(state, params):
        return True
    if not may_be_recovery(state, params) or not client.over_serial or listed.splitStatus is not None:
        return False
    for request in APPLICATION_ONLY:
        try:
            await client.request(request)
        except DeviceError as error:
            if error.is_code(MgmtRc.ENOTSUP):
                continue
        return False
    return True


async def read_unconfirmable(client: Client, state: DeviceState) -> frozenset[int]:
    """Those of the ``companions`` of a state whose confirmation the firmware denies.

    Asked by confirming what is confirmed, which changes nothing; what it does with the rest is not known. Raises
    LinkError.
    """
    denied: set[int] = set()
    for number in sorted(state.companions):
        used = state.in_use(number)
        if used is None or used.hash is None or not used.confirmed:
            continue
        try:
            await client.request(StateWrite(used.hash, confirm=True))
        except DeviceError as error:
            if error.is_code(ImageRc.IMAGE_CONFIRMATION_DENIED, StateRead.group):
                denied.add(number)
    return frozenset(denied)


async def read_b0_slot(client: Client, state: DeviceState) -> DeviceState:
    """The state with the device's answer to which MCUboot slot is active; it changes nothing. Raises LinkError."""
    answer = await ask(client, BootloaderInfo(ACTIVE_B0_SLOT))
    told = answer.active if answer is not None and answer.active in (PRIMARY, SECONDARY) else None
    return replace(state, b0=replace(state.b0, told=told))


def with_console(client: Client, state: DeviceState) -> DeviceState:
    """The state with what the console said in the last boot."""
    boot = read_boot(client.boot_text)
    return replace(state, boot=boot, evidence=state.evidence.with_clues(console_clue(boot)))


async def read_slots(client: Client, state: DeviceState) -> DeviceState:
    """The state with its list of images read anew, if the device has one. Raises LinkError or DeviceError."""
    if not state.lists_images:
        return state
    return replace(state, slots=(await client.request(StateRead())).images)


async def ask(client: Client, request: Request[R]) -> R | None:
    """The answer, or None where the device refuses: its build has no such command. Raises LinkError."""
    try:
        return await client.request(request)
    except DeviceError:
        return None
