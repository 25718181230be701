"""Which file of an action is the package of a device: decided by the server's words alone."""

from __future__ import annotations

from smpdfu.agent.ddi.resources import Artifact, Chunk, Deployment
from smpdfu.errors import ArtifactError

HARDWARE = "hardware"
"""The key of a software module's metadata that names the hardware it is for; several names with commas between."""
SUFFIXES = (".zip", ".bin")
"""How the names of packages end: dfu_application.zip, dfu_mcuboot.zip, dfu_multi_image.bin."""
_SHOWN = 5


def choose_artifact(deployment: Deployment, hardware: str) -> Artifact:
    """The package for a device of this hardware.

    Modules whose metadata name the hardware go before modules that name none. Raises ArtifactError with one sentence if
    there is no such file, or more than one.
    """
    named = [chunk for chunk in deployment.chunks if hardware in _hardware_of(chunk)]
    chunks = named or [chunk for chunk in deployment.chunks if not _hardware_of(chunk)]
    found = [one for chunk in chunks for one in chunk.artifacts if one.filename.lower().endswith(SUFFIXES)]
    if len(found) == 1:
        return found[0]
    if found:
        files = ", ".join(one.filename for one in found[:_SHOWN])
        raise ArtifactError(
            f"the action has {len(found)} files that may be the package for the hardware {hardware!r}: {files}. Give "
            f"each module the metadata '{HARDWARE}', or leave one file"
        )
    files = ", ".join(one.filename for one in deployment.artifacts[:_SHOWN]) or "no file"
    raise ArtifactError(f"the action has no package for the hardware {hardware!r}; it has {files}")


def _hardware_of(chunk: Chunk) -> frozenset[str]:
    values = (one.value for one in chunk.metadata if one.key == HARDWARE)
    return frozenset(name.strip() for value in values for name in value.split(",") if name.strip())
