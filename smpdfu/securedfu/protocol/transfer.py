"""The transfer of one firmware with its init packet, decided in pure code: no wire, no clock.

The caller does what ``next_action`` returns, and reports what happens: ``answered``, ``silence`` (no answer in time)
or ``link_lost`` (the link broke, and is open again). ``states.py`` has the table and the rules.
"""

from __future__ import annotations

from smpdfu.errors import FormatError
from smpdfu.image.secure_dfu.flash import PAGE_SIZE
from smpdfu.securedfu.protocol.actions import Action, Await, Pace, SendRequest, TransferProgress, WriteData
from smpdfu.securedfu.protocol.checksums import Checksums
from smpdfu.securedfu.protocol.messages import (
    Answer,
    Checksum,
    CreateObject,
    Execute,
    GetChecksum,
    GetMtu,
    Mtu,
    ObjectType,
    Opcode,
    Ping,
    Pong,
    Request,
    Result,
    Selected,
    SelectObject,
    SetReceipts,
)
from smpdfu.securedfu.protocol.refusals import LAST_REFUSALS, REFUSALS, refusal
from smpdfu.securedfu.protocol.slip import UART_MTU, payload_max
from smpdfu.securedfu.protocol.states import State
from smpdfu.securedfu.protocol.troubles import DROP_COUNTS, Troubles
from smpdfu.securedfu.protocol.writes import Writes

_OPCODES = frozenset(Opcode)


