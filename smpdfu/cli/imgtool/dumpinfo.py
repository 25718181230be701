"""imgtool's ``dumpinfo``: header, TLVs and trailer of an image as text, YAML or JSON, in imgtool's words and layout.

Other programs parse this output. It is correct where imgtool is wrong or reads nothing (big-endian images, Nordic's
TLV). A file that is not an MCUboot image raises ``FormatError``, not a traceback. For people: ``smpdfu inspect``.
"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from smpdfu.cli.imgtool.files import hand_out, require_file, say
from smpdfu.cli.terminal.outputs import check_outputs
from smpdfu.errors import FormatError
from smpdfu.image.files import Firmware, read_firmware
from smpdfu.image.format import ENCRYPTED_FLAGS, IMAGE_MAGIC, Endian, Flag, Image
from smpdfu.image.image_file import naming, read_image
from smpdfu.image.tlv import TLV_INFO_MAGIC, TLV_PROT_INFO_MAGIC, Tlv, TlvType
from smpdfu.image.trailer import MAGIC_SIZE, align_up, boot_magic

Info = dict[str, Any]
"""imgtool's ``imginfo``: filename, header, tlv_area, trailer, with bytes unchanged."""

_LINE = 60
_UNKNOWN_SIZE = 0xFFFFFFFF
_STATES = {1: "SET", 2: "BAD", 3: "UNSET", 4: "ANY"}
_INDENT = " " * 7

# imgtool's names where they are not ours.
_TLV_NAMES = {
    "RSA2048_PSS": "RSA2048",
    "RSA3072_PSS": "RSA3072",
    "ECDSA_SIG": "ECDSASIG",
    "ENC_RSA2048": "ENCRSA2048",
    "ENC_KW": "ENCKW",
    "ENC_EC256": "ENCEC256",
    "ENC_X25519": "ENCX25519",
    "ENC_X25519_SHA512": "ENCX25519_SHA512",
}


def dumpinfo(arguments: Namespace) -> int:
    """Print the contents of an image, or write them to a file."""
    require_file(arguments.imgfile, f"Image file not found ({arguments.imgfile})")
    if arguments.outfile is not None:
        check_outputs([arguments.outfile], [arguments.imgfile])
    info, whole = read_info(arguments.imgfile)
    if not whole:
        say("Warning: the trailer magic value is invalid!")
    form = arguments.format or ("human" if arguments.outfile is None else "yaml")
    text = {"human": as_text, "yaml": as_yaml, "json": as_json}[form](info)
    if form == "json" and arguments.outfile is None:
        text += "\n"
    return hand_out(text.encode(), arguments.outfile)


# --- reading --------------------------------------------------------------------------------------------------------


def read_info(path: Path) -> tuple[Info, bool]:
    """Read an image file; return its contents, and False if bytes that are not a trailer follow the image.

    Raises ImageError with the file's name, and OSError.
    """
    image = read_image(path)
    with naming(path):
        trailer = _trailer(read_firmware(path), image)
    info = {"filename": path.name, "header": _header(image), "tlv_area": _tlv_area(image), "trailer": trailer}
    return info, not trailer or "image_ok" in trailer


def _header(image: Image) -> Info:
    header = image.header
    return {
        "magic": IMAGE_MAGIC,
        "load_addr": header.load_addr,
        "hdr_size": header.hdr_size,
        "protected_tlv_size": header.protect_tlv_size,
        "img_size": header.img_size,
        "flags": int(header.flags),
        "version": header.version.with_build,
    }


def _tlv_area(image: Image) -> Info:
    protected = {"magic": TLV_PROT_INFO_MAGIC, "tlv_tot": image.header.protect_tlv_size} if image.protected else {}
    unprotected = {"magic": TLV_INFO_MAGIC, "tlv_tot": image.size_bytes - image.unprotected_offset}
    return {
        "tlv_hdr_prot": protected,
        "tlvs_prot": [_tlv(tlv) for tlv in image.protected],
        "tlv_hdr": unprotected,
        "tlvs": [_tlv(tlv) for tlv in image.unprotected],
    }


def _tlv(tlv: Tlv) -> Info:
    name = TlvType(tlv.type).name if tlv.type in set(TlvType) else "UNKNOWN"
    return {"type": tlv.type, "type_name": _TLV_NAMES.get(name, name), "len": len(tlv.data), "data": tlv.data}


def _trailer(firmware: Firmware, image: Image) -> Info:
    """The trailer at the end of the file; empty if the file ends with the image."""
    size = firmware.segments[-1].end - firmware.segments[0].address
    if size == image.size_bytes:
        return {}
    magic = firmware.last(MAGIC_SIZE)
    max_align = _max_align(magic, image.endian)
    if max_align is None:
        return {"magic": magic}
    length = align_up(MAGIC_SIZE, max_align) + 4 * max_align
    if size < length:
        raise FormatError(f"the trailer of {length} bytes is cut off: the file has {size}", size)
    end = firmware.last(length)
    image_ok, copy_done, swap_info = (end[at * max_align] for at in (3, 2, 1))
    fields = {"magic": magic, "image_ok": image_ok, "copy_done": copy_done, "swap_info": swap_info}
    fields["swap_size"] = int.from_bytes(end[:4], image.endian)
    if image.header.flags & ENCRYPTED_FLAGS:
        fields["key_field_len"] = 2 * align_up(16, max_align)
    return fields


