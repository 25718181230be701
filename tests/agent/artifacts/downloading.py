"""A process that downloads one artifact: ``python -m tests.agent.artifacts.downloading URL FOLDER SIZE SHA256``."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path

from smpdfu.agent.artifacts.cache import ArtifactCache
from smpdfu.agent.ddi.resources import Artifact
from smpdfu.agent.ddi.server_address import ServerAddress
from smpdfu.agent.server.client import DdiClient


async def main(url: str, folder: str, size: str, sha256: str) -> None:
    """Bring the file into the folder."""
    artifact = Artifact("f", int(size), sha256, (f"{url}/f",))
    async with DdiClient(ServerAddress(url), lambda _: None) as client:
        with ArtifactCache(Path(folder), 1 << 30) as cache:
            async with cache.hold(artifact, partial(client.download, "roof")) as path:
                sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
