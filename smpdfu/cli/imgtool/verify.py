"""imgtool's ``verify``."""

from __future__ import annotations

import sys
from argparse import Namespace

from smpdfu.cli.imgtool.files import EXIT_FAILED, passphrase_of, require_file, say
from smpdfu.cli.keys.passphrase import read_key
from smpdfu.errors import ImageError
from smpdfu.image.image_file import read_image
from smpdfu.image.loader_build import LoaderBuild
from smpdfu.image.tlv import TlvType
from smpdfu.image.verification import verify as verification
from smpdfu.untrusted import text as door

# imgtool's sentence for each fault that its `verify` finds, and the codes of our refusals. The first match counts.
PURE_SIGNATURE = "Image signature over image:"
BAD_MAGIC = "Invalid image magic; is this an MCUboot image?"
BAD_TLV_MAGIC = "Invalid TLV info magic; is this an MCUboot image?"
BAD_IMAGE = (
    ("Key type does not match TLV record", {"no-hash"}),
    ("Image has an invalid hash", {"hash", "encrypted", "encryption-key"}),
    ("No signature found for the given key", {"not-signed", "unknown-key", "signature"}),
)


def verify(arguments: Namespace) -> int:
    """Check the hash and, with a key, the signature; imgtool looks at nothing else, and cannot decrypt."""
    require_file(arguments.imgfile, f"Image file {arguments.imgfile} not found")
    keys = () if arguments.key is None else (read_key(arguments.key, passphrase_of(arguments)).public,)
    try:
        image = read_image(arguments.imgfile)
    except ImageError as error:  # imgtool checks only the magic
        return _invalid(BAD_TLV_MAGIC if getattr(error, "offset", None) else BAD_MAGIC, str(error))
    build = LoaderBuild(
        hw_key=image.tlv(TlvType.PUBKEY) is not None
    )  # imgtool does not check which key the image names
    verdict = verification.verify(image, keys, build=build)
    refusals = verdict.refusals + verdict.unchecked
    for sentence, codes in BAD_IMAGE:
        for refusal in refusals:
            if refusal.code in codes:
                return _invalid(sentence, refusal.message)
    say("Image was correctly validated")
    say(f"Image version: {image.header.version.with_build}")
    pure = image.tlv(TlvType.ED25519) if keys and image.tlv(TlvType.SIG_PURE) else None
    return say(f"Image digest: {(image.hash or b'').hex()}" if pure is None else f"{PURE_SIGNATURE} {pure.hex()}")


def _invalid(sentence: str, reason: str) -> int:
    """Print imgtool's sentence on stdout and ours on stderr; return the exit code 1."""
    say(sentence)
    sys.stderr.write(f"Error: {door.line(reason)}\n")
    return EXIT_FAILED
