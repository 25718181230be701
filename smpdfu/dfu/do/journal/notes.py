"""What an update notes in its journal beside its steps: of the package when it begins, and what the steps showed."""

from __future__ import annotations

from typing import Any

from smpdfu.dfu.decide.device_state import DeviceState, Past
from smpdfu.dfu.decide.evidence import Clue, Source
from smpdfu.dfu.decide.record import B0_BEFORE, WAY
from smpdfu.dfu.decide.steps.replacing import way_of
from smpdfu.dfu.decide.steps.rules import Policy
from smpdfu.dfu.do.journal.journal import Journal, off_loop
from smpdfu.dfu.package.images import Role
from smpdfu.dfu.package.package import Package


def about_of(package: Package, state: DeviceState, policy: Policy) -> dict[str, Any]:
    """What a later update will want to know of this one. What is only sent says nothing of the bootloader."""
    if policy is Policy.UPLOAD_ONLY:
        return {}
    net = package.image(Role.NET)
    address = None if net is None else net.code_address
    about = {"net_address": address, WAY: way_of(state), B0_BEFORE: state.b0.before}
    return Past.of(package).to_entry() | {key: value for key, value in about.items() if value is not None}


async def note_clue(journal: Journal, clue: Clue) -> None:
    """Note what the console or the device's behaviour says of the bootloader."""
    if clue.source in (Source.CONSOLE, Source.BEHAVIOUR):
        await off_loop(journal.note, clue.to_entry())


async def note_step(journal: Journal, before: DeviceState, now: DeviceState) -> DeviceState:
    """``now``, when the journal has what a step showed of the bootloader and proved, before anything follows."""
    for clue in now.evidence.clues[len(before.evidence.clues) :]:
        await note_clue(journal, clue)
    for name, was, proof in (("proof", before.proof, now.proof), ("mcuboot_proof", before.b0.proof, now.b0.proof)):
        if proof is not None and proof != was:
            await off_loop(journal.note, {name: proof.to_entry()})
    return now
