"""Who made an image and for which product: the UUIDs of the UUID_VID and UUID_CID TLVs.

As imgtool reads them: a UUID with or without its hyphens stands for itself, any other text for the version 5 UUID
(RFC 9562) of it: a vendor's of its domain name, a class's of its name within its vendor's UUID.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import uuid

UUID_SIZE = 16

_UUID_TEXT = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{32}")


def vendor_id(vid: str | bytes) -> bytes:
    """The 16 bytes of a vendor's identifier; ``ValueError`` with a sentence for what cannot be one."""
    import uuid  # here: few images have one, and it is slow to load

    return _identifier("vendor", vid, uuid.NAMESPACE_DNS)


def class_id(cid: str | bytes, vid: bytes | None) -> bytes:
    """The 16 bytes of the identifier of a class of images; text means something only within a vendor's ``vid``.

    ``ValueError`` with a sentence for what cannot be one.
    """
    import uuid  # here, as above

    return _identifier("class", cid, None if vid is None else uuid.UUID(bytes=vid))


def _identifier(whose: str, value: str | bytes, namespace: uuid.UUID | None) -> bytes:
    if isinstance(value, bytes):
        if len(value) != UUID_SIZE:
            raise ValueError(f"the {whose} identifier has {len(value)} bytes: a UUID has 16")
        return value
    if _UUID_TEXT.fullmatch(value):
        return bytes.fromhex(value.replace("-", ""))
    if not value.isprintable():
        raise ValueError(f"the {whose} identifier {value[:40]!r} is neither a UUID nor printable text")
    if namespace is None:
        raise ValueError(f"the class identifier {value[:40]!r} is a name within a vendor's: give the vendor's as well")
    import uuid  # here, as above

    return uuid.uuid5(namespace, value).bytes
