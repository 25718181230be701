"""What an SBOM says of an image of a package, as properties of the namespace ``smpdfu:``.

The names are in docs/reference/file-formats.md, "SBOM". They are part of the format: none changes its meaning.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from smpdfu.dfu.build_folder.build import Build
from smpdfu.dfu.evidence.sbom_document import NAMESPACE
from smpdfu.dfu.package.images import PackageImage, Role
from smpdfu.image.nsib.firmware_info import FirmwareInfo
from smpdfu.image.nsib.seal import ValidationInfo
from smpdfu.image.tlv import TlvType


def image_facts(image: PackageImage, build: Build | None = None) -> tuple[tuple[str, str], ...]:
    """Name and value of each property of an image; a name stands several times where there are several values."""
    found = (*_of_image(image), *_of_entry(image), *_of_build(build, image))
    return tuple((NAMESPACE + name, value) for name, value in found)


def _of_image(image: PackageImage) -> Iterator[tuple[str, str]]:
    inner = image.image
    if image.hash is not None:
        yield "image-hash", image.hash.hex()
    yield "role", str(image.role)
    yield "core", str(image.core)
    yield "encrypted", "true" if inner.encrypted else "false"
    if inner.security_counter is not None:
        yield "security-counter", str(inner.security_counter)
    for tlv in inner.unprotected:
        if tlv.type == TlvType.KEYHASH:
            yield "key-hash", tlv.data.hex()
        elif tlv.type == TlvType.PUBKEY:
            yield "key-hash", hashlib.sha256(tlv.data).hexdigest()
    sealed = _seal(image)
    if sealed is not None:
        yield "nsib-key-hash", hashlib.sha256(sealed.public_key).hexdigest()


def _seal(image: PackageImage) -> ValidationInfo | None:
    """The seal of NSIB around the firmware; None where there is none, or where it cannot be read (encrypted)."""
    if image.image.encrypted or image.role not in (Role.NET, Role.MCUBOOT):
        return None
    info = FirmwareInfo.find(image.image.payload)
    return None if info is None else ValidationInfo.find(image.image.payload, info.size)


def _of_entry(image: PackageImage) -> Iterator[tuple[str, str]]:
    yield "image-index", str(image.image_index)
    if image.slot is not None:
        yield "slot", str(image.slot)
    if image.load_address is not None:
        yield "load-address", f"0x{image.load_address:x}"
    for name in ("board", "soc"):
        value = image.entry.get(name)
        if isinstance(value, str) and value.isprintable() and value:
            yield name, value


def _of_build(build: Build | None, image: PackageImage) -> Iterator[tuple[str, str]]:
    update = None if build is None else next((one for one in build.updates if one.name == image.file), None)
    if update is None:
        return
    yield "build-image", update.image.name or "application"
    if update.image.zephyr is not None:
        yield "zephyr", update.image.zephyr.value
    if update.image.ncs is not None:
        yield "ncs", update.image.ncs.value
