"""A change of the code that a test must notice, and how it is put into a copy of the tree."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class RowError(Exception):
    """A row does not fit the tree any more: its file or its old text is gone, or the text is there more than once."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A row: in ``file``, ``old`` becomes ``new``, and ``tests`` (files, or one test) must notice.

    ``equal`` is the reason why nothing can notice, for a change that is kept on the list to say so.
    """

    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    equal: str = ""

    def __str__(self) -> str:
        changed = " ".join(self.new.split()) or "(nothing)"
        return f"{self.file}: {' '.join(self.old.split())[:70]}  ->  {changed[:70]}"

    def mutated(self, root: Path) -> str:
        """The text of the file with the change. Raises RowError."""
        try:
            text = (root / self.file).read_text("utf-8")
        except OSError as error:
            raise RowError(f"{self.file} cannot be read: {error.strerror}") from None
        count = text.count(self.old)
        if count != 1:
            raise RowError(f"{self.file} has the old text {count} times, and a row needs it once: {self.old!r}")
        if self.old == self.new:
            raise RowError(f"{self.file}: the new text is the old one: {self.old!r}")
        missing = [one for one in self.tests if not (root / one.partition("::")[0]).exists()]
        if missing or not self.tests:
            raise RowError(f"{self.file}: there is no {missing[0] if missing else 'test'} for {self.old!r}")
        return text.replace(self.old, self.new)
