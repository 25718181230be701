"""What people see while an update or an upload runs: a line for each step, progress of bytes, a spinner for a boot."""

from __future__ import annotations

from contextlib import ExitStack

from smpdfu.cli.app.advice_by_code import finding_words
from smpdfu.cli.terminal.interruption import AGAIN, BETWEEN_STEPS, PART_OF_APPLICATION, PART_OF_SLOT, now_leaves
from smpdfu.cli.terminal.show import Advance, Output, upload_phase
from smpdfu.client import UploadProgress
from smpdfu.dfu.decide.steps.rules import BOOTS, Action, Step
from smpdfu.dfu.do.events import Event, Progress, StepBegun
from smpdfu.dfu.do.one_image import ImageEvent, ImageNote, ImageStage
from smpdfu.dfu.package.images import Role

_LEAVES = {
    ImageStage.SENDING: PART_OF_SLOT,
    ImageStage.REPLACING: PART_OF_APPLICATION,
    ImageStage.SENT: AGAIN,
    ImageStage.STEPS: BETWEEN_STEPS,
}
"""What Ctrl-C leaves behind in each stage of one image."""
_BOOTS = BOOTS | {Action.CHECK}
WAITING = "waiting for the device"
_UPLOADS = {Role.APP: "app core", Role.NET: "net core", Role.EXTERNAL: "external flash", Role.MCUBOOT: "MCUboot"}


def _file(step: Step) -> str:
    """The label of an upload's progress."""
    return _UPLOADS.get(step.role, f"image {step.number}")


class Reporter:
    """Turns the events of a package or of one image into lines, a progress display or a spinner.

    ``file``: the name that the progress of one image shows. ``replaces``: an upload is written over the application.
    """

    def __init__(self, out: Output, file: str = "", *, replaces: bool = False) -> None:
        self._out = out
        self._file = file
        self._in_part = PART_OF_APPLICATION if replaces else PART_OF_SLOT
        self._stack = ExitStack()
        self._advance: Advance | None = None

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def __call__(self, event: Event | ImageEvent) -> None:
        """Show an event."""
        if isinstance(event, ImageNote):
            self._note(event)
        elif isinstance(event, UploadProgress):
            self._bytes(event.off, event.len)
        elif isinstance(event, Progress):
            self._bytes(event.done, event.total)
        else:
            self._end_display()
            if isinstance(event, ImageStage):
                self._stage(event)
            elif isinstance(event, StepBegun):
                self._step(event.step, f"[{event.number}/{event.total}]")

    def _note(self, note: ImageNote) -> None:
        text = note.text if note.finding is None else finding_words(note.finding)
        (self._out.warn if note.warning else self._out.say)(text)

    def _bytes(self, done: int, total: int) -> None:
        if self._advance is not None:
            self._advance(done, total, upload_phase(done))

    def _stage(self, stage: ImageStage) -> None:
        now_leaves(_LEAVES[stage])
        if stage in (ImageStage.SENDING, ImageStage.REPLACING):
            self._advance = self._stack.enter_context(self._out.progress(self._file))
        elif stage is ImageStage.STEPS:
            self._stack.enter_context(self._out.waiting(WAITING))

    def _step(self, step: Step, number: str) -> None:
        uploads = step.action is Action.UPLOAD
        now_leaves(self._in_part if uploads else BETWEEN_STEPS)
        self._out.say(f"{number} {step.words}")
        if uploads:
            self._advance = self._stack.enter_context(self._out.progress(_file(step)))
        elif step.action in _BOOTS:
            self._stack.enter_context(self._out.waiting(WAITING))

    def _end_display(self) -> None:
        self._stack.close()
        self._advance = None
