"""What was found in a build folder, as rows: of what, its name, its value, and the file and key that say so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from smpdfu.dfu.build_folder.build import Build, Fact, UpdateImage
from smpdfu.dfu.build_folder.find import StrPath, find_build
from smpdfu.dfu.build_folder.packing.overrides import BuildOverrides, overridden
from smpdfu.dfu.package.seals import LOADERS
from smpdfu.virtual.chip.boot_mode import BootMode


@dataclass(frozen=True, slots=True)
class BuildFact:
    """One value, for people. ``origin`` says where it comes from. ``of`` is ``build`` or a file of the package."""

    of: str
    name: str
    value: str
    origin: str


def describe_build(path: StrPath, overrides: BuildOverrides | None = None) -> tuple[BuildFact, ...]:
    """Read a build folder of the nRF Connect SDK, and return what it says of itself. Nothing is written.

    ``overrides`` are values to be taken instead of the build's, as in ``BuildRequest``: their ``origin`` is ``given``.
    Raises PackageError, OSError.
    """
    build = find_build(path)
    return facts_of(build if overrides is None else overridden(build, overrides))


def facts_of(build: Build) -> tuple[BuildFact, ...]:
    """All that matters of a build: first of the whole, then of each image of its package."""
    updates = (*build.updates, *build.mcuboot_updates)
    return (*_of_build(build), *(row for one in updates for row in _of_update(build, one)))


def _row(of: str, name: str, fact: Fact[Any] | None, value: str | None = None) -> Iterator[BuildFact]:
    if fact is not None:
        yield BuildFact(of, name, str(fact.value) if value is None else value, fact.origin)


def _of_build(build: Build) -> Iterator[BuildFact]:
    of, app, loader = "build", build.application, build.bootloader
    yield BuildFact(of, "kind", build.kind.value, app.config.file)
    yield BuildFact(
        of, "images", ", ".join(f"{one.name or 'application'} ({one.role.value})" for one in build.images), ""
    )
    yield from _row(of, "board", app.board)
    yield from _row(of, "SoC", app.soc)
    yield from _row(of, "nRF Connect SDK", app.ncs)
    if loader.mode is not None:
        # By the name that ``SwapMode`` and a virtual board have for it.
        yield from _row(of, "bootloader mode", loader.mode, str(BootMode.of_number(loader.mode.value)))
    yield from _row(of, "image pairs", loader.pairs)
    if loader.simultaneous is not None:
        scheme = "simultaneous" if loader.simultaneous.value else "staged"
        yield from _row(of, "update of both cores", loader.simultaneous, scheme)
    yield from _row(of, "signature", loader.signature)
    if loader.encryption is not None:
        bits = loader.key_bits.value
        yield from _row(of, "encryption", loader.encryption, f"{loader.encryption.value}, AES-{bits}")
    yield from _row(of, "key that the build signs with", loader.key_file)
    if loader.encryption is not None:
        yield from _row(of, "key that the build encrypts with", loader.encryption_key_file)
    if build.nsib is not None:
        yield from _row(of, "key that the build seals with", build.nsib.key_file or build.nsib.generated_key)
    if loader.checks_address is not None:
        yield from _row(of, "load address in the header", loader.checks_address, "demanded by the bootloader")


def _of_update(build: Build, update: UpdateImage) -> Iterator[BuildFact]:
    of, slot = update.name, update.slot.value
    yield BuildFact(of, "firmware", update.unsigned or "none", update.image.name or "application")
    yield BuildFact(of, "signed image", update.signed or "none", update.image.name or "application")
    yield from _row(of, "version", update.version)
    if update.security_counter is not None:
        yield from _row(of, "security counter", update.security_counter)
    yield from _row(of, "slot", update.slot, f"0x{slot.address:x}, 0x{slot.size:x} bytes")
    if update.limit.value != slot:
        yield from _row(of, "must fit", update.limit, f"0x{update.limit.value.size:x} bytes")
    yield from _row(of, "header", update.header_size, f"0x{update.header_size.value:x} bytes")
    yield from _row(of, "sector", update.sector_size, f"0x{update.sector_size.value:x} bytes")
    yield from _row(of, "write unit", update.align, f"{update.align.value} bytes")
    yield from _row(of, "image number", update.number)
    if update.slot_number is not None:
        yield BuildFact(of, "for slot", str(update.slot_number), update.number.origin)
    yield from _row(of, "load address in the manifest", update.load_address, f"0x{update.load_address.value:x}")
    if update.role in LOADERS:
        sealed = "yes" if update.sealed else "no"
        yield BuildFact(of, f"signed for {LOADERS[update.role]}", sealed, update.unsigned or update.signed or "")
    if update.encrypted:
        yield from _row(of, "encrypted", build.bootloader.encryption, "yes")
