"""The protected TLVs of an image, which its hash covers: made of a request, in imgtool's order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from smpdfu.errors import ImageError
from smpdfu.image.format import Tlv, TlvType
from smpdfu.image.hashes import digest
from smpdfu.image.signing.spec import MAX_BOOT_RECORD_TYPE, ImageSpec
from smpdfu.image.tlv import protected_size_bytes


def protected_tlvs(
    spec: ImageSpec, hash_type: TlvType, signer_id: bytes, compression: Sequence[Tlv] = ()
) -> tuple[Tlv, ...]:
    """What a request asks for; ``compression`` is what a compressed image tells of itself before.

    Raises ``ImageError`` when the header cannot say their size, and for an empty one at the end: bootloaders tell
    protected TLVs by where their data lie, and those of an empty last one would lie behind the area.
    """
    tlvs = (*_before_compression(spec, hash_type, signer_id), *compression, *_after_compression(spec))
    if protected_size_bytes(tlvs) > 0xFFFF:
        raise ImageError("the protected TLVs have more than 65535 bytes in all, the most that the header can give")
    if tlvs and not tlvs[-1].data:
        raise ImageError(
            f"the TLV {tlvs[-1].name} is the last protected TLV and empty: a bootloader reads it as an "
            "unprotected TLV and refuses the image (give it a value, or put another TLV after it)"
        )
    return tlvs


def _before_compression(spec: ImageSpec, hash_type: TlvType, signer_id: bytes) -> Iterator[Tlv]:
    counter = spec.real_security_counter
    if counter is not None:
        yield Tlv(TlvType.SEC_CNT, counter.to_bytes(4, spec.endian))
    if spec.boot_record is not None:
        yield Tlv(TlvType.BOOT_RECORD, _boot_record(spec, hash_type, signer_id))
    yield from (Tlv(TlvType.DEPENDENCY, one.to_bytes(spec.endian)) for one in spec.dependencies)


def _after_compression(spec: ImageSpec) -> Iterator[Tlv]:
    for kind, value in zip((TlvType.UUID_VID, TlvType.UUID_CID), spec.real_ids(), strict=True):
        if value is not None:
            yield Tlv(kind, value)
    if spec.manifest is not None:
        yield Tlv(TlvType.MANIFEST, spec.manifest)
    yield from spec.custom_tlvs


def _boot_record(spec: ImageSpec, hash_type: TlvType, signer_id: bytes) -> bytes:
    """A software component of PSA's attestation: type, version, signer, hash function, and last the hash's place."""
    import cbor2  # here: few images have a boot record

    version = replace(spec.version, build=0)
    place = bytes(len(digest(hash_type, ())))  # the bootloader writes the hash here
    return cbor2.dumps({1: spec.boot_record, 4: str(version), 5: signer_id, 6: hash_type.name, 2: place})


def boot_record_type(data: bytes) -> str | None:
    """The software type in a boot record, which is what ``ImageSpec.boot_record`` asks for; None in anything else."""
    import cbor2  # here: few images have a boot record

    try:
        record = cbor2.loads(data, max_depth=4)
    except (cbor2.CBORDecodeError, ValueError):
        return None
    kind = record.get(1) if isinstance(record, dict) else None
    return kind if isinstance(kind, str) and len(kind) <= MAX_BOOT_RECORD_TYPE else None
