"""The os group of the virtual application."""

from __future__ import annotations

from typing import Any

import pytest

from smpdfu.errors import DeviceError
from smpdfu.smp.groups.os import (
    BootloaderInfo,
    BootloaderInfoReply,
    Info,
    InfoReply,
    OsRc,
    Params,
    ParamsReply,
    Reset,
)
from smpdfu.smp.message import Empty, MgmtRc, Request, Response
from smpdfu.smp.session import read_outcome
from smpdfu.virtual.chip.boot_mode import BootMode
from smpdfu.virtual.server.groups.os import Build, OsGroup
from smpdfu.virtual.server.server import Buffers, Server


class System:
    """A server with the os group alone, and the resets that it asked for."""

    def __init__(self, mode: BootMode = BootMode.MOVE) -> None:
        self.resets: list[int] = []
        buffers = Buffers(512, 3)
        self.server = Server([OsGroup(Build(), mode, buffers, self.resets.append)], buffers)

    def ask(self, request: Request[Any], version: int = 2) -> Response | DeviceError:
        (answer,) = self.server.answers(request.to_bytes(1, version))
        return read_outcome(request, answer[8:])

    def refusal(self, request: Request[Any], version: int = 2) -> tuple[int | None, int]:
        outcome = self.ask(request, version)
        assert isinstance(outcome, DeviceError)
        return outcome.group, outcome.rc


def test_reset_answers_and_passes_the_mode_on() -> None:
    system = System()
    assert system.ask(Reset()) == Empty()
    assert system.ask(Reset(force=1, boot_mode=1)) == Empty()
    assert system.resets == [0, 1]


def test_params_tell_of_the_pool() -> None:
    assert System().ask(Params()) == ParamsReply(512, 3)


@pytest.mark.parametrize("letters", [None, "", "s"])
def test_info_is_the_kernel_unless_asked_for_more(letters: str | None) -> None:
    assert System().ask(Info(letters)) == InfoReply("Zephyr")


def test_info_has_its_facts_in_the_order_of_the_server() -> None:
    system = System()
    assert system.ask(Info("is")) == InfoReply("Zephyr nrf5340dk/nrf5340/cpuapp")
    assert system.ask(Info("a")) == system.ask(Info("oipmbvrns")) != system.ask(Info("oipmbvrn"))


# As MCUboot's boot_status.h numbers them.
NUMBERS = dict(zip(BootMode, (1, 3, 9, 2, 4, 5, 6, 0, 8, 7), strict=True))


@pytest.mark.parametrize("mode", BootMode)
def test_bootloader_info(mode: BootMode) -> None:
    assert System(mode).ask(BootloaderInfo()) == BootloaderInfoReply(bootloader="MCUboot")
    assert System(mode).ask(BootloaderInfo("mode")) == BootloaderInfoReply(mode=NUMBERS[mode])


def test_refusals_in_both_versions() -> None:
    system = System()
    assert system.refusal(Info("sz")) == (0, OsRc.INVALID_FORMAT)
    assert system.refusal(Info("sz"), version=1) == (None, MgmtRc.EINVAL)
    assert system.refusal(BootloaderInfo("size")) == (0, OsRc.QUERY_YIELDS_NO_ANSWER)
    assert system.refusal(BootloaderInfo("size"), version=1) == (None, MgmtRc.ENOENT)
