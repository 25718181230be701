"""kill -9 of a process that downloads: nothing half under a final name, and the next process continues."""

from __future__ import annotations

import asyncio
import hashlib
import random
import sys
from pathlib import Path

from tests.agent.server.raw_server import Request, answer, raw_server

DATA = random.Random(7).randbytes(3_000_000)
SHA256 = hashlib.sha256(DATA).hexdigest()
ROOT = Path(__file__).parents[3]


async def begin(url: str, folder: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.agent.artifacts.downloading",
        url,
        str(folder),
        str(len(DATA)),
        SHA256,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )


def test_a_killed_download_is_continued_by_the_next_process(tmp_path: Path) -> None:
    cuts = [400_000, 900_000, 900_001, 2_999_999]
    begun: list[int] = []

    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        at = int(request.headers.get("range", "bytes=0-")[6:-1])
        begun.append(at)
        told = {"Content-Range": f"bytes {at}-{len(DATA) - 1}/{len(DATA)}"} if at else {}
        head = answer(b"", status="206 x" if at else "200 x", length=len(DATA) - at, headers=told)
        end = next((cut for cut in cuts if cut > at), len(DATA))
        writer.write(head + DATA[at:end])
        await writer.drain()
        if end < len(DATA):
            await asyncio.Event().wait()  # the process waits for more until it is killed

    async def main() -> None:
        part = tmp_path / f"{SHA256}.part"
        async with raw_server(respond) as server:
            for cut in cuts:
                process = await begin(server.url, tmp_path)
                while not part.exists() or part.stat().st_size < cut:
                    assert process.returncode is None
                    await asyncio.sleep(0.01)
                process.kill()
                await process.communicate()
                assert not (tmp_path / SHA256).exists()
            process = await begin(server.url, tmp_path)
            said, _ = await process.communicate()
            assert (process.returncode, said.decode().strip()) == (0, str(tmp_path / SHA256))

    asyncio.run(main())
    assert begun == [0, *cuts]
    assert (tmp_path / SHA256).read_bytes() == DATA
    assert not (tmp_path / f"{SHA256}.part").exists()


def test_kills_at_any_moment_leave_a_whole_file_or_none(tmp_path: Path) -> None:
    chance = random.Random(3)

    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        at = int(request.headers.get("range", "bytes=0-")[6:-1])
        told = {"Content-Range": f"bytes {at}-{len(DATA) - 1}/{len(DATA)}"} if at else {}
        writer.write(answer(DATA[at:], status="206 x" if at else "200 x", headers=told))

    async def main() -> None:
        async with raw_server(respond) as server:
            for _ in range(8):
                process = await begin(server.url, tmp_path)
                await asyncio.sleep(chance.uniform(0.2, 1.0))
                if process.returncode is None:
                    process.kill()
                await process.communicate()
                if (tmp_path / SHA256).exists():
                    assert (tmp_path / SHA256).read_bytes() == DATA
                    if chance.random() < 0.5:
                        (tmp_path / SHA256).unlink()
            process = await begin(server.url, tmp_path)
            await process.communicate()
            assert process.returncode == 0

    asyncio.run(main())
    assert (tmp_path / SHA256).read_bytes() == DATA
