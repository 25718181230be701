"""Copy a file to the device, and read it back.

python files.py ADDRESS FILE NAME_ON_THE_DEVICE
"""

import asyncio
import io
import sys
from pathlib import Path

from smpdfu import client_for
from smpdfu.client.files import download_file, upload_file


async def main(address: str, data: bytes, name: str) -> None:
    """Upload, download, compare."""
    back = io.BytesIO()
    async with client_for(address) as client:
        sent = await upload_file(client, io.BytesIO(data), name)
        await download_file(client, name, back)
    print(f"{sent.len} bytes, verified: {sent.verified}, same: {back.getvalue() == data}")


asyncio.run(main(sys.argv[1], Path(sys.argv[2]).read_bytes(), sys.argv[3]))