def _max_align(magic: bytes, endian: Endian) -> int | None:
    """Return the alignment in the magic of a trailer; None if it is not a magic."""
    return next((size for size in (8, 16, 32) if magic == boot_magic(size, endian)), None)


# --- writing --------------------------------------------------------------------------------------------------------


def as_yaml(info: Info) -> str:
    """Return the contents as YAML."""
    import yaml  # here: 20 ms, and the default form needs none of it

    return str(yaml.dump(info, sort_keys=False))


def as_json(info: Info) -> str:
    """Return the contents as JSON, with bytes in hex and no newline at the end."""
    return json.dumps(info, indent=2, default=lambda data: data.hex())


def as_text(info: Info) -> str:
    """Return the contents for people, in imgtool's boxes."""
    return "".join(f"{line}\n" for line in _lines(info))


def _lines(info: Info) -> Iterator[str]:
    header, area = info["header"], info["tlv_area"]
    yield f"Printing content of signed image: {info['filename']} \n"
    yield _ruled("Image header (offset: 0x0)")
    for key, value in header.items():
        yield f"{key}:{' ' * (19 - len(key))}{_header_value(key, value)}"
    yield "#" * _LINE
    at = header["hdr_size"]
    yield from _box(f"Payload (offset: {at:#x})", f"FW image (size: {header['img_size']:#x} Bytes)")
    at += header["img_size"]
    if area["tlvs_prot"]:
        yield from _area(f"Protected TLV area (offset: {at:#x})", area["tlv_hdr_prot"], area["tlvs_prot"])
        at += header["protected_tlv_size"]
    yield from _area(f"TLV area (offset: {at:#x})", area["tlv_hdr"], area["tlvs"])
    if info["trailer"]:
        yield from _trailer_lines(info["trailer"])
    yield _ruled("End of Image ")


def _ruled(text: str) -> str:
    return f"#### {text} ".ljust(_LINE, "#")


def _box(title: str, content: str) -> Iterator[str]:
    yield _ruled(title)
    blank = f"|{' ' * (_LINE - 2)}|"
    yield blank
    yield f"|{' ' * ((_LINE - len(content)) // 2 - 1)}{content}".ljust(_LINE - 1) + "|"
    yield blank
    yield "#" * _LINE


def _header_value(key: str, value: int | str) -> str:
    if isinstance(value, str):
        return value
    if key != "flags" or not value:
        return hex(value)
    return f"\n{' ' * 20}".join(f"{flag.name} ({flag.value:#x})" for flag in Flag if value & flag)


def _area(title: str, head: Mapping[str, int], tlvs: list[Info]) -> Iterator[str]:
    yield _ruled(title)
    yield f"magic:     {head['magic']:#x}"
    yield f"area size: {head['tlv_tot']:#x}"
    for tlv in tlvs:
        yield f"{_INDENT} {'-' * 45}"
        yield f"{_INDENT} type: {tlv['type_name']} ({tlv['type']:#x})"
        yield f"{_INDENT} len:  {tlv['len']:#x}"
        rows = [tlv["data"][start : start + 8] for start in range(0, tlv["len"], 8)] or [b""]
        label = " data: "
        for row in rows:
            yield f"{_INDENT}{label}{_bytes(row)}"
            label = " " * len(label)
    if not tlvs:
        yield ""
    yield "#" * _LINE


def _bytes(data: bytes) -> str:
    return "".join(f"{byte:#04x} " for byte in data)


def _trailer_lines(trailer: Info) -> Iterator[str]:
    yield _ruled("Image trailer (offset: unknown)")
    notice = "(Note: some fields may not be used, depending on the update strategy)\n"
    yield f"{notice[:_LINE]}\n{notice[_LINE:]}"
    yield "swap status: (len: unknown)"
    keys = trailer.get("key_field_len")
    length = "Image not encrypted" if keys is None else f"(len: {keys:#x}, if BOOT_SWAP_SAVE_ENCTLV is unset)"
    yield f"enc. keys:   {length}"
    if "image_ok" in trailer:
        size = trailer["swap_size"]
        yield f"swap size:   {'unknown' if size == _UNKNOWN_SIZE else f'{size:#x} octal: {size}'}"
        for key, label in (("swap_info", "swap_info:  "), ("copy_done", "copy_done:  "), ("image_ok", "image_ok:   ")):
            yield f"{label} {_STATES.get(trailer[key], 'INVALID')} ({trailer[key]:#x})"
    magic = trailer["magic"]
    yield f"boot magic:  {_bytes(magic[:8])}\n{' ' * 13}{_bytes(magic[8:])}"
    yield ""
