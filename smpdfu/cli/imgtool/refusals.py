"""imgtool's own sentences for an image that it does not make. Where imgtool has no sentence, ours stands."""

from __future__ import annotations

import re
from argparse import Namespace

from smpdfu.errors import ImageError, SmpdfuError, TooLargeError
from smpdfu.image.tlv import TLV_VENDOR_MAX, TLV_VENDOR_MIN, TlvType

_TLV_FAULTS = (
    (re.compile(r"custom TLV (\S+): '0x[0-9a-fA-F]*' is not a row of bytes"), "Custom TLV length is odd."),
    (re.compile(r"the custom TLV 0x0*([0-9a-f]+) appears twice"), "Custom TLV 0x{0} already exists."),
)


_OTHER_TYPE = re.compile(r"a custom TLV cannot have the type (\w+): it must be")
_OTHER_HASH = re.compile(r"(\w+) signatures do not go with SHA(\d+) here, only with ((?:SHA\d+(?: or )?)+)")


def of_tlvs(error: ValueError) -> str:
    """The sentence about custom TLVs that cannot be."""
    if found := _OTHER_TYPE.search(str(error)):
        return _of_type(found[1])
    for pattern, sentence in _TLV_FAULTS:
        if found := pattern.search(str(error)):
            return sentence.format(*found.groups())
    return str(error)


def _of_type(name: str) -> str:
    if name in TlvType.__members__:
        return f"Custom TLV {TlvType[name]:#x} conflicts with predefined TLV."
    allowed = f"between 0x{TLV_VENDOR_MIN:04x} and 0x{TLV_VENDOR_MAX:04x}"
    return f"Invalid custom TLV type value '{name}', allowed value should be {allowed}"


def _of_hash(signature: str, asked: str, allowed: str) -> str:
    """imgtool names the key by what it makes."""
    rsa = re.fullmatch(r"RSA(\d+)_PSS", signature)
    names = {"ECDSA_SIG": f"ECDSA{allowed[3:6]}_SHA{allowed[3:6]}", "ED25519": "ED25519"}
    name = f"PKCS1_PSS_RSA{rsa[1]}_SHA256" if rsa else names.get(signature, signature)
    return f"Key {name} can not be used with --sha {asked}; allowed sha are one of {allowed.replace('SHA', '')}"


def of_image(error: SmpdfuError, arguments: Namespace) -> str:
    """The sentence about an image that was not made; what imgtool has none for stays ours."""
    slot = getattr(arguments, "slot_size", None)
    if isinstance(error, TooLargeError) and slot:
        size, trailer = error.size_bytes, slot - error.limit_bytes
        return f"Image size (0x{size:x}) + trailer (0x{trailer:x}) exceeds requested size 0x{slot:x}: {error}"
    text = str(error)
    if type(error) is ImageError and "leaves no room for the header" in text:
        return f"Header padding was not requested and image does not start with zeros: {text}"
    if type(error) is ImageError and "a .hex needs an address" in text:
        return f"No address exists in input file neither was it provided by user: {text}"
    if found := _OTHER_HASH.search(text):
        return f"{_of_hash(*found.groups())}: {text}"
    return of_tlvs(ValueError(text)) if "custom TLV" in text else text
