"""Note in the journal of a device that one image is installed, without a package: for a search, not for an update.

What an update decides does not depend on these lines: replaying a journal passes over them. So an update that did not
end stays as it is, and continues. ``journal`` has their form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from smpdfu.dfu.do.journal.journal import Journal, off_loop
from smpdfu.dfu.do.journal.updates import UPLOAD, UploadLine
from smpdfu.dfu.package.image_record import ImageRecord
from smpdfu.errors import JournalError


class UploadJournal:
    """Writes the lines of one upload; where that fails, ``warn`` gets a sentence once, and the upload continues.

    ``path`` is the journal of the device; None: nothing is written.
    """

    def __init__(self, path: Path | None, warn: Callable[[str], None]) -> None:
        self._path = path
        self._warn = warn

    async def begin(self, image: ImageRecord, *, device: str, runs: str | None, hardware: str | None) -> None:
        """From here on the image may run. ``runs`` is the hash of the application that the device lists now."""
        facts = {"device": device, "image": image.to_entry(), "runs": runs, "hardware": hardware}
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
            self._warn(f"{error}. smpdfu does not note this upload: a search for affected devices does not know of it")

    def _write(self, facts: Mapping[str, Any]) -> None:
        assert self._path is not None
        with Journal(self._path) as journal:  # only for this line: an upload takes long
            journal.note({UPLOAD: dict(facts)})
