"""Questions to the fs group that prove what is in a file of the device."""

from __future__ import annotations

from typing import TypeVar

from smpdfu.client.client import Client
from smpdfu.client.file_hash import HASHES, Hash, hash_bytes
from smpdfu.client.retry import insist
from smpdfu.errors import DeviceError
from smpdfu.smp.groups.fs import FileHash, HashTypes
from smpdfu.smp.message import Request, Response

HASH_BYTES_PER_S = 20_000
"""What a slow device hashes: it reads the whole file before it answers."""
R = TypeVar("R", bound=Response)


def hashes() -> dict[str, Hash]:
    """New ones of all kinds that are known here."""
    return {kind: new() for kind, new in HASHES.items()}


async def hash_kind(client: Client) -> str | None:
    """The best kind of hash that the device and we have."""
    try:
        types = (await ask(client, HashTypes())).types
    except DeviceError:
        return None
    return next((kind for kind in HASHES if kind in types), None)


async def their_hash(client: Client, name: str, kind: str, count: int) -> bytes:
    """The device's hash over the first ``count`` bytes of its file ``name``."""
    request = FileHash(name, kind, len=count)
    return hash_bytes(await ask(client, request, client.timeout_s + count / HASH_BYTES_PER_S))


async def ask(client: Client, request: Request[R], timeout_s: float | None = None) -> R:
    """The answer; a lost link is opened again, and a busy device asked again, as often as requests are attempted."""
    return await insist(
        lambda: client.request(request, timeout_s=timeout_s),
        lambda: client.wait_for_device(client.patience.reconnect_s),
        attempts=client.attempts,
        pause_s=client.patience.pause_s,
    )
