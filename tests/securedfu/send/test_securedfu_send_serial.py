"""Whole packages over a pseudo terminal: the right bytes or a clear error, and what came back."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from smpdfu.errors import (
    ConnectError,
    DamagedLineError,
    DfuNotStartedError,
    DfuRefusedError,
    FormatError,
    PlanError,
    SilentBootloaderError,
)
from smpdfu.image.secure_dfu.init_packet import FwType
from smpdfu.image.secure_dfu.package import SecureDfuPackage
from smpdfu.secure_dfu import send_secure_dfu
from smpdfu.securedfu.protocol.messages import Answer, Opcode
from smpdfu.securedfu.send import carry, installed, serial
from smpdfu.securedfu.send.serial import SerialTransport
from smpdfu.securedfu.send.session import (
    SecureDfuEvent,
    SecureDfuPartBegins,
    SecureDfuProgress,
    SecureDfuRestarts,
    Session,
)
from smpdfu.securedfu.send.transport import CameBack
from smpdfu.virtual.line.traffic import Traffic
from smpdfu.virtual.nrf52.build import Nrf52Build, Transport
from smpdfu.virtual.wires.dfu_serial import DfuLine
from tests.securedfu.send.dfu_bench import NEW, device_in_dfu, package_of, runs_new, runs_old, served
from tests.virtual.nrf52.nrf52_bench import OTHER_KEY, bootloader, firmware, init_command, new_device, sign

EXECUTED = Answer(Opcode.EXECUTE).to_bytes()


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short waits, where the test is about what is said after them."""
    monkeypatch.setattr(serial, "SURE_S", 0.0)
    monkeypatch.setattr(carry, "PING_S", 0.05)
    monkeypatch.setattr(installed, "ANSWER_S", 0.1)


def test_an_application_arrives_and_it_is_said_that_a_uart_cannot_tell_what_runs() -> None:
    device = device_in_dfu()
    events: list[SecureDfuEvent] = []

    async def use() -> None:
        async with served(device) as address:
            sent = await send_secure_dfu(address, package_of(), boot_timeout_s=0.1, watch=events.append)
        assert sent.came_back is CameBack.UNKNOWN
        (part,) = sent.parts
        assert (part.image, part.size_bytes, part.resumed_at, part.repeats) == ("application", len(NEW), 0, 0)

    asyncio.run(use())
    assert runs_new(device)
    assert events[0] == SecureDfuPartBegins("application", 1, 1, len(NEW))
    assert events[-1] == SecureDfuRestarts("application", 0.1)
    moves = [one.progress.off for one in events if isinstance(one, SecureDfuProgress)]
    assert moves == sorted(moves)
    assert moves[-1] == len(NEW)


@pytest.mark.parametrize("transport", [Transport.UART, Transport.USB])
def test_each_serial_bootloader_takes_a_package(transport: Transport) -> None:
    device = device_in_dfu(Nrf52Build(transport))

    async def use() -> None:
        async with served(device) as address:
            await send_secure_dfu(address, package_of(), boot_timeout_s=0.05)

    asyncio.run(use())
    assert runs_new(device)


@pytest.mark.usefixtures("quick")
def test_an_application_that_does_not_start_is_told_by_the_bootloader_that_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device = device_in_dfu()
    monkeypatch.setattr(device, "reset", partial(device.reset, wants_dfu=True))  # the button is held

    async def use() -> DfuNotStartedError:
        async with served(device) as address:
            with pytest.raises(DfuNotStartedError, match="in its bootloader again") as failed:
                await send_secure_dfu(address, package_of(), boot_timeout_s=60)
        return failed.value

    error = asyncio.run(use())
    assert error.code == "dfu-not-started"
    assert "an application of version 2" in str(error)


def test_a_wrong_key_is_named_and_the_application_stays() -> None:
    device = device_in_dfu()

    async def use() -> None:
        async with served(device) as address:
            with pytest.raises(DfuRefusedError, match="signature"):
                await send_secure_dfu(address, package_of(packet=sign(init_command(NEW), OTHER_KEY)))

    asyncio.run(use())
    assert runs_old(device)


# --- the seed's case --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_line_that_damages_a_byte_now_and_then_brings_the_right_bytes(seed: int) -> None:
    device = device_in_dfu()
    line = DfuLine(Traffic(corruption=0.0002, seed=seed))

    async def use() -> int:
        async with served(device, line) as address:
            sent = await send_secure_dfu(address, package_of(), timeout_s=0.5, boot_timeout_s=0.05)
        return sent.parts[0].repeats

    assert asyncio.run(use()) > 0
    assert runs_new(device)


