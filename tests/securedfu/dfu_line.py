"""A serial line to a virtual bootloader without a clock: frames cross it, and may be damaged on the way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random

from smpdfu.securedfu.protocol import slip
from smpdfu.securedfu.protocol.actions import SendRequest, WriteData
from smpdfu.securedfu.protocol.messages import ANSWER_MAX, WriteObject
from smpdfu.securedfu.protocol.transfer import Transfer
from smpdfu.virtual.nrf52.device import VirtualNrf52
from smpdfu.virtual.nrf52.slip_receiver import SlipReceiver

Damage = Callable[[bytes], bytes]
"""What a line makes of a frame."""


def clean(frame: bytes) -> bytes:
    return frame


def flips(every: int, seed: int) -> Damage:
    """One bit in ``every`` bytes is wrong, on the average."""
    random = Random(seed)

    def damage(frame: bytes) -> bytes:
        return bytes(byte ^ 1 << random.randrange(8) if random.randrange(every) == 0 else byte for byte in frame)

    return damage


def losses(every: int, seed: int) -> Damage:
    """One byte in ``every`` bytes is lost, on the average."""
    random = Random(seed)
    return lambda frame: bytes(byte for byte in frame if random.randrange(every))


def at_frame(number: int, damage: Damage) -> Damage:
    """``damage`` for one frame alone, counted from 0."""
    count = iter(range(1 << 30))
    return lambda frame: damage(frame) if next(count) == number else frame


class Line:
    """The line. ``to_device`` and ``to_host`` are what it does to frames; ``frames`` counts those of the host."""

    def __init__(self, device: VirtualNrf52, to_device: Damage = clean, to_host: Damage = clean) -> None:
        self.device = device
        self.to_device, self.to_host = to_device, to_host
        self.frames = 0
        self._device_end = SlipReceiver(device.trust.build.mtu)
        self._host_end = slip.SlipDecoder(ANSWER_MAX)
        self.answers: deque[bytes] = deque()

    def send(self, message: bytes) -> None:
        """Send a message to the device, and keep what comes back."""
        self.frames += 1
        for request in self._device_end.feed(self.to_device(slip.encode(message))):
            answer = self.device.handle(request)
            if answer is not None:
                before = self._host_end.damaged
                self.answers += self._host_end.feed(self.to_host(slip.encode(answer)))
                self.answers += [b""] * (self._host_end.damaged - before)
            if self.device.finish_reset():
                self._device_end = SlipReceiver(self._device_end.size)

    def carry(self, transfer: Transfer, frames_max: int = 1 << 30) -> None:
        """Carry out ``transfer``, until it ends or so many frames are sent."""
        while (action := transfer.next_action()) is not None and self.frames < frames_max:
            if isinstance(action, SendRequest):
                self.send(action.message)
            elif isinstance(action, WriteData):
                self.send(WriteObject(action.data).to_bytes())
            elif self.answers:
                transfer.answered(self.answers.popleft())
            else:
                transfer.silence()
