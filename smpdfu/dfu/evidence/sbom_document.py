"""What all readers of SBOMs share: the document within bounds, and the names of our properties.

There are two readers, because they answer different questions. ``sbom_reading`` reads what smpdfu wrote, and refuses
what is not exact: the images must be those of a package. ``fleet/affected/sbom.py`` searches the SBOMs of any tool, and
passes over what it does not know. Both need no library: ``affected`` must answer on computers without the extra.
"""

from __future__ import annotations

from typing import Any

from smpdfu.errors import FormatError
from smpdfu.untrusted import jsontext

MAX_SBOM_BYTES = 32 << 20
MAX_COMPONENTS = 50_000
MAX_TEXT = 1024
"""Characters of a text that is read."""

NAMESPACE = "smpdfu:"
IMAGE_HASH = "smpdfu:image-hash"
IMAGE_PACKAGE = "smpdfu:package"
PACKAGE_FILE = "smpdfu:file"
"""Of a package: the name of its file."""


def load_document(data: bytes) -> dict[str, Any]:
    """Return the CycloneDX document in ``data``. Raises FormatError and nothing else."""
    document = jsontext.load(data, MAX_SBOM_BYTES)
    if document.get("bomFormat") != "CycloneDX":
        raise FormatError('it is no CycloneDX document: "bomFormat" is missing')
    return document
