"""Messages of the DFU protocol: their bytes, their round trip, and what garbage does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.errors import FormatError
from smpdfu.securedfu.protocol.messages import (
    ANSWER_MAX,
    Abort,
    Answer,
    Checksum,
    CreateObject,
    Execute,
    ExtendedError,
    FirmwareVersion,
    GetChecksum,
    GetFirmwareVersion,
    GetHardwareVersion,
    GetMtu,
    GetProtocolVersion,
    HardwareVersion,
    Mtu,
    Numbers,
    ObjectType,
    Opcode,
    Ping,
    Pong,
    ProtocolVersion,
    Request,
    Result,
    Selected,
    SelectObject,
    SetReceipts,
    UnknownRequest,
    WriteObject,
    read_request,
)

U8, U16, U32 = st.integers(0, 0xFF), st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)

# The bytes are those of nrfutil 6.1.7 (dfu_transport_serial.py) and of the SDK's response_send.
REQUESTS = (
    (GetProtocolVersion(), "00"),
    (CreateObject(ObjectType.COMMAND, 141), "01018d000000"),
    (CreateObject(ObjectType.DATA, 4096), "010200100000"),
    (SetReceipts(12), "020c00"),
    (GetChecksum(), "03"),
    (Execute(), "04"),
    (SelectObject(ObjectType.DATA), "0602"),
    (GetMtu(), "07"),
    (WriteObject(b"\xc0\xdb\x00"), "08c0db00"),
    (Ping(7), "0907"),
    (GetHardwareVersion(), "0a"),
    (GetFirmwareVersion(2), "0b02"),
    (Abort(), "0c"),
)
ANSWERS = (
    (Answer(Opcode.PROTOCOL_VERSION, content=ProtocolVersion(1)), "60000101"),
    (Answer(Opcode.CREATE), "600101"),
    (Answer(Opcode.CHECKSUM, content=Checksum(0x1000, 0xDEADBEEF)), "60030100100000efbeadde"),
    (Answer(Opcode.EXECUTE, Result.OPERATION_NOT_PERMITTED), "600408"),
    (Answer(Opcode.EXECUTE, Result.EXTENDED_ERROR, extended=ExtendedError.HW_VERSION_FAILURE), "60040b06"),
    (Answer(Opcode.SELECT, content=Selected(4096, 8192, 0x01020304)), "600601" + "00100000" + "00200000" + "04030201"),
    (Answer(Opcode.MTU, content=Mtu(131)), "6007018300"),
    (Answer(Opcode.PING, content=Pong(7)), "60090107"),
    (
        Answer(Opcode.HARDWARE_VERSION, content=HardwareVersion(0x52840, 0x41414430, 0x100000, 0x40000, 4096)),
        "600a01" + "40280500" + "30444141" + "00001000" + "00000400" + "00100000",
    ),
    (
        Answer(Opcode.FIRMWARE_VERSION, content=FirmwareVersion(1, 3, 0x27000, 0x1234)),
        "600b01" + "01" + "03000000" + "00700200" + "34120000",
    ),
    (Answer(0x55, Result.OPCODE_NOT_SUPPORTED), "605502"),
)


@pytest.mark.parametrize(("request_", "expected"), REQUESTS, ids=lambda one: type(one).__name__)
def test_request_has_these_bytes(request_: Request, expected: str) -> None:
    assert request_.to_bytes().hex() == expected
    assert read_request(bytes.fromhex(expected)) == request_
    assert type(request_).from_bytes(bytes.fromhex(expected)) == request_


@pytest.mark.parametrize(("answer", "expected"), ANSWERS, ids=lambda one: str(one)[:40])
def test_answer_has_these_bytes(answer: Answer, expected: str) -> None:
    assert answer.to_bytes().hex() == expected
    assert Answer.from_bytes(bytes.fromhex(expected)) == answer
    assert len(answer.to_bytes()) <= ANSWER_MAX


@given(kind=U8, size=U32)
def test_create_survives_a_round_trip(kind: int, size: int) -> None:
    assert read_request(CreateObject(kind, size).to_bytes()) == CreateObject(kind, size)


@given(max_size=U32, offset=U32, crc=U32)
def test_selected_survives_a_round_trip(max_size: int, offset: int, crc: int) -> None:
    answer = Answer(Opcode.SELECT, content=Selected(max_size, offset, crc))
    assert Answer.from_bytes(answer.to_bytes()) == answer


@given(st.binary(max_size=40))
def test_garbage_is_a_format_error_or_the_same_bytes_again(data: bytes) -> None:
    try:
        answer = Answer.from_bytes(data)
    except FormatError:
        pass
    else:
        assert answer.to_bytes() == data
    try:
        request = read_request(data)
    except FormatError:
        return
    if isinstance(request, UnknownRequest):
        assert bytes([request.opcode]) + request.data == data
    else:
        assert data.startswith(request.to_bytes())  # what stands behind the parameters is ignored, as in the SDK


@pytest.mark.parametrize("data", ["", "60", "6003", "610301", "600301", "60030100", "600101ff", "60040b0606"])
def test_what_is_no_answer(data: str) -> None:
    with pytest.raises(FormatError):
        Answer.from_bytes(bytes.fromhex(data))


@pytest.mark.parametrize("data", ["", "01", "0102001000", "02", "0201", "06", "09", "0b"])
def test_a_request_that_is_too_short(data: str) -> None:
    with pytest.raises(FormatError):
        read_request(bytes.fromhex(data))


@pytest.mark.parametrize("message", [SetReceipts(0x10000), CreateObject(2, -1), Ping(256), Mtu(-1)])
def test_a_number_that_does_not_fit_is_wrong_use(message: Numbers) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        message.to_bytes()


def test_a_request_is_read_only_as_what_it_is() -> None:
    with pytest.raises(FormatError):
        Ping.from_bytes(b"\x0a\x01")
    with pytest.raises(FormatError):
        WriteObject.from_bytes(b"\x09\x01")
