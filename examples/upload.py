"""Upload one image, and mark it for one test boot.

python upload.py ADDRESS IMAGE.bin
"""

import asyncio
import sys
from pathlib import Path

from smpdfu import Image, UploadProgress, client_for
from smpdfu.smp.groups.image import StateRead, StateWrite


def show(now: UploadProgress) -> None:
    """Print how far the upload is."""
    print(f"{now.off} of {now.len} bytes")


async def main(address: str, data: bytes) -> None:
    """Upload, mark, and list the slots."""
    async with client_for(address) as client:
        result = await client.upload(data, progress=show)
        await client.request(StateWrite(Image.from_bytes(data).hash))
        slots = (await client.request(StateRead())).images
    print(f"verified: {result.verified}", *(f"slot {one.slot}: {one.version}" for one in slots), sep="\n")


asyncio.run(main(sys.argv[1], Path(sys.argv[2]).read_bytes()))
