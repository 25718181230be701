"""Mark, confirm or erase what is in a slot of a device, and restart a device where that changes nothing.

Each function looks at the device first, and refuses what would do harm or have no effect. Each asks again, right before
it writes, whether it is still the same device.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path

from smpdfu.client import ERASE_TIMEOUT_S, Client
from smpdfu.dfu.decide.active_slot import wrong_active_slot
from smpdfu.dfu.decide.checks.findings import refusal
from smpdfu.dfu.decide.device_state import SECONDARY, DeviceState, version_of
from smpdfu.dfu.decide.one_image import fallback_during_trial
from smpdfu.dfu.decide.steps.rules import Action, Step
from smpdfu.dfu.do.image_entries import running_hash
from smpdfu.dfu.do.journal.updates import UploadLine
from smpdfu.dfu.do.journal.uploads import UploadJournal
from smpdfu.dfu.do.one_image_steps import restart_alone
from smpdfu.dfu.do.same_device import SameDevice
from smpdfu.dfu.do.state_reading import ask, read_slots, read_state
from smpdfu.dfu.do.steps import DEADLINES, Deadlines, confirm, mark
from smpdfu.dfu.package.image_record import ImageRecord
from smpdfu.dfu.package.images import Role
from smpdfu.errors import PlanError
from smpdfu.smp.groups.image import Erase, ImageSlot, StateRead, StateWrite

HASH_SIZES = (32, 48, 64)
"""Bytes of the hashes that an image can have: SHA-256, SHA-384, SHA-512."""
HASH_DIGITS_MIN = 4
UNTESTED = "nobody has tested this image: after the next reset it runs permanently, with no way back"


def _ignore(sentence: str) -> None:
    """Take no notice that the mark is not in the journal."""


async def mark_for_test(
    client: Client,
    hash_: bytes | str | None = None,
    *,
    image: int | None = None,
    journal: Path | None = None,
    warn: Callable[[str], None] = _ignore,
) -> DeviceState:
    """Mark an image for a test at the next boot, and return the state of the device.

    ``hash_`` is the image's hash or its beginning, as bytes or as text (``hash_digits``); without it, it is the one
    image that does not run. ``image`` is an image number of the device; None: any. ``journal`` is that of the device
    (``journal_of``) and gets a note of it; ``warn`` gets a sentence if that fails.

    Raises ValueError if ``hash_`` is no hash, PlanError if no image fits or several do (nothing was changed), StepError
    if another device answers, NoEffectError, DeviceError, LinkError.
    """
    digits = None if hash_ is None else hash_digits(hash_)
    same, state = await _met(client)
    chosen = _find(state.slots, digits, image)
    await same.check(_step(Action.TEST), state)
    await _note(UploadJournal(journal, warn, "mark"), same, chosen, state)
    return await mark(client, state, _hash_in(chosen))


async def confirm_image(
    client: Client,
    hash_: bytes | str | None = None,
    *,
    image: int | None = None,
    untested: Callable[[str], None] | None = None,
    journal: Path | None = None,
    warn: Callable[[str], None] = _ignore,
) -> DeviceState:
    """Confirm the running image, or make another one permanent without a test. Return the state of the device.

    ``hash_`` is the image's hash or its beginning, as bytes or as text (``hash_digits``); without it, it is the running
    image, or with an ``image`` number above 0 the image of that number that does not run. ``untested`` is called with a
    sentence before an image becomes permanent that does not run. ``journal`` and ``warn`` are as in ``mark_for_test``.

    Raises ValueError if ``hash_`` is no hash, PlanError if no image fits, several do, or it is the one that a trial
    falls back to (nothing was changed), RevertedError if another image runs meanwhile, StepError if another device
    answers, NoEffectError, DeviceError, LinkError.
    """
    digits = None if hash_ is None else hash_digits(hash_)
    notes = UploadJournal(journal, warn, "confirmation")
    same, state = await _met(client)
    running = state.running
    chosen = running if digits is None and not image else _find(state.slots, digits, image)
    if chosen is None or chosen.hash is None:  # a device that does not tell what runs
        await same.check(_step(Action.KEEP), state)
        await client.request(StateWrite(confirm=True))
        return await read_slots(client, state)
    if chosen == running:
        await same.check(_step(Action.KEEP), state)
        confirmed = await confirm(client, state, chosen.hash)
        await _note_running(notes, same, chosen, state)
        return confirmed
    if fallback_during_trial(chosen, state.slots):
        raise PlanError(
            f"another image is on trial and version {version_of(chosen) or chosen.version} does not run; it is the "
            "fallback, which the next reset brings back. Nothing was changed",
            codes=("fallback-of-trial",),
        )
    if untested is not None:
        untested(UNTESTED)
    await same.check(_step(Action.KEEP), state)
    await _note(notes, same, chosen, state)
    return await mark(client, state, chosen.hash, permanent=True)


async def erase_slot(
    client: Client, *, image: int | None = None, slot: int | None = None, timeout_s: float = ERASE_TIMEOUT_S
) -> DeviceState:
    """Erase slot ``slot`` (0 or 1) of image number ``image``, and return the state of the device.

    With one of the two, the other is image 0 or slot 1; without both, it is the slot that does not run. ``timeout_s``
    is the time that the device may take, in seconds.

    Raises ValueError if there can be no such slot, PlanError if the device takes the wrong slot for the one it runs
    from (nothing was erased), StepError if another device answers, DeviceError if the device refuses, LinkError.
    """
    if (slot is not None and slot not in (0, SECONDARY)) or (image is not None and image < 0):
        raise ValueError(f"there is no slot {slot} of image {image}: a slot is 0 or 1, an image number 0 or higher")
    flat = None if image is None and slot is None else 2 * (image or 0) + (SECONDARY if slot is None else slot)
    # A device that does not answer ends the call soon, and not only after the timeout of an erase.
    same, state = await _met(client)
    from_slot_1 = any(one.active and one.slot for one in state.slots)
    if from_slot_1 and (errors := tuple(wrong_active_slot(await read_state(client)))):
        raise refusal(errors)
    await same.check(_step(Action.UPLOAD), state)
    await client.request(Erase(flat), timeout_s=timeout_s)
    return await read_slots(client, state)


async def restart_unchanged(client: Client, *, deadlines: Deadlines = DEADLINES) -> DeviceState | None:
    """Restart the device, for instance to read what its bootloader prints; what runs stays the same.

    Return its state after that, or None if it lists no images.

    Raises PlanError if an image is pending or on trial (the device was not restarted), NotBackError if the device stays
    away, ResponseTimeoutError if it acknowledges no reset, DeviceError, LinkError.
    """
    state = await state_before_restart(client)
    if state is None:
        await client.reset()
        await client.wait_for_device(deadlines.boot_s)
        return None
    if any(slot.pending or slot.waits or (slot.active and not slot.confirmed) for slot in state.slots):
        why = "a restart would change what runs, because an image is pending or on trial"
        raise PlanError(why, codes=("restart-changes",))
    return await restart_alone(client, state, deadlines)


async def state_before_restart(client: Client) -> DeviceState | None:
    """What a restart may change; None where the device lists no images, for its build has no such command."""
    listed = await ask(client, StateRead())
    if listed is None:
        return None
    if any(slot.waits for slot in listed.images):  # what becomes of it depends on the bootloader
        return await read_state(client)
    return DeviceState(listed.images)


def hash_digits(hash_: bytes | str) -> str:
    """The hex digits of a hash or of its beginning; a whole hash may be text in base64, as some tools write it.

    Raises ValueError if it is no hash, or too short a beginning of one.
    """
    plain = hash_.hex() if isinstance(hash_, bytes) else hash_.lower().removeprefix("0x")
    if len(plain) >= HASH_DIGITS_MIN and not set(plain) - set("0123456789abcdef"):
        return plain
    data = b"" if isinstance(hash_, bytes) else _from_base64(hash_)
    if len(data) not in HASH_SIZES:
        raise ValueError(f"{hash_!r} is not a hash: give at least {HASH_DIGITS_MIN} hex digits")
    return data.hex()


def _from_base64(text: str) -> bytes:
    """The bytes, with either alphabet and with or without padding; b"" if it is no base64."""
    alphabet = b"-_" if {"-", "_"} & set(text) else None
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=alphabet, validate=True)
    except ValueError:
        return b""


async def _met(client: Client) -> tuple[SameDevice, DeviceState]:
    """Which device this is, and the images that it lists."""
    same = SameDevice(client)
    return same, await same.learn(DeviceState((await client.request(StateRead())).images))


_MAY_RUN = {0: (Role.APP, Role.NET, Role.MCUBOOT), 1: (Role.NET, Role.EXTERNAL)}
"""The parts that an image of this number may be for. A list of images tells the number only."""


async def _note(journal: UploadJournal, same: SameDevice, chosen: ImageSlot, state: DeviceState) -> None:
    """From now on the image may run, on one of several parts."""
    parts = (*_MAY_RUN.get(chosen.image, ()), *([f"{Role.OTHER} {chosen.image}"] if chosen.image else []))
    await _begin(journal, same, chosen, state, parts)


async def _note_running(journal: UploadJournal, same: SameDevice, running: ImageSlot, state: DeviceState) -> None:
    """The application core runs it, permanently."""
    await _begin(journal, same, running, state)
    await journal.end(UploadLine.INSTALLED, proven=True, runs=running_hash(state))


async def _begin(
    journal: UploadJournal, same: SameDevice, image: ImageSlot, state: DeviceState, parts: Sequence[str] = ()
) -> None:
    record = ImageRecord(str(parts[0]) if parts else str(Role.APP), _hash_in(image).hex(), image.version)
    await journal.begin(
        record, device=same.client.name, runs=running_hash(state), hardware=same.hardware, parts=tuple(map(str, parts))
    )


def _step(action: Action) -> Step:
    """A step that stands alone: nothing has booted since the device was met."""
    return Step(action, Role.APP)


def _find(slots: Sequence[ImageSlot], digits: str | None, image: int | None) -> ImageSlot:
    """The slot whose hash begins with ``digits``; without them, the only one that does not run."""
    listed = [slot for slot in slots if slot.hash is not None and (image is None or slot.image == image)]
    if digits is None:
        found = [slot for slot in listed if not slot.active]
        what = "in a slot that does not run" if image is None else f"of number {image} in a slot that does not run"
    else:
        found = [slot for slot in listed if _hash_in(slot).hex().startswith(digits)]
        what = f"whose hash begins with {digits}"
    if not found:
        raise PlanError(f"the device lists no image {what}", codes=("no-such-image",))
    if len({slot.hash for slot in found}) > 1:
        text = f"the device lists {len(found)} images {what}: give more of the hash"
        raise PlanError(text, codes=("several-images",))
    return found[0]


def _hash_in(slot: ImageSlot) -> bytes:
    assert slot.hash is not None, "only such are found"
    return slot.hash
