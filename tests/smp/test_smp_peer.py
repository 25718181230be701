"""An independent implementation (the ``smp`` package from PyPI) writes the same bytes, and reads ours."""

from __future__ import annotations

from typing import Any

import pytest
from smp import header as peer_header
from smp import image_management as peer_image
from smp import os_management as peer_os
from smp import packet

from smpdfu.smp import cbor
from smpdfu.smp.framing import ConsoleFraming
from smpdfu.smp.groups import find_request, image, os
from smpdfu.smp.message import Request, Response, decode_map, split_message
from smpdfu.smp.session import read_outcome

HASH = bytes(range(32))
REQUESTS: list[tuple[Request[Any], type[Any], dict[str, Any]]] = [
    (os.Echo("hällo"), peer_os.EchoWriteRequest, {"d": "hällo"}),
    (os.Reset(), peer_os.ResetWriteRequest, {}),
    (os.Reset(force=1), peer_os.ResetWriteRequest, {"force": 1}),
    (os.Params(), peer_os.MCUMgrParametersReadRequest, {}),
    (os.Info("a"), peer_os.OSApplicationInfoReadRequest, {"format": "a"}),
    (os.BootloaderInfo("mode"), peer_os.BootloaderInformationReadRequest, {"query": "mode"}),
    (image.StateRead(), peer_image.ImageStatesReadRequest, {}),
    (image.StateWrite(HASH, confirm=True), peer_image.ImageStatesWriteRequest, {"hash": HASH, "confirm": True}),
    (image.Erase(1), peer_image.ImageEraseRequest, {"slot": 1}),
    (image.ImageUpload(off=70000, data=HASH * 9), peer_image.ImageUploadWriteRequest, {"off": 70000, "data": HASH * 9}),
    (
        image.ImageUpload(image=1, off=0, len=99999, sha=HASH, data=bytes(300), upgrade=True),
        peer_image.ImageUploadWriteRequest,
        {"image": 1, "off": 0, "len": 99999, "sha": HASH, "data": bytes(300), "upgrade": True},
    ),
]


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(("ours", "kind", "values"), REQUESTS, ids=lambda value: getattr(value, "title", None))
def test_requests(ours: Request[Any], kind: type[Any], values: dict[str, Any], version: int) -> None:
    theirs = kind(version=peer_header.Version(version - 1), sequence=77, **values)
    header, body = split_message(bytes(theirs))
    assert header == split_message(ours.to_bytes(77, version)).header
    assert cbor.loads(body) == cbor.loads(ours.to_body())  # a map has no order
    message = ours.to_bytes(77, version)
    assert message == kind.loads(message).BYTES
    assert find_request(header.op, header.group, header.command) is type(ours)
    assert type(ours).from_map(decode_map(body)) == ours


SLOT: dict[str, Any] = {
    "slot": 1,
    "version": "1.2.3",
    "hash": HASH,
    "bootable": True,
    "pending": True,
    "confirmed": False,
}
RESPONSES: list[tuple[Request[Any], type[Any], dict[str, Any], Response]] = [
    (os.Echo(), peer_os.EchoWriteResponse, {"r": "x"}, os.EchoReply("x")),
    (
        os.Params(),
        peer_os.MCUMgrParametersReadResponse,
        {"buf_size": 2475, "buf_count": 4},
        os.ParamsReply(2475, 4),
    ),
    (
        image.StateRead(),
        peer_image.ImageStatesReadResponse,
        {"images": [peer_image.ImageState(**SLOT)], "splitStatus": 0},
        image.StateReply((image.ImageSlot(slot=1, version="1.2.3", hash=HASH, bootable=True, pending=True),), 0),
    ),
    (
        image.ImageUpload(off=0),
        peer_image.ImageUploadWriteResponse,
        {"off": 5, "match": True},
        image.UploadReply(5, match=True),
    ),
]


@pytest.mark.parametrize(
    ("request_", "kind", "values", "expected"), RESPONSES, ids=lambda value: getattr(value, "title", None)
)
def test_responses(request_: Request[Any], kind: type[Any], values: dict[str, Any], expected: Response) -> None:
    theirs = bytes(kind(version=peer_header.Version.V2, sequence=3, **values))
    assert read_outcome(request_, split_message(theirs).body) == expected


@pytest.mark.parametrize("size", [0, 1, 2, 80, 90, 400, 2000])
def test_console_framing(size: int) -> None:
    message = os.Echo("x" * size).to_bytes(1)
    wire = ConsoleFraming().encode(message)
    assert wire == b"".join(packet.encode(message, line_length=128))  # it counts one byte that it never sends
    *lines, last = wire.splitlines(keepends=True)
    decoder = packet.decode()
    next(decoder)
    for line in lines:
        decoder.send(line)
    with pytest.raises(StopIteration) as done:
        decoder.send(last)
    assert done.value.value == message
