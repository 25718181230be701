"""The folder of artifacts: checked before use, fetched once, resumed, bounded, never a half file under a final name."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smpdfu.agent.artifacts.cache import KEEP_FREE_BYTES, ArtifactCache, Usage
from smpdfu.agent.artifacts.partial import PartialFile, in_thread
from smpdfu.agent.ddi.resources import Artifact
from smpdfu.errors import ArtifactError, ServerLinkError, ServerRefusedError

DATA = random.Random(1).randbytes(200_000)
LIMIT = 1 << 20


def artifact_of(data: bytes, name: str = "f.zip") -> Artifact:
    return Artifact(name, len(data), hashlib.sha256(data).hexdigest(), ("https://server/f",))


ARTIFACT = artifact_of(DATA)
assert ARTIFACT.sha256 is not None
SHA256 = ARTIFACT.sha256


class Source:
    """Downloads of ``data``, counted; ``after`` runs after each piece."""

    def __init__(self, data: bytes = DATA, after: Callable[[int], Awaitable[None]] | None = None) -> None:
        self.data = data
        self.after = after
        self.begun_at: list[int] = []

    async def __call__(self, artifact: Artifact, sink: PartialFile) -> None:
        self.begun_at.append(sink.size_bytes)
        while sink.size_bytes < len(self.data):
            sink.write(self.data[sink.size_bytes : sink.size_bytes + 10_000])
            await asyncio.sleep(0)
            if self.after is not None:
                await self.after(sink.size_bytes)


async def get(cache: ArtifactCache, source: Source, artifact: Artifact = ARTIFACT) -> bytes:
    async with cache.hold(artifact, source) as path:
        return path.read_bytes()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"lock"}


def test_a_file_is_fetched_once_and_checked_before_each_use(tmp_path: Path) -> None:
    source = Source()
    with ArtifactCache(tmp_path / "a" / "b", LIMIT) as cache:
        assert asyncio.run(get(cache, source)) == DATA
        assert asyncio.run(get(cache, source)) == DATA
        assert cache.usage() == Usage(1, len(DATA), LIMIT)
    assert source.begun_at == [0]
    assert names(tmp_path / "a" / "b") == {SHA256}
    with ArtifactCache(tmp_path / "a" / "b", LIMIT) as cache:
        assert asyncio.run(get(cache, source)) == DATA
    assert source.begun_at == [0]


@pytest.mark.parametrize("spoiled", [DATA[:-1] + b"x", DATA[:-1], DATA + b"x", b""])
def test_a_file_that_was_changed_on_the_disk_is_fetched_anew(tmp_path: Path, spoiled: bytes) -> None:
    (tmp_path / SHA256).write_bytes(spoiled)
    source = Source()
    with ArtifactCache(tmp_path, LIMIT) as cache:
        assert asyncio.run(get(cache, source)) == DATA
    assert source.begun_at == [0]


def test_many_devices_at_once_need_one_download(tmp_path: Path) -> None:
    source = Source()

    async def main() -> None:
        assert set(await asyncio.gather(*(get(cache, source) for _ in range(50)))) == {DATA}

    with ArtifactCache(tmp_path, LIMIT) as cache:
        asyncio.run(main())
        assert not cache._gates  # nothing is left of those who waited
    assert source.begun_at == [0]


def test_a_beginning_is_continued(tmp_path: Path) -> None:
    (tmp_path / f"{SHA256}.part").write_bytes(DATA[:50_000])
    source = Source()
    with ArtifactCache(tmp_path, LIMIT) as cache:
        assert asyncio.run(get(cache, source)) == DATA
    assert source.begun_at == [50_000]
    assert names(tmp_path) == {SHA256}


@pytest.mark.parametrize("beginning", [b"x" * 50_000, b"\0" * len(DATA), DATA + b"more"])
def test_a_wrong_beginning_is_forgotten(tmp_path: Path, beginning: bytes) -> None:
    (tmp_path / f"{SHA256}.part").write_bytes(beginning)
    source = Source()
    with ArtifactCache(tmp_path, LIMIT) as cache:
        assert asyncio.run(get(cache, source)) == DATA
    assert source.begun_at[-1] == 0
    assert len(source.begun_at) <= 2


def test_a_wrong_hash_is_an_error_and_nothing_stays(tmp_path: Path) -> None:
    source = Source(DATA[:-1] + bytes([DATA[-1] ^ 1]))
    with ArtifactCache(tmp_path, LIMIT) as cache:
        with pytest.raises(ArtifactError, match=r"SHA-256 of f\.zip is not the one that the server said") as raised:
            asyncio.run(get(cache, source))
        assert (raised.value.code, raised.value.temporary) == ("artifact-hash", False)
        assert cache.usage().size_bytes == 0
    assert source.begun_at == [0]
    assert SHA256 not in names(tmp_path)


def test_more_than_was_said_ends_at_once(tmp_path: Path) -> None:
    source = Source(DATA * 100)
    with ArtifactCache(tmp_path, LIMIT) as cache, pytest.raises(ArtifactError, match="larger than the server said"):
        asyncio.run(get(cache, source))
    assert (tmp_path / f"{SHA256}.part").stat().st_size <= len(DATA)
    assert SHA256 not in names(tmp_path)


def test_less_than_was_said_is_no_file(tmp_path: Path) -> None:
    with ArtifactCache(tmp_path, LIMIT) as cache, pytest.raises(ArtifactError, match="SHA-256"):
        asyncio.run(get(cache, Source(DATA[:-1])))
    assert SHA256 not in names(tmp_path)


@pytest.mark.parametrize(
    ("artifact", "code"),
    [
        (Artifact("f", 5, None, ("https://s/f",)), "artifact-no-hash"),
        (Artifact("f", None, "0" * 64, ("https://s/f",)), "artifact-no-size"),
        (Artifact("f", 0, "0" * 64, ("https://s/f",)), "artifact-size"),
        (Artifact("f", 5, "0" * 64, ()), "artifact-link"),
        (Artifact("f", LIMIT + 1, "0" * 64, ("https://s/f",)), "artifacts-limit"),
    ],
)
def test_what_cannot_be_used_is_not_fetched(tmp_path: Path, artifact: Artifact, code: str) -> None:
    source = Source()
    with ArtifactCache(tmp_path, LIMIT) as cache, pytest.raises(ArtifactError) as raised:
        asyncio.run(get(cache, source, artifact))
    assert raised.value.code == code
    assert source.begun_at == []


def test_a_failure_is_shared_by_those_who_waited_and_not_kept(tmp_path: Path) -> None:
    calls = 0

    async def broken(artifact: Artifact, sink: PartialFile) -> None:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        raise ServerLinkError("no network").because("lost")

    async def one() -> None:
        async with cache.hold(ARTIFACT, broken):
            pass

    async def main() -> None:
        for expected in (1, 2):
            errors = await asyncio.gather(*(one() for _ in range(30)), return_exceptions=True)
            assert [(type(error), str(error)) for error in errors] == [(ServerLinkError, "no network")] * 30
            assert len({id(error) for error in errors}) == 30
            assert calls == expected
        assert await get(cache, Source()) == DATA

    with ArtifactCache(tmp_path, LIMIT) as cache:
        asyncio.run(main())


def test_a_refusal_of_one_device_is_not_that_of_another(tmp_path: Path) -> None:
    async def forbidden(artifact: Artifact, sink: PartialFile) -> None:
        sink.write(DATA[:100])
        await asyncio.sleep(0)
        raise ServerRefusedError("no", 403)

    async def first() -> None:
        async with cache.hold(ARTIFACT, forbidden):
            pass

    async def main() -> None:
        source = Source()
        refused, data = await asyncio.gather(first(), get(cache, source), return_exceptions=True)
        assert isinstance(refused, ServerRefusedError)
        assert data == DATA
        assert source.begun_at == [100]

    with ArtifactCache(tmp_path, LIMIT) as cache:
        asyncio.run(main())


def test_a_cancelled_device_leaves_its_bytes_to_the_next(tmp_path: Path) -> None:
    async def main() -> None:
        async def pause(size: int) -> None:
            if size >= 100_000:
                reached.set()
                await asyncio.Event().wait()

        reached = asyncio.Event()
        first = asyncio.create_task(get(cache, Source(after=pause)))
        await reached.wait()
        source = Source()
        second = asyncio.create_task(get(cache, source))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == DATA
        assert source.begun_at == [100_000]
        with pytest.raises(asyncio.CancelledError):
            await first

    with ArtifactCache(tmp_path, LIMIT) as cache:
        asyncio.run(main())


def test_work_in_a_thread_ends_before_its_cancellation() -> None:
    async def main() -> None:
        def work() -> None:
            loop.call_soon_threadsafe(begun.set)
            asyncio.run_coroutine_threadsafe(go.wait(), loop).result()
            done.append(1)

        loop, begun, go = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(in_thread(work))
        await begun.wait()
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert done == [1]

    done: list[int] = []
    asyncio.run(main())


def test_what_nobody_used_for_long_goes_first_and_nothing_in_use(tmp_path: Path) -> None:
    files = [random.Random(seed).randbytes(300_000) for seed in range(4)]
    kinds = [artifact_of(data) for data in files]

    async def main() -> None:
        for at in (0, 1, 2):
            await get(cache, Source(files[at]), kinds[at])
            os.utime(tmp_path / str(kinds[at].sha256), (1000 + at, 1000 + at))
        async with cache.hold(kinds[0], Source(files[0])):
            os.utime(tmp_path / str(kinds[0].sha256), (1, 1))  # the oldest of all, and in use
            await get(cache, Source(files[3]), kinds[3])
            assert names(tmp_path) == {str(kinds[at].sha256) for at in (0, 2, 3)}

    with ArtifactCache(tmp_path, 1_000_000) as cache:
        asyncio.run(main())
        assert cache.usage().size_bytes == 900_000


def test_artifacts_in_use_are_never_removed_for_another(tmp_path: Path) -> None:
    other = artifact_of(b"x" * 900_000)

    async def main() -> None:
        async with cache.hold(ARTIFACT, Source()) as path:
            with pytest.raises(ArtifactError, match="in use fill the folder") as raised:
                await get(cache, Source(b"x" * 900_000), other)
            assert raised.value.temporary
            assert path.read_bytes() == DATA
        assert await get(cache, Source(b"x" * 900_000), other) == b"x" * 900_000

    with ArtifactCache(tmp_path, 1_000_000) as cache:
        asyncio.run(main())


def test_old_beginnings_count_and_are_removed(tmp_path: Path) -> None:
    (tmp_path / f"{'0' * 64}.part").write_bytes(b"x" * 900_000)
    (tmp_path / "notes.txt").write_bytes(b"x" * 900_000)
    with ArtifactCache(tmp_path, 1_000_000) as cache:
        assert cache.usage() == Usage(1, 900_000, 1_000_000)
        asyncio.run(get(cache, Source()))
    assert names(tmp_path) == {SHA256, "notes.txt"}


def test_a_disk_without_room_is_said_before_the_first_byte(tmp_path: Path) -> None:
    free = [KEEP_FREE_BYTES + len(DATA) - 1]
    source = Source()
    with ArtifactCache(tmp_path, LIMIT, free_bytes=lambda _: free[0]) as cache:
        with pytest.raises(ArtifactError, match="no space is left on the disk") as raised:
            asyncio.run(get(cache, source))
        assert (raised.value.code, raised.value.temporary, source.begun_at) == ("disk-full", True, [])
        free[0] += 1
        assert asyncio.run(get(cache, source)) == DATA


def test_old_artifacts_make_room_on_a_full_disk(tmp_path: Path) -> None:
    (tmp_path / ("0" * 64)).write_bytes(b"x" * 300_000)

    def free(folder: Path) -> int:
        return KEEP_FREE_BYTES + 300_000 - sum(path.stat().st_size for path in folder.glob("0*"))

    with ArtifactCache(tmp_path, LIMIT, free_bytes=free) as cache:
        assert asyncio.run(get(cache, Source())) == DATA
    assert names(tmp_path) == {SHA256}


def test_a_disk_that_becomes_full_keeps_the_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write

    def write(descriptor: int, data: bytes) -> int:
        if full and os.fstat(descriptor).st_size >= 100_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data[:7_000])  # a write may take less than it was given

    full = True
    with ArtifactCache(tmp_path, LIMIT) as cache:
        monkeypatch.setattr(os, "write", write)
        with pytest.raises(ArtifactError, match="no space is left") as raised:
            asyncio.run(get(cache, Source()))
        assert raised.value.code == "disk-full"
        full = False
        source = Source()
        assert asyncio.run(get(cache, source)) == DATA
        assert source.begun_at[0] >= 100_000


def test_two_agents_do_not_share_a_folder(tmp_path: Path) -> None:
    with ArtifactCache(tmp_path, LIMIT):
        with pytest.raises(ArtifactError, match=f"another agent .process {os.getpid()}. uses the folder") as raised:
            ArtifactCache(tmp_path, LIMIT).__enter__()
        assert (raised.value.code, raised.value.temporary) == ("artifacts-locked", True)
    with ArtifactCache(tmp_path, LIMIT):
        pass


def test_a_folder_that_cannot_be_used_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ArtifactError, match="smpdfu cannot use"):
        ArtifactCache(tmp_path / "file" / "sub", LIMIT).__enter__()
    (tmp_path / f"{SHA256}.part").symlink_to(tmp_path / "file")
    with ArtifactCache(tmp_path, LIMIT) as cache, pytest.raises(ArtifactError, match="symbolic link"):
        asyncio.run(get(cache, Source()))
    assert (tmp_path / "file").read_bytes() == b""


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_whatever_stands_there_the_right_file_comes_out(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    good = data.draw(st.binary(min_size=1, max_size=300))
    artifact = artifact_of(good)
    sha256 = str(artifact.sha256)
    anything = st.binary(max_size=400) | st.just(good) | st.integers(0, len(good)).map(lambda n: good[:n])
    for name in (sha256, f"{sha256}.part"):
        if data.draw(st.booleans()):
            (folder / name).write_bytes(data.draw(anything))
    with ArtifactCache(folder, LIMIT) as cache:
        assert asyncio.run(get(cache, Source(good), artifact)) == good
    assert names(folder) == {sha256} or (folder / f"{sha256}.part").exists()
    assert (folder / sha256).read_bytes() == good
