"""A pipe in front of another one, for tests that change or watch what passes."""

from __future__ import annotations

from smpdfu.link.pipe import Pipe


class PassingPipe(Pipe):
    """Hands on everything, both ways. To be subclassed."""

    def __init__(self, inner: Pipe) -> None:
        super().__init__(inner.name)
        self.inner = inner

    async def _open(self) -> None:
        await self.inner.open()

    async def _close(self) -> None:
        await self.inner.close()

    async def _read(self) -> bytes:
        return await self.inner.read()

    async def _write(self, data: bytes) -> None:
        await self.inner.write(data)
