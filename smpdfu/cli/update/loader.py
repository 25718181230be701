"""Which bootloader a device may have: for people and for ``--json``."""

from __future__ import annotations

from typing import Any

from smpdfu.dfu.decide.device_state import DeviceState, mode_of
from smpdfu.dfu.decide.evidence import application_bounds, names


def loader_data(state: DeviceState) -> dict[str, Any]:
    """``candidates`` by name, ``words`` for them, the ``clues`` with their sources, and the ``application``'s bounds.

    SMP answers come from the application, so they bound its release and not that of the bootloader.
    """
    evidence = state.evidence
    longest = max((len(slot.hash) for slot in state.slots if slot.hash is not None), default=0)
    return {
        "candidates": names(evidence.loaders),
        "words": evidence.words or "any that smpdfu knows",
        "contradicts": evidence.contradicts,
        "clues": [
            {"source": clue.source, "text": clue.text, "candidates": names(clue.loaders)} for clue in evidence.clues
        ],
        "application": list(application_bounds(state.mode, has_slot_info=bool(state.sizes), longest_hash=longest)),
    }


def loader_facts(found: dict[str, Any]) -> list[tuple[str, object]]:
    """The same, a fact a line."""
    facts: list[tuple[str, object]] = [("bootloader from", found["words"])]
    facts += [("because", f"{clue['text']} ({clue['source']})") for clue in found["clues"]]
    if found["contradicts"]:
        facts.append(("but", "these facts contradict each other, so each of them counts"))
    if not found["clues"]:
        facts.append(("because", "the device does not report it: read the serial console with --reset, or give --ncs"))
    return facts + [("application from", bound) for bound in found["application"]]


def mode_name(number: int | None) -> str | None:
    """How the bootloader updates, in words; None if it did not tell."""
    mode = mode_of(number)
    if mode is None:
        return None
    return mode.name.lower().replace("_", " ") if mode == number else f"mode {number}"
