"""An application without images, to be asked by SMP, and its clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from smpdfu.errors import DeviceError
from smpdfu.smp.message import Request, Response
from smpdfu.smp.session import read_outcome
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.chip.rtc import Rtc
from smpdfu.virtual.server.application import DEFAULT_OPTIONS, Application, Kept, Options
from smpdfu.virtual.server.groups.image import ImageGroup
from smpdfu.virtual.server.groups.os import Build, OsGroup
from smpdfu.virtual.server.server import Buffers


@dataclass
class App:
    """An application without images, and its clock."""

    kept: Kept = field(default_factory=Kept)
    options: Options = DEFAULT_OPTIONS
    buffers: Buffers = field(default_factory=lambda: Buffers(512, 4))
    now_s: float = 1000.0

    def __post_init__(self) -> None:
        rtc = Rtc(lambda: self.now_s)
        system = OsGroup(Build(), BootMode.MOVE, self.buffers, lambda mode: None, rtc)
        self.application = Application(system, ImageGroup([]), self.kept, self.options)
        self.application.boot()

    def ask(self, request: Request[Any], version: int = 2) -> Response | DeviceError:
        (answer,) = self.application.server.answers(request.to_bytes(7, version))
        return read_outcome(request, answer[8:])

    def refusal(self, request: Request[Any], version: int = 2) -> tuple[int | None, int] | None:
        outcome = self.ask(request, version)
        return (outcome.group, outcome.rc) if isinstance(outcome, DeviceError) else None

    def restarted(self) -> App:
        """The same device after a reset."""
        return App(self.kept, self.options, self.buffers, self.now_s)