class Transfer:
    """One init packet and its firmware, to one device.

    ``write_size`` is the most bytes in one write; None: the bootloader reports its MTU. The device confirms every
    ``receipts`` writes (0: none), and at most ``writes_max`` are unconfirmed. ``pings``: the bootloader answers
    ``Ping``. ``write_ahead``: what is sent while the device erases a page is not lost. After the end,
    ``confirmed`` is False if the answer to the last Execute was lost.
    """

    def __init__(
        self,
        init_packet: bytes,
        firmware: bytes,
        *,
        write_size: int | None = None,
        receipts: int = 0,
        writes_max: int = 0,
        pings: bool = True,
        write_ahead: bool = False,
    ) -> None:
        """Begin a transfer. Raises ValueError if there is nothing to transfer, or if it could never move."""
        if not init_packet or not firmware:
            raise ValueError("a transfer needs an init packet and a firmware")
        self._sources = {ObjectType.COMMAND: init_packet, ObjectType.DATA: firmware}
        self._checksums = {kind: Checksums(source) for kind, source in self._sources.items()}
        self._pings, self._write_ahead = pings, write_ahead
        self._writes = Writes(write_size, receipts, writes_max)
        self.off = self.resumed_at = 0
        self.confirmed = True
        self.troubles = Troubles()
        self._kind = ObjectType.COMMAND
        self._awaited: Request | None = None
        self._pace = Pace.USUAL
        self._doubtful: object = None
        self._refusal: Answer | None = None
        self._object_max = PAGE_SIZE
        self._at = self._end = self._best = self._ping_id = 0
        self._probing = self._differed = self._ending = self._began = False
        self.state = self._hello()

    @property
    def len(self) -> int:
        """The bytes of the firmware."""
        return len(self._sources[ObjectType.DATA])

    @property
    def progress(self) -> TransferProgress:
        """How far the transfer is."""
        return TransferProgress(self.off, self.len, self.resumed_at, self.troubles.repeats, self.troubles.damaged)

    @property
    def _source(self) -> bytes:
        return self._sources[self._kind]

    def _hello(self) -> State:
        return State.HELLO if self._pings else self._after_hello

    @property
    def _after_hello(self) -> State:
        return State.RECEIPTS if self._writes.longest else State.MTU

    # --- what to do ---------------------------------------------------------------------------------------------------

    def next_action(self) -> Action | None:
        """Return what is to be done now; None when all is transferred."""
        if self.state is State.DONE:
            return None
        if self._awaited is not None:
            return self._write() if self._goes_ahead else Await(self._pace)
        if self.state is State.WRITE:
            return Await(Pace.USUAL) if self._writes.is_full else self._write()
        self._awaited, self._pace = self._request()
        return SendRequest(self._awaited.to_bytes(), self._pace)

    def _write(self) -> WriteData:
        size = self._writes.next_size(self._at % self._object_size, careful=self.troubles.careful)
        data = self._source[self._at : min(self._at + size, self._end)]
        self._at += len(data)
        self._writes.sent(self._at)
        if self.state is State.WRITE and (self.troubles.careful or self._at == self._end):
            self.state = State.CHECK
        return WriteData(data)

    @property
    def _goes_ahead(self) -> bool:
        """True if the first write of an object goes out before the device says that it is there."""
        first = self.state is State.CREATE and not (self._writes.are_due or self._differed)
        return first and self._write_ahead and self._writes.are_long and not self.troubles.careful

    def _request(self) -> tuple[Request, Pace]:
        """The request of the state, and how long its answer may take."""
        state, kind = self.state, self._kind
        if state is State.HELLO:
            self._ping_id = (self._ping_id + 1) % 256
            return Ping(self._ping_id), Pace.QUICK
        if state is State.CREATE:
            self._end = min(self._at + self._object_size, len(self._source))
            self._writes.clear()
            return CreateObject(kind, self._end - self._at), Pace.USUAL
        if state is State.EXECUTE:
            last = kind is ObjectType.DATA and self._at == self.len
            self._ending = self._ending or last
            return Execute(), Pace.SLOW if last or kind is ObjectType.COMMAND else Pace.USUAL
        plain: dict[State, Request] = {
            State.MTU: GetMtu(),
            State.RECEIPTS: SetReceipts(self._writes.receipts),
            State.SELECT: SelectObject(kind),
            State.CHECK: GetChecksum(),
        }
        return plain[state], Pace.USUAL

    @property
    def _object_size(self) -> int:
        """The longest object of the kind in hand."""
        return len(self._source) if self._kind is ObjectType.COMMAND else self._object_max

    # --- what happened ------------------------------------------------------------------------------------------------

    def answered(self, message: bytes) -> None:
        """Take an answer; no bytes stand for something that was no frame. Ignores answers to earlier requests.

        Raises DfuRefusedError or DamagedLineError.
        """
        self.troubles.heard()
        try:
            answer = Answer.from_bytes(message)
        except FormatError:
            self._damaged()
            return
        if self._awaited is not None and answer.opcode == self._awaited.opcode:
            if answer.result == Result.SUCCESS:
                self._succeeded(answer)
            else:
                self._refused(answer)
        elif isinstance(answer.content, Checksum):
            self._receipt(answer.content)
        elif answer.opcode not in _OPCODES:
            self._damaged()
        else:
            self._in_vain()

    def silence(self) -> None:
        """Take note that nothing was heard in time. Raises SilentBootloaderError or DamagedLineError."""
        enough = self.troubles.silence(pinged=self.state is State.HELLO, ending=self._ending)
        if enough:
            self._give_up()
        elif self.state is State.HELLO:
            self._awaited = None
        else:
            self._trouble()

    def link_lost(self) -> None:
        """Take note that the link was lost, and is open again. Raises LinkError if that happens too often."""
        self._give_up() if self._ending else self._trouble()

    @property
    def ending(self) -> bool:
        """True from the last Execute on: the device may restart at any time, and a lost link is no failure."""
        return self._ending

    def _damaged(self) -> None:
        self.troubles.damaged += 1
        self._trouble()

    def _trouble(self) -> None:
        """Find out anew where the device stands."""
        self._go(self._hello())
        self._differed = self._probing = False
        self._writes.clear()
        if self.troubles.strike():
            self._give_up()

    def _in_vain(self, counts: int = 1) -> None:
        """Take note of an answer that brings nothing forward."""
        if self.troubles.in_vain(counts):
            self._give_up()

    def _give_up(self) -> None:
        if not self._ending:
            raise self.troubles.error(self.off, self.len)
        self._finish(confirmed=False)

    def _go(self, state: State) -> None:
        self.state = state
        self._awaited = self._doubtful = None

    def _finish(self, *, confirmed: bool) -> None:
        self.confirmed = confirmed
        self._go(State.DONE)

    # --- answers ------------------------------------------------------------------------------------------------------

    def _succeeded(self, answer: Answer) -> None:
        content = answer.content
        if isinstance(content, Pong) and content.id != self._ping_id:
            self._in_vain()
        elif isinstance(content, Pong):
            self._go(self._after_hello)
        elif isinstance(content, Mtu):
            if not self._is_doubtful(content):
                self._writes.longest = payload_max(content.size)
                self._go(State.RECEIPTS)
        elif isinstance(content, Selected):
            self._selected(content)
        elif isinstance(content, Checksum):
            self._checked(content)
        elif self.state is State.RECEIPTS:
            self._go(State.SELECT)
        elif self.state is State.CREATE:
            self._created()
        else:
            self._executed()

    def _is_doubtful(self, content: object) -> bool:
        """True at the first time that the device says ``content``: it is asked again."""
        if content == self._doubtful:
            return False
        self._awaited, self._doubtful = None, content
        return True

    def _selected(self, found: Selected) -> None:
        source = self._source
        fits = found.offset == 0 or self._is_beginning(found.offset, found.crc, len(source))
        usual = self._kind is ObjectType.COMMAND or found.max_size == PAGE_SIZE
        if not (fits and usual) and self._is_doubtful(found):
            return
        if self._kind is ObjectType.DATA:
            self._object_max = found.max_size or PAGE_SIZE
        if self._ending:
            self._ended(waits=fits and found.offset == self.len)
        elif fits:
            self._stand(found.offset)
        else:
            self._drop(found.offset)

    def _ended(self, *, waits: bool) -> None:
        """The device answers after the last Execute: ``waits`` for it, or has restarted."""
        if waits:
            self._probing = True
            self._go(State.EXECUTE)
        else:
            self._finish(confirmed=False)

    def _stand(self, offset: int) -> None:
        """Continue at ``offset``, where the device stands."""
        empty = self._differed and offset == self._at
        self._at = offset
        self._differed = False
        if self._kind is ObjectType.DATA:
            self.off = offset
            if not self._began:
                self.resumed_at, self._began = offset, True
        whole = offset == len(self._source) or offset % self._object_size == 0
        self._end = offset if whole else min((offset // self._object_size + 1) * self._object_size, len(self._source))
        if empty:
            self._end = min(offset + self._object_size, len(self._source))
            self._go(State.WRITE)
        elif offset == 0:
            self._go(State.CREATE)
        else:
            self._probing = True
            self._go(State.EXECUTE if whole else State.WRITE)

    def _drop(self, offset: int) -> None:
        """Drop the object that differs; where that was of no use, begin again with the init packet."""
        self._in_vain(DROP_COUNTS)
        if self._kind is ObjectType.COMMAND or self._differed or offset > self.len:
            self._kind = ObjectType.COMMAND
            self._at = self.off = 0
            self._differed = False
        else:
            self._back_to((offset - 1) // self._object_max * self._object_max)
        self._go(State.CREATE)

    def _back_to(self, start: int) -> None:
        """Write the object at ``start`` again, after a look where the device begins it."""
        self._at = start
        self._differed = True

    def _created(self) -> None:
        self._probing = False
        written = State.CHECK if self._at == self._end else State.WRITE
        self._go(State.SELECT if self._differed else written)

    def _checked(self, found: Checksum) -> None:
        if found.offset == self._at and self._is_beginning(found.offset, found.crc, self._at):
            self._writes.clear()
            if self._kind is ObjectType.DATA:
                self.off = self._at
            self._go(State.WRITE if self._at < self._end else State.EXECUTE)
        elif not self._is_beginning(found.offset, found.crc, self._at):
            self._damaged()
        elif self._writes.receipts:  # a late receipt
            self._in_vain()
        else:  # the device lacks what was written last
            self._trouble()

    def _receipt(self, found: Checksum) -> None:
        """Take a receipt, or an old answer."""
        if not self._is_beginning(found.offset, found.crc, self._at):
            self._damaged()
        elif not self._writes.confirm(found.offset):
            self._in_vain()

    def _is_beginning(self, offset: int, crc: int, end: int) -> bool:
        """True if ``crc`` is that of the first ``offset`` bytes of ours, which are at most ``end``."""
        return offset <= end and self._checksums[self._kind].of(offset) == crc

    def _executed(self) -> None:
        self._probing = False
        self._go(State.SELECT if self._kind is ObjectType.COMMAND else State.CREATE)
        if self._kind is ObjectType.COMMAND:
            self._kind = ObjectType.DATA
            return
        self.off = self._at
        if self._at > self._best:
            self._best, self._refusal = self._at, None
            self.troubles.progress()
        if self._at == self.len:
            self._finish(confirmed=True)

    # --- refusals -----------------------------------------------------------------------------------------------------

    def _refused(self, answer: Answer) -> None:
        execute = answer.opcode == Opcode.EXECUTE
        if answer.opcode == Opcode.PING:  # a sign of life all the same
            self._go(self._after_hello)
        elif execute and self._probing and answer.result == Result.OPERATION_NOT_PERMITTED:
            self._not_whole()
        elif answer.result not in REFUSALS or (execute and self._ending and answer.result not in LAST_REFUSALS):
            self._damaged()
        elif execute and self._ending:
            self._refused_at_last(answer)
        elif answer != self._refusal:
            self._refusal = answer
            if answer.opcode == Opcode.CREATE and answer.result == Result.OPERATION_NOT_PERMITTED:
                self._kind = ObjectType.COMMAND
            self._trouble()
        elif answer.opcode == Opcode.MTU:
            self._writes.longest = payload_max(UART_MTU)
            self._go(State.RECEIPTS)
        else:
            raise refusal(answer, self._kind)

    def _refused_at_last(self, answer: Answer) -> None:
        """The device restarts, so that it cannot be asked again: on a line that damages answers, this may be one."""
        if not self.troubles.damaged:
            raise refusal(answer, self._kind)
        self._finish(confirmed=False)

    def _not_whole(self) -> None:
        """The device has no whole object to execute: create one."""
        self._probing = self._ending = False
        self._in_vain(DROP_COUNTS)
        if self._kind is ObjectType.COMMAND:
            self._at = 0
        elif self._at == self.len:
            self._back_to((self._at - 1) // self._object_max * self._object_max)
        self._go(State.CREATE)
