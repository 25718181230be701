"""Another board at the address in the middle of a command: exit code 8, and that board is not touched."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from smpdfu.smp.groups import find_request
from smpdfu.smp.groups.image import ImageUpload, StateWrite
from smpdfu.smp.groups.os import Reset
from smpdfu.smp.groups.shell import ShellExecute
from smpdfu.smp.message import Request, decode_map, split_message
from smpdfu.virtual.boot.bootloader import BootKeys
from smpdfu.virtual.chip.layout import NRF5340DK_STAGED
from smpdfu.virtual.device import VirtualNrf5340
from smpdfu.virtual.server.application import Kept

if TYPE_CHECKING:
    from tests.cli.device.conftest import Desk

Moment = Callable[["Port", Request[Any]], bool]


class Port:
    """A UDP port with one board at it, and the ``second`` one as soon as a request of the ``moment`` was answered."""

    def __init__(self, first: VirtualNrf5340, second: VirtualNrf5340, moment: Moment) -> None:
        self.first, self.second, self.board, self._moment = first, second, first, moment
        self.heard_by_second: list[type[Request[Any]]] = []

    def answer(self, packet: bytes) -> list[bytes]:
        header, body = split_message(packet)
        kind = find_request(header.op, header.group, header.command)
        assert kind is not None
        if self.board is self.second:
            self.heard_by_second.append(kind)
        answers = self.board.answers(packet)
        self.board.finish_reset()
        if self._moment(self, kind.from_map(decode_map(body))):
            self.board = self.second
        return answers


@contextmanager
def served(port: Port) -> Iterator[str]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        address = server.getsockname()

        def serve() -> None:
            while data := server.recvfrom(65536):
                if not data[0]:
                    return
                for answer in port.answer(data[0]):
                    server.sendto(answer, data[1])

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"udp:127.0.0.1:{address[1]}"
        finally:
            server.sendto(b"", address)
            thread.join()


def board(desk: Desk, number: str, *, on_trial: bool = False, holds: bool = False) -> VirtualNrf5340:
    """It runs 1.0.0; ``holds``: 2.0.0 is in its other slot; ``on_trial``: that runs on trial."""
    kept = Kept(device_id=bytes.fromhex(number))
    made = VirtualNrf5340(NRF5340DK_STAGED, BootKeys((desk.key.public,), desk.encryption), kept=kept)
    made.load_app(desk.data(version="1.0.0"))
    if on_trial or holds:
        data = desk.data(version="2.0.0")
        made.images[0].secondary.area.program(0, data + b"\xff" * (-len(data) % 4))
    if on_trial:
        made.images[0].secondary.set_pending(permanent=False, image=0)
    made.reset()
    return made


def after(kind: type[Request[Any]]) -> Moment:
    return lambda port, request: isinstance(request, kind)


MET, RESET = after(ShellExecute), after(Reset)


def sent(port: Port, request: Request[Any]) -> bool:
    """The whole image is there."""
    return isinstance(request, ImageUpload) and port.board._image_group.progress is None


def half_sent(port: Port, request: Request[Any]) -> bool:
    return isinstance(request, ImageUpload) and request.off > 0


@pytest.mark.parametrize(
    ("words", "moment", "how"),
    [
        (("test",), MET, {"holds": True}),
        (("confirm",), MET, {"on_trial": True}),
        (("erase",), MET, {"holds": True}),
        (("reset",), MET, {"holds": True}),
        (("reset",), RESET, {"on_trial": True}),
        (("upload", "FILE"), MET, {}),
        (("upload", "FILE", "--test"), sent, {}),
        (("upload", "FILE"), half_sent, {}),
        (("upload", "FILE", "--confirm"), sent, {}),
        (("upload", "FILE", "--confirm"), RESET, {}),
    ],
)
def test_the_other_board_is_not_touched(
    desk: Desk, words: tuple[str, ...], moment: Moment, how: dict[str, bool]
) -> None:
    port = Port(board(desk, "0011223344556677", **how), board(desk, "8899aabbccddeeff", **how), moment)
    before = port.second.app.read(0, 0x100000)
    with served(port) as address:
        words = tuple(str(desk.image()) if word == "FILE" else word for word in words)
        said = desk.run(*words, "--to", address).refused(8)
    assert "is another one than before: its chip has the number 8899aabbccddeeff, and 0011223344556677 before" in said
    assert "Connect the first device again" in said
    assert port.second.app.read(0, 0x100000) == before
    assert not {StateWrite, Reset} & set(port.heard_by_second)


@pytest.mark.parametrize("words", [("test",), ("erase",), ("reset",), ("upload", "FILE", "--confirm")])
def test_a_command_on_one_board_ends_well(desk: Desk, words: tuple[str, ...]) -> None:
    one = board(desk, "0011223344556677", holds=words[0] != "upload")
    with served(Port(one, one, lambda port, request: False)) as address:
        words = tuple(str(desk.image()) if word == "FILE" else word for word in words)
        done = desk.run(*words, "--to", address)
    assert done.code == 0, done.err
