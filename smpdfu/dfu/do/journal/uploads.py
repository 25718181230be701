"""Note in the journal of a device that one image is installed, without a package: for a search, not for an update.

A mark for the next boot, or a confirmation, is noted as an upload is. Of a marked image the device lists its hash, and
not which part runs it: the line has each part that may.

What an update decides does not depend on these lines: replaying a journal passes over them. So an update that did not
end stays as it is, and continues. ``journal`` has their form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from smpdfu.dfu.do.journal.journal import Journal, off_loop
from smpdfu.dfu.do.journal.updates import PARTS, UPLOAD, UploadLine
from smpdfu.dfu.package.image_record import ImageRecord
from smpdfu.errors import JournalError


class UploadJournal:
    """Writes the lines of one upload; where that fails, ``warn`` gets a sentence once, and the upload continues.

    ``path`` is the journal of the device; None: nothing is written. ``what`` is the word for it in that sentence.
    """

    def __init__(self, path: Path | None, warn: Callable[[str], None], what: str = "upload") -> None:
        self._path = path
        self._warn = warn
        self._what = what

    async def begin(
        self,
        image: ImageRecord,
        *,
        device: str,
        runs: str | None,
        hardware: str | None,
        parts: Sequence[str] = (),
    ) -> None:
        """From here on the image may run. ``runs`` is the hash of the application that the device lists now.

        ``parts`` are those of which one may run it, where it is not known that ``image.part`` does.
        """
        facts: dict[str, Any] = {"device": device, "image": image.to_entry(), "runs": runs, "hardware": hardware}
        facts |= {PARTS: list(parts)} if parts else {}
        await self._note({"is": UploadLine.BEGUN, **facts})

    async def end(self, result: UploadLine, *, proven: bool, runs: str | None) -> None:
        """The image was installed, or the device went back; ``runs`` as for ``begin``."""
        await self._note({"is": result, "proven": proven, "runs": runs})

    async def _note(self, facts: Mapping[str, Any]) -> None:
        if self._path is None:
            return
        try:
            await off_loop(self._write, facts)
        except JournalError as error:
            self._path = None
            why = f"smpdfu does not note this {self._what}: a search for affected devices does not know of it"
            self._warn(f"{error}. {why}")

    def _write(self, facts: Mapping[str, Any]) -> None:
        assert self._path is not None
        with Journal(self._path) as journal:  # only for this line: an upload takes long
            journal.note({UPLOAD: dict(facts)})
