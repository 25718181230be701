"""``provision make`` and ``provision show``: call the library, and show the data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smpdfu.cli.image.key_files import read_verifier
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.show import Output, facts, stacked, table
from smpdfu.image.files import Segment, encode_firmware, read_firmware, write_file_atomic
from smpdfu.image.image_file import is_hex, naming
from smpdfu.image.nsib.provision import (
    Counter,
    Place,
    Provision,
    ProvisionedKey,
    Tokens,
    mcuboot_provision,
    provision_for,
    room,
)
from smpdfu.image.nsib.provision_reading import find_provision, problems
from smpdfu.image.signers import shown_key
from smpdfu.image.signing.release import key_warnings

if TYPE_CHECKING:
    from rich.console import RenderableType

    from smpdfu.cli.image.options import Release
    from smpdfu.cli.keys.options import PassphraseOptions
    from smpdfu.cli.nsib.options import ProvisionBuild, ProvisionValues
    from smpdfu.cli.terminal.outputs import Replace
    from smpdfu.image.keys.keys import PublicKey

_USES = {1: "lowest version of the firmware (NSIB)", 2: "MCUboot's security counter"}


def make_file(
    output: Path,
    data: ProvisionValues,
    build: ProvisionBuild,
    secret: PassphraseOptions,
    guard: Release,
    replacing: Replace,
    out: Output,
) -> None:
    """Make the file, and show what is in it. Raises typer.BadParameter, ImageError, SigningError, OSError."""
    if not is_hex(output):
        raise typer.BadParameter("the data have an address, which only a .hex file can hold: give -o a name with .hex")
    if data.address % 4:
        raise typer.BadParameter(f"--address 0x{data.address:x} is not a multiple of 4: the bootloader reads words")
    replacing.check((output,), (*(data.key or ()), secret.passphrase_file))
    keys = [read_verifier(key, secret.source()) for key in data.key or ()]
    made = _mcuboot_only(data, build) if build.mcuboot_only else _for_nsib(data, build, keys)
    warnings = [{"code": "known-key", "message": one} for one in _known(keys, guard)]
    begin = made.place.begin(data.address)
    try:
        segment = Segment(begin, made.to_bytes())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    write_file_atomic(output, encode_firmware((segment,), output), replace_keys=replacing.force)
    names = {ProvisionedKey.of(key).hash: shown_key(name) for key, name in zip(keys, data.key or (), strict=True)}
    for warning in warnings:
        out.warn(warning["message"])
    about = {"file": output, "begin": begin, "size_bytes": len(segment.data)}
    out.emit(about | _summary(made, names) | {"warnings": warnings}, lambda: _shown(made, names, output, begin))


def show_provision(
    file: Path, secret: PassphraseOptions, out: Output, address: int | None, keys: Sequence[str]
) -> None:
    """Show what the file has. Raises ImageError, SigningError, OSError."""
    names = {ProvisionedKey.of(read_verifier(key, secret.source())).hash: shown_key(key) for key in keys}
    firmware = read_firmware(file)
    with naming(file):
        found = find_provision(firmware, address)
    warnings = [{"code": one.code, "message": one.message} for one in problems(found)]
    absent = [name for digest, name in names.items() if digest not in {key.hash for key in found.keys}]
    warnings += [
        {"code": "provision-key-absent", "message": f"{name} is none of the keys in the data"} for name in absent
    ]
    for warning in warnings:
        out.warn(warning["message"])
    answer = {"file": file} | _summary(found, names) | {"warnings": warnings}
    out.emit(answer, lambda: _shown(found, names, file))


def _known(keys: Sequence[PublicKey], guard: Release) -> tuple[str, ...]:
    """What is to be said about keys that everybody has; MCUboot alone has no keys here."""
    return key_warnings(keys, None, release=guard.release) if keys else ()


def _for_nsib(data: ProvisionValues, build: ProvisionBuild, keys: Sequence[PublicKey]) -> Provision:
    if data.s0 is None:
        raise typer.BadParameter("give the address of the slot with --s0")
    if build.bare:
        raise typer.BadParameter("--bare needs --mcuboot-only")
    return provision_for(
        data.s0,
        data.s1,
        keys,
        counter_slots=data.counter_slots,
        mcuboot_counter_slots=data.mcuboot_counter_slots,
        tokens=Tokens(build.tokens),
        max_bytes=_max_bytes(data, build),
    )


def _max_bytes(data: ProvisionValues, build: ProvisionBuild) -> int:
    return room(data.address) if build.max_size is None else build.max_size


def _mcuboot_only(data: ProvisionValues, build: ProvisionBuild) -> Provision:
    if data.s0 is not None or data.s1 is not None or data.key or data.counter_slots:
        raise typer.BadParameter(
            "--mcuboot-only goes with --address and --mcuboot-counter-slots only: there is no NSIB"
        )
    place = Place.BARE if build.bare else Place.MCUBOOT
    return mcuboot_provision(data.mcuboot_counter_slots, place=place, max_bytes=_max_bytes(data, build))


def _shown(data: Provision, names: dict[bytes, str], file: Path, begin: int | None = None) -> RenderableType:
    pairs: list[tuple[str, object]] = [("written" if begin is not None else "file", file)]
    if begin is not None:
        pairs.append(("begins at", f"0x{begin:08x}"))
    if data.life_cycle is not None:
        pairs.append(("life cycle", data.life_cycle))
    if data.implementation_id is not None:
        pairs.append(("implementation", data.implementation_id))
    if data.place is Place.NSIB:
        one_slot = data.s0 == data.s1
        pairs += [("S0", f"0x{data.s0:08x}"), ("S1", "none" if one_slot else f"0x{data.s1:08x}")]
        pairs.append(("tokens", data.tokens))
    else:
        pairs.append(("for", "MCUboot without NSIB"))
    pairs += [(f"data of type {one.type}", one.data) for one in data.variable]
    parts = [facts(pairs)]
    if data.keys:
        rows = [(number, key.hash, _state(key), names.get(key.hash)) for number, key in enumerate(data.keys, 1)]
        parts.append(table("keys", ("key", "hash", "state", "name"), rows, long=True))
    if data.counters:
        counts = [(_USES[one.use], _value(one, data), one.slots, one.left) for one in data.counters]
        parts.append(table("counters", ("counts", "value", "slots", "left"), counts))
    return stacked(*parts)


def _value(counter: Counter, data: Provision) -> str:
    """What a counter stands at; for NSIB the version, and the slot with the firmware that had it first."""
    if counter.version is None:
        return str(counter.current)
    slot = "" if counter.slot is None or data.s0 == data.s1 else f" (from S{counter.slot})"
    return f"{counter.version}{slot}"


def _state(key: ProvisionedKey) -> str:
    if key.revoked:
        return "revoked"
    return "valid" if key.usable else "unusable"


def _summary(data: Provision, names: dict[bytes, str]) -> dict[str, Any]:
    """The data, for scripts."""
    nsib = data.place is Place.NSIB
    return {
        "place": data.place,
        "tokens": data.tokens if nsib else None,
        "s0_address": data.s0 if nsib else None,
        "s1_address": data.s1 if nsib else None,
        "life_cycle": data.life_cycle,
        "implementation_id": data.implementation_id,
        "keys": [
            {"key": number, "hash": key.hash, "state": _state(key), "name": names.get(key.hash)}
            for number, key in enumerate(data.keys, 1)
        ],
        "counters": [
            {
                "counts": one.use.name.lower(),
                "value": one.current,
                "version": one.version,
                "slot": one.slot,
                "slots": one.slots,
                "used": len(one.values),
                "left": one.left,
            }
            for one in data.counters
        ],
        "variable_data": [{"type": one.type, "data": one.data} for one in data.variable],
    }
