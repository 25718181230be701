"""What most images of these tests are made by."""

from __future__ import annotations

from smpdfu.image.format import Dependency, Tlv, Version
from smpdfu.image.signing.build import ImageSpec

SPEC = ImageSpec(
    Version(1, 2, 3, 4),
    header_size=0x40,
    slot_size=0,
    pad_header=True,
    security_counter=5,
    dependencies=(Dependency(1, Version(1)),),
    custom_tlvs=(Tlv(0xA0, b"text"),),
)
"""Every kind of protected TLV."""
