"""Which file of an action is the package of a device: decided by the server's words alone."""

from __future__ import annotations

from smpdfu.agent.ddi.chunk_choice import HARDWARE, chunks_for
from smpdfu.agent.ddi.resources import Artifact, Deployment
from smpdfu.errors import ArtifactError

SUFFIXES = (".zip", ".bin")
"""How the names of packages end: dfu_application.zip, dfu_mcuboot.zip, dfu_multi_image.bin."""
_SHOWN = 5


def choose_artifact(deployment: Deployment, hardware: str) -> Artifact:
    """The package for a device of this hardware.

    Raises ArtifactError with one sentence if
    there is no such file, or more than one.
    """
    chunks = chunks_for(deployment, hardware)
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
