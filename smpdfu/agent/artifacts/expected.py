"""What a file of the server must be before it is used: its size and its hash."""

from __future__ import annotations

from dataclasses import dataclass

from smpdfu.agent.ddi.resources import Artifact
from smpdfu.errors import ArtifactError


@dataclass(frozen=True, slots=True)
class Expected:
    """The size of a file, and its hash by ``algorithm``, as the server said them.

    ``sha1`` is for servers that give nothing else. It finds a file that was damaged on the way, and not a forged one.
    """

    size_bytes: int
    algorithm: str
    """``sha256`` or ``sha1``, as in ``hashlib``."""
    hash: str
    """In lower-case hex."""

    @property
    def key(self) -> str:
        """The name of the file until its SHA-256 is known."""
        return self.hash if self.algorithm == "sha256" else f"sha1-{self.hash}-{self.size_bytes}"

    @property
    def words(self) -> str:
        """The name of the hash, for people."""
        return "SHA-256" if self.algorithm == "sha256" else "SHA-1"


def expected_of(artifact: Artifact, *, allow_sha1: bool = False) -> Expected:
    """Return what an artifact must be. Raises ``ArtifactError`` for one that cannot be used at all.

    ``allow_sha1``: take the SHA-1 of an artifact for which the server gives no SHA-256.
    """
    size, sha1 = artifact.size_bytes, artifact.sha1 if artifact.sha256 is None else None
    if artifact.sha256 is None and sha1 is None:
        raise ArtifactError("the server gives no SHA-256 of the file, so smpdfu cannot check it").because(
            "artifact-no-hash"
        )
    if sha1 is not None and not allow_sha1:
        raise ArtifactError(
            "the server gives only a SHA-1 of the file, which does not protect against a forged file. If your images "
            "are signed, add allow_sha1 = true to [artifacts] in the agent's file"
        ).because("artifact-sha1")
    if size is None:
        raise ArtifactError("the server does not say how large the file is").because("artifact-no-size")
    if size == 0:
        raise ArtifactError("the file at the server is empty").because("artifact-size")
    if not artifact.links:
        raise ArtifactError("the server gives no link to the file").because("artifact-link")
    if artifact.sha256 is not None:
        return Expected(size, "sha256", artifact.sha256)
    assert sha1 is not None  # see above
    return Expected(size, "sha1", sha1)
