"""A plugin for goosebit that takes any file as software: its own interface reads ``.swu`` and ``.raucb`` only.

It runs inside of goosebit, whose packages are in an environment of their own. ``python plugin.py HOST PORT``
makes the database and serves; ``config`` is what goosebit's entry point ``goosebit.plugins`` looks for.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys

import uvicorn
from anyio import Path
from fastapi import APIRouter, Request
from goosebit.db.config import TORTOISE_CONF
from goosebit.db.models import Hardware, Software
from goosebit.schema.plugins import PluginSchema
from goosebit.settings import config as settings
from tortoise import Tortoise


async def add_software(request: Request, filename: str, version: str, sha1: str = "") -> dict[str, int]:
    """Keep a file as software for devices of the default hardware.

    ``sha1``: what goosebit says of the file; the truth by default.
    """
    data = await request.body()
    sha1 = sha1 or hashlib.sha1(data, usedforsecurity=False).hexdigest()
    path = Path(settings.artifacts_dir) / sha1 / filename
    await path.parent.mkdir(parents=True, exist_ok=True)
    await path.write_bytes(data)
    uri = (await path.resolve()).as_uri()
    software = await Software.create(uri=uri, version=version, size=len(data), hash=sha1)
    hardware, _ = await Hardware.get_or_create(model="default", revision="default")
    await software.compatibility.add(hardware)
    return {"id": software.id}


router = APIRouter()
router.post("/software")(add_software)
config = PluginSchema(name="packages", router=router)


async def make_database() -> None:
    """Create the tables of an empty database."""
    await Tortoise.init(config=TORTOISE_CONF)
    await Tortoise.generate_schemas()
    await Tortoise.close_connections()


if __name__ == "__main__":
    asyncio.run(make_database())
    uvicorn.run("goosebit:app", host=sys.argv[1], port=int(sys.argv[2]), log_level="warning")
