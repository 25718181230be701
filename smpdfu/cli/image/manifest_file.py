"""The update manifest of Nordic's imgtool (``--manifest``): a YAML file that names all images of an update, as a TLV.

The file has ``format: 1``, ``images`` with a ``path`` (of a signed image) or a ``hash`` each and their ``index``, and
``manifest_index``, the image that carries the manifest and is not in it. The TLV is the format and the number of
hashes, 32 bits each, and the hashes by index. Source: nrfconnect/sdk-mcuboot, scripts/imgtool.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from smpdfu.errors import FormatError, ImageError
from smpdfu.image.image_file import read_image
from smpdfu.image.verification.verify import verify
from smpdfu.untrusted import yamltext
from smpdfu.untrusted.files import read_start

if TYPE_CHECKING:
    from smpdfu.image.format import Endian

FORMAT = 1
_MOST_IMAGES = 64
_HASH_SIZES = (32, 48, 64)
_KEYS = {"path", "hash", "index"}


def read_manifest(path: Path, endian: Endian) -> bytes:
    """The TLV's bytes. Raises ImageError that names the file for what is no manifest, OSError."""
    document = _load(path)
    if document.get("format") not in (FORMAT, str(FORMAT)):
        raise _fault(path, f"its format is {document.get('format')!r}: only {FORMAT} is known")
    images = document.get("images")
    if not isinstance(images, list) or not 0 < len(images) <= _MOST_IMAGES:
        raise _fault(path, f"`images` must be a list of 1 to {_MOST_IMAGES} images")
    skipped = document.get("manifest_index")
    hashes: dict[int, bytes] = {}
    for position, image in enumerate(images):
        index = _index(path, image, position)
        if index in hashes:
            raise _fault(path, f"the image with index {index} appears twice")
        hashes[index] = _hash(path, image)
    kept = [hashes[index] for index in sorted(hashes) if index != skipped]
    if len({len(value) for value in kept}) > 1:
        raise _fault(path, "its images have hashes of different lengths")
    return b"".join((FORMAT.to_bytes(4, endian), len(kept).to_bytes(4, endian), *kept))


def _load(path: Path) -> dict[str, Any]:
    text = read_start(path, yamltext.MAX_BYTES + 1)
    try:
        document = yamltext.load(text)
    except FormatError as error:
        raise _fault(path, str(error)) from None
    if not isinstance(document, dict):
        raise _fault(path, "it has no `format` and no `images`")
    return document


def _index(path: Path, image: object, position: int) -> int:
    if not isinstance(image, dict) or len({"path", "hash"} & image.keys()) != 1 or image.keys() - _KEYS:
        raise _fault(path, f"image {position + 1} must have a `path` or a `hash`, an `index` and nothing else")
    index = image.get("index", position)
    if not isinstance(index, int) or isinstance(index, bool) or index < 0:
        raise _fault(path, f"image {position + 1} has the index {index!r}, which is no number")
    return index


def _hash(path: Path, image: dict[str, Any]) -> bytes:
    if "path" in image and not str(image["path"]).isprintable():
        raise _fault(path, f"{image['path']!r} is no name of a file")
    if "path" in image:
        return _hash_of(path, Path(str(image["path"])))
    text = image["hash"]
    try:
        value = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        value = b""
    if len(value) not in _HASH_SIZES:
        raise _fault(path, f"{text!r} is no hash: write its hex digits, in quotes")
    return value


def _hash_of(path: Path, image: Path) -> bytes:
    """The hash in a signed image, which must be its own."""
    found = read_image(image)
    wrong = [finding for finding in verify(found).refusals if finding.code in ("hash", "no-hash")]
    if wrong or found.hash is None:
        raise _fault(path, f"{image} is not whole, so that its hash means nothing")
    return found.hash


def _fault(path: Path, what: str) -> ImageError:
    return ImageError(f"{path} is no update manifest: {what}")
