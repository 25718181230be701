"""What speaks against the TLVs of an image, whatever its keys are: their places, their lengths, their mixture."""

from __future__ import annotations

from collections.abc import Iterator

from smpdfu.image.format import (
    COMPRESSED_FLAGS,
    HASH_TYPES,
    SIGNATURE_TYPES,
    TLV_HEADER_SIZE,
    Flag,
    Image,
    Tlv,
    TlvType,
)
from smpdfu.image.loader_build import KEY_TYPES, READ_BY_SOME, LoaderBuild
from smpdfu.image.verification.verdict import Code, Finding

PACKED_FLAGS = COMPRESSED_FLAGS | Flag.COMPRESSED_ARM_THUMB
_OF_PACKED = (TlvType.DECOMP_SIZE, TlvType.COMP_DEC_SIZE)

# What follows where it is not that the image is refused: its check is passed, and then no image of the update is taken
# (``boot_verify_dependencies`` of upstream's and Nordic's ``loader.c``).
_THEN: dict[int, str] = {TlvType.DEPENDENCY: "install nothing while such an image is marked"}
_CONSEQUENCES: dict[int, str] = {
    TlvType.DEPENDENCY: ": a bootloader with several image pairs installs nothing while it is marked"
}


def tlv_refusals(image: Image, build: LoaderBuild, *, pure: bool) -> Iterator[Finding]:
    """For what a bootloader of this build refuses the image; where nothing is known, for what every one does.

    ``pure``: it checks pure signatures.
    """
    if pure:
        yield from _says_pure(image)
    for offset, protected, tlv in image.tlv_offsets():
        # Bootloaders tell a protected TLV by where its data begin: those of an empty last one lie behind the area.
        counts = protected and offset + TLV_HEADER_SIZE < image.unprotected_offset
        is_allowed = build.allows_unprotected(tlv.type) and (pure or tlv.type != TlvType.SIG_PURE)
        if not counts and not is_allowed:
            text = f"a TLV of type {tlv.name} must be in the protected area"
            if protected:
                text = f"the last protected TLV, {tlv.name}, is empty: bootloaders read it as an unprotected one"
            yield Finding(Code.TLV_NOT_ALLOWED, offset, text)
        if _is_read(tlv, image, build) and len(tlv.data) != READ_BY_SOME[tlv.type][0]:
            yield Finding(Code.TLV_SIZE, offset, _length(tlv) + _CONSEQUENCES.get(tlv.type, ""))


def _says_pure(image: Image) -> Iterator[Finding]:
    """The first SIG_PURE TLV in flash order is the one that is looked at (``bootutil_check_for_pure``)."""
    for offset, _, tlv in image.tlv_offsets():
        if tlv.type != TlvType.SIG_PURE:
            continue
        if len(tlv.data) != 1:
            yield Finding(Code.TLV_SIZE, offset, f"a SIG_PURE TLV has 1 byte, this one {len(tlv.data)}")
        elif tlv.data != b"\x01":
            yield Finding(Code.SIGNATURE, offset, f"the SIG_PURE TLV says {tlv.data.hex()}; bootloaders want 01")
        return


def tlv_warnings(image: Image, build: LoaderBuild) -> Iterator[Finding]:
    """For what some builds refuse the image."""
    for offset, _, tlv in image.tlv_offsets():
        size, readers = READ_BY_SOME.get(tlv.type, (len(tlv.data), ""))
        if len(tlv.data) != size and not _is_read(tlv, image, build) and not _is_ignored(tlv, build):
            then = _THEN.get(tlv.type, "refuse the image")
            text = f"{_length(tlv)}: bootloaders {readers} {then}, others do not look"
            yield Finding(Code.TLV_SIZE, offset, text)
        if tlv.type == TlvType.ENC_X25519_SHA512 and build.hmac_sha is None:
            text = "the content key is wrapped with SHA-512: bootloaders built for SHA-256 refuse the image"
            yield Finding(Code.HMAC_SHA, offset, f"{text} (--hmac-sha)")
    yield from _mixtures(image)


def _is_read(tlv: Tlv, image: Image, build: LoaderBuild) -> bool:
    """True for what a bootloader of this build reads, or every one that takes such an image at all."""
    if tlv.type == TlvType.DEPENDENCY:
        return build.image_pairs is not None and build.image_pairs > 1
    return tlv.type in _OF_PACKED and bool(image.header.flags & PACKED_FLAGS)


def _is_ignored(tlv: Tlv, build: LoaderBuild) -> bool:
    """True for what a bootloader of this build does not read."""
    return tlv.type == TlvType.DEPENDENCY and build.image_pairs == 1


def _length(tlv: Tlv) -> str:
    return f"a {tlv.name} TLV has {READ_BY_SOME[tlv.type][0]} bytes, this one {len(tlv.data)}"


def _mixtures(image: Image) -> Iterator[Finding]:
    """Bootloaders of 2026 allow one type of hash, of key and of signature: those that they were built for."""
    for kinds, what in ((HASH_TYPES, "hashes"), (KEY_TYPES, "keys"), (SIGNATURE_TYPES, "signatures")):
        found = {tlv.type: (offset, tlv.name) for offset, _, tlv in image.tlv_offsets() if tlv.type in kinds}
        if len(found) > 1:
            names = " and ".join(name for _, name in found.values())
            text = f"the image has {what} of several types ({names}), of which newer bootloaders take one"
            yield Finding(Code.MIXED_SIGNATURES, next(reversed(found.values()))[0], text)
