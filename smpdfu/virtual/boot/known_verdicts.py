"""Images that were checked before: the same bytes are not hashed and verified again.

A bootloader checks the whole image at each boot. Here, the pieces of flash in which an image lies stand for its bytes.
They are compared, so an image with one changed byte is another image and is checked. Devices and boots with the same
firmware share what was found out about it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from smpdfu.image.trailer import SlotGeometry
from smpdfu.image.verification.verify import Role
from smpdfu.virtual.boot.build import BootKeys
from smpdfu.virtual.boot.known_images import Pieces

_KEPT = 64


@dataclass(frozen=True, slots=True)
class Question:
    """An image, and a bootloader that decrypts it as ``role`` says and has room for what fits ``limits``."""

    pieces: Pieces
    role: Role
    limits: SlotGeometry


class Verdicts:
    """The last verdicts, each with the keys of the bootloader that gave it.

    Keys have no hash. So a question has one verdict here, that of the keys that were asked last.
    """

    def __init__(self) -> None:
        self._found: OrderedDict[Question, tuple[BootKeys, bool]] = OrderedDict()

    def of(self, question: Question, keys: BootKeys, judge: Callable[[], bool]) -> bool:
        """The verdict that these keys gave before, else that of ``judge``."""
        known = self._found.get(question)
        if known is not None and known[0] == keys:
            return known[1]
        good = judge()
        self._found[question] = keys, good
        if len(self._found) > _KEPT:
            self._found.popitem(last=False)
        return good


VERDICTS = Verdicts()
