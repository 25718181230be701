"""The keys that a person says b0 and b0n of a device trust, and what they make of the seal of an image.

A key is given by itself (its public half is enough), or by provisioning data, which have the hashes of all keys in the
order in which the bootloader goes through them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from smpdfu.errors import FormatError
from smpdfu.image.files import MAX_KEY_BYTES, no_passphrase, parse_firmware, parse_key
from smpdfu.image.nrf5340 import APP, NET
from smpdfu.image.nsib.firmware_info import FirmwareInfo
from smpdfu.image.nsib.provision import CounterUse
from smpdfu.image.nsib.provision_reading import find_provision
from smpdfu.image.nsib.seal import raw_public_key
from smpdfu.image.nsib.sealed_by import KnownKey, SealedBy, SealState, sealed_by
from smpdfu.untrusted.files import read_start


class Nsib(StrEnum):
    """The immutable bootloader of a core: b0 checks MCUboot, b0n the network core's firmware."""

    B0 = "b0"
    B0N = "b0n"


@dataclass(frozen=True, slots=True)
class ReadKeys:
    """What a file says of NSIB: its keys, and the lowest firmware version that its counter lets start; None: unsaid."""

    keys: tuple[KnownKey, ...]
    lowest_version: int | None = None


@dataclass(frozen=True, slots=True)
class NsibKeys:
    """The keys of b0n (``net``) and of b0 (``b0``), in the order in which they are provisioned; empty: not known.

    ``lowest_version``: what b0's monotonic counter lets start, as a dump of its provisioning data shows; None: unknown.
    """

    net: tuple[KnownKey, ...] = ()
    b0: tuple[KnownKey, ...] = ()
    lowest_version: int | None = None


def with_read_keys(known: NsibKeys, net: Sequence[ReadKeys], b0: Sequence[ReadKeys]) -> NsibKeys:
    """Return the keys with what files say, behind what is known already."""
    versions = [one for one in (known.lowest_version, *(one.lowest_version for one in b0)) if one is not None]
    return NsibKeys(
        (*known.net, *(key for one in net for key in one.keys)),
        (*known.b0, *(key for one in b0 for key in one.keys)),
        max(versions, default=None),
    )


NO_NSIB_KEYS = NsibKeys()
CHECKS_KEYS = "was built to check signatures"
"""b0 always is. b0n is not, unless a build changes that: by default it checks the hash of a seal only. No device
reports it. Source: ``SB_VALIDATE_FW_SIGNATURE`` in ``subsys/bootloader/bl_validation/Kconfig`` of the nRF Connect SDK.
"""


def keys_of(loader: Nsib, nsib: NsibKeys) -> tuple[KnownKey, ...]:
    """The keys of one of the two bootloaders."""
    return nsib.net if loader is Nsib.B0N else nsib.b0


def read_nsib_keys(
    path: str | os.PathLike[str], ask: Callable[[], bytes | None] = no_passphrase
) -> tuple[KnownKey, ...]:
    """Read a file: a key in PEM, or provisioning data as Intel HEX, which may name several keys.

    ``ask`` gives the passphrase of a private key. Raises SigningError, FormatError, OSError.
    """
    return read_keys_of(None, path, ask).keys


def read_keys_of(
    loader: Nsib | None, path: str | os.PathLike[str], ask: Callable[[], bytes | None] = no_passphrase
) -> ReadKeys:
    """The same for one of the two bootloaders: provisioning data of the other core are a FormatError."""
    name = os.fspath(path)
    return nsib_keys_in(read_start(name, MAX_KEY_BYTES + 1), name, ask, loader=loader)


def nsib_keys_in(
    data: bytes, name: str, ask: Callable[[], bytes | None] = no_passphrase, *, loader: Nsib | None = None
) -> ReadKeys:
    """The same of bytes that were read; ``name`` is for messages."""
    if data.lstrip().startswith(b":"):
        return _provisioned_keys(data, name, loader)
    key = parse_key(data, name, ask).public
    raw_public_key(key)
    return ReadKeys((key,))


def _provisioned_keys(data: bytes, name: str, loader: Nsib | None) -> ReadKeys:
    """The keys and the counter in provisioning data, which are Intel HEX. Raises FormatError for data without keys."""
    try:
        found = find_provision(parse_firmware(data, name))
    except FormatError as error:
        raise FormatError(f"{name}: {error}", error.offset).because(error.code) from None
    if not found.keys:
        raise FormatError(f"{name} has no keys of NSIB: it is provisioning data for MCUboot alone")
    if loader is not None and found.s0 in (other := APP if loader is Nsib.B0N else NET):
        raise FormatError(
            f"{name} is no provisioning data for {loader}: its slot S0, at 0x{found.s0:08x}, is in the flash of the "
            f"{other.words}. Take the file of the other core"
        )
    counter = found.counter(CounterUse.NSIB)
    return ReadKeys(found.keys, counter.version if counter is not None and counter.values else None)


def below_counter(version: int, lowest: int | None) -> str | None:
    """Why b0 does not start firmware of this version, by its monotonic counter; None if that lets it start."""
    if lowest is None or version >= lowest:
        return None
    return f"its firmware version {version} is below {lowest}, the lowest that b0's monotonic counter lets start"


@dataclass(frozen=True, slots=True)
class SealFault:
    """Why b0 or b0n refuses a seal, in one sentence, and the ``state`` of the seal."""

    state: SealState
    message: str


def judge_seal(payload: bytes, keys: Sequence[KnownKey], loader: Nsib) -> tuple[SealedBy, SealFault | None]:
    """Who of ``keys`` sealed the firmware ``payload``, and why ``loader`` refuses it; None if it does not."""
    by = sealed_by(payload, keys)
    if by.accepted:
        return by, None
    if FirmwareInfo.find(payload) is None:
        return by, SealFault(by.state, f"the firmware has no firmware info, by which {loader} knows a firmware")
    key = "" if by.key_hash is None else by.key_hash.hex()
    erased = f"the hash of key {1 + (by.position or 0)} has 0xffff in it, as erased memory"
    text = {
        SealState.NO_SEAL: f"the firmware has no seal, and {loader} refuses it",
        SealState.HASH_WRONG: "the firmware does not have the hash of its seal",
        SealState.UNKNOWN_KEY: f"the seal is of a key that {loader} does not have (hash {key})",
        SealState.REVOKED: f"the seal is of a key that is revoked in {loader} (hash {key})",
        SealState.KEYS_UNUSABLE: f"{loader} stops at its keys: {erased}",
        SealState.SIGNATURE_WRONG: f"the signature of the seal is not that of its key (hash {key})",
    }
    return by, SealFault(by.state, text[by.state])


def revocation(by: SealedBy, count: int, loader: Nsib) -> str | None:
    """What a boot of firmware with this seal does to the keys before its own; None for nothing.

    ``count`` is the number of keys that the bootloader has.
    """
    if not by.revokes:
        return None
    others, seals = ("key 1", "its seal") if len(by.revokes) == 1 else (f"keys 1 to {len(by.revokes)}", "their seals")
    when = f"when {loader} accepts it, it" if loader is Nsib.B0 else f"if {loader} {CHECKS_KEYS}, it"
    return (
        f"it is sealed with key {len(by.revokes) + 1} of {count}: {when} revokes {others} permanently, and then "
        f"refuses firmware with {seals}"
    )