@pytest.mark.usefixtures("quick")
def test_a_line_that_damages_most_is_named_and_the_device_takes_the_package_afterwards() -> None:
    device = device_in_dfu()

    async def use() -> DamagedLineError:
        async with served(device, DfuLine(Traffic(corruption=0.2, seed=5))) as address:
            with pytest.raises(DamagedLineError) as damaged:
                await send_secure_dfu(address, package_of(), timeout_s=0.2)
        device.enter_dfu()  # the button
        async with served(device) as address:
            await send_secure_dfu(address, package_of(), boot_timeout_s=0.05)
        return damaged.value

    error = asyncio.run(use())
    assert error.through_debugger is None  # a pseudo terminal is not on USB
    assert error.damaged > 0
    assert runs_new(device)


# --- nobody there, the wrong thing ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quick")
def test_a_running_application_does_not_answer() -> None:
    device = device_in_dfu()
    device.reset()

    async def use() -> None:
        async with served(device) as address:
            with pytest.raises(SilentBootloaderError, match="no Secure DFU bootloader answers"):
                await send_secure_dfu(address, package_of(), timeout_s=0.05)

    asyncio.run(use())


def test_what_no_bootloader_takes_is_not_sent() -> None:
    async def use() -> None:
        device = device_in_dfu()
        async with served(device) as address:
            odd = NEW + b"\0\0"
            with pytest.raises(PlanError, match="nothing was sent") as refused:
                await send_secure_dfu(address, package_of(odd))
            assert refused.value.codes == ("odd-size",)
            other = package_of(NEW, sign(init_command(firmware(0x1000, 3))))
            with pytest.raises(PlanError) as refused:
                await send_secure_dfu(address, other)
            assert "hash" in refused.value.codes
        assert device.bootloader is not None
        assert device.chip.settings.progress.command_size == 0

    asyncio.run(use())


class WithoutLastAnswer(SerialTransport):
    """The line damages the answer to the Execute number ``last``: that of the init packet is the first."""

    executed, last = 0, 3

    async def read(self) -> bytes:
        message = await super().read()
        self.executed += message == EXECUTED
        return b"" if message == EXECUTED and self.executed == self.last else message


def test_a_bootloader_that_is_installed_is_not_sent_again_when_its_last_answer_is_lost(quick: None) -> None:
    """The new bootloader would refuse its own version."""
    image = bootloader(2)
    packet = sign(init_command(image, type=FwType.BOOTLOADER, app_size=0, bl_size=len(image)))

    async def use() -> None:
        device = new_device()
        device.reset()
        async with served(device) as address:
            transport = WithoutLastAnswer(address.removeprefix("serial:"))
            sent = await Session(transport).send(package_of(image, packet, "bootloader"))
        assert transport.executed == 3
        assert sent.came_back is CameBack.BOOTLOADER
        assert device.chip.read(device.chip.layout.bootloader.start, len(image)) == image

    asyncio.run(use())


def test_a_refusal_as_not_newer_after_a_lost_last_answer_is_no_refusal(
    quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bootloader takes no version twice: that it refuses this one now tells that it is there."""
    device = device_in_dfu(Nrf52Build(accepts_same_version=False))
    monkeypatch.setattr(device, "reset", partial(device.reset, wants_dfu=True))  # the button is held

    async def use() -> None:
        async with served(device) as address:
            transport = WithoutLastAnswer(address.removeprefix("serial:"))
            transport.last = 5
            with pytest.raises(DfuNotStartedError, match=r"in its bootloader again.*an application of version 2"):
                await Session(transport, boot_timeout_s=60).send(package_of())

    asyncio.run(use())


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    ("package", "said"),
    [
        (SecureDfuPackage.of([]), "no image"),
        (package_of(b"", sign(init_command(b""))), "is empty"),
        (SecureDfuPackage.of([*package_of().entries, *package_of(name="again").entries]), "same type"),
    ],
    ids=["no image", "no firmware", "twice"],
)
def test_a_package_with_nothing_to_send_is_no_success(package: SecureDfuPackage, said: str, *, force: bool) -> None:
    with pytest.raises(FormatError, match=f"{said}.*nothing was sent"):
        asyncio.run(send_secure_dfu("serial:/dev/null", package, force=force))


def test_another_file_is_told_by_its_kind(tmp_path: Path) -> None:
    file = tmp_path / "app.hex"
    file.write_text(":00000001FF\n")
    with pytest.raises(FormatError, match="Intel HEX"):
        asyncio.run(send_secure_dfu("serial:/dev/null", file))


@pytest.mark.parametrize("address", ["udp:host", "virtual:name"])
def test_a_wire_without_secure_dfu_is_refused(address: str) -> None:
    with pytest.raises(ConnectError, match="does not carry Secure DFU"):
        asyncio.run(send_secure_dfu(address, package_of()))
