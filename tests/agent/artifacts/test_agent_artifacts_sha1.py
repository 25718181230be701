"""Files for which the server gives only a SHA-1: refused, or taken where the agent's file allows it."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from smpdfu.agent.artifacts.cache import ArtifactCache
from smpdfu.agent.artifacts.expected import Expected, expected_of
from smpdfu.agent.ddi.resources import Artifact
from smpdfu.errors import ArtifactError, ServerLinkError
from tests.agent.artifacts.test_agent_artifacts import ARTIFACT, DATA, LIMIT, SHA256, Source, get, names


def sha1_of(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def only_sha1(data: bytes) -> Artifact:
    return Artifact("f.zip", len(data), None, ("https://server/f",), sha1_of(data))


SHA1 = only_sha1(DATA)
PART = f"sha1-{sha1_of(DATA)}-{len(DATA)}.part"
OTHER = DATA[:-1] + bytes([DATA[-1] ^ 1])


def cache_in(folder: Path, limit: int = LIMIT) -> ArtifactCache:
    return ArtifactCache(folder, limit, allow_sha1=True)


def test_what_a_file_must_be() -> None:
    assert expected_of(ARTIFACT) == expected_of(ARTIFACT, allow_sha1=True) == Expected(len(DATA), "sha256", SHA256)
    assert expected_of(SHA1, allow_sha1=True) == Expected(len(DATA), "sha1", sha1_of(DATA))
    both = Artifact("f.zip", len(DATA), SHA256, ("https://server/f",), "0" * 40)
    assert expected_of(both, allow_sha1=True) == Expected(len(DATA), "sha256", SHA256)


def test_without_the_switch_it_is_refused_with_the_key(tmp_path: Path) -> None:
    source = Source()
    with ArtifactCache(tmp_path, LIMIT) as cache:
        with pytest.raises(ArtifactError, match=r"only a SHA-1 .* add allow_sha1 = true to \[artifacts\]") as raised:
            asyncio.run(get(cache, source, SHA1))
        assert (raised.value.code, raised.value.temporary) == ("artifact-sha1", False)
    assert source.begun_at == []


@pytest.mark.parametrize(
    ("artifact", "code"),
    [
        (Artifact("f", 5, None, ("https://s/f",)), "artifact-no-hash"),
        (Artifact("f", None, None, ("https://s/f",), "0" * 40), "artifact-no-size"),
        (Artifact("f", 0, None, ("https://s/f",), "0" * 40), "artifact-size"),
        (Artifact("f", 5, None, (), "0" * 40), "artifact-link"),
    ],
)
def test_size_and_link_are_needed_all_the_same(tmp_path: Path, artifact: Artifact, code: str) -> None:
    with cache_in(tmp_path) as cache, pytest.raises(ArtifactError) as raised:
        asyncio.run(get(cache, Source(), artifact))
    assert raised.value.code == code


def test_it_is_kept_by_its_sha256_and_found_again_by_either_hash(tmp_path: Path) -> None:
    source = Source()
    with cache_in(tmp_path) as cache:
        assert asyncio.run(get(cache, source, SHA1)) == DATA
    assert names(tmp_path) == {SHA256}
    (tmp_path / ("0" * 64)).write_bytes(DATA)  # a file that its name does not fit is never taken
    with cache_in(tmp_path) as cache:
        assert asyncio.run(get(cache, source, SHA1)) == DATA
        assert asyncio.run(get(cache, source, ARTIFACT)) == DATA
        assert not cache._held
    assert source.begun_at == [0]


def test_another_file_of_the_same_size_stays_and_is_not_taken(tmp_path: Path) -> None:
    source = Source()
    with cache_in(tmp_path) as cache:
        assert asyncio.run(get(cache, Source(OTHER), only_sha1(OTHER))) == OTHER
        assert asyncio.run(get(cache, source, SHA1)) == DATA
    assert source.begun_at == [0]
    assert names(tmp_path) == {SHA256, hashlib.sha256(OTHER).hexdigest()}


def test_a_file_that_was_changed_on_the_disk_is_fetched_anew(tmp_path: Path) -> None:
    (tmp_path / SHA256).write_bytes(OTHER)
    source = Source()
    with cache_in(tmp_path) as cache:
        assert asyncio.run(get(cache, source, SHA1)) == DATA
    assert source.begun_at == [0]


def test_many_devices_need_one_download(tmp_path: Path) -> None:
    source = Source()

    async def main() -> None:
        kinds = (SHA1, ARTIFACT)
        await get(cache, source, SHA1)
        found = await asyncio.gather(*(get(cache, source, kinds[number % 2]) for number in range(20)))
        assert set(found) == {DATA}

    with cache_in(tmp_path) as cache:
        asyncio.run(main())
        assert (dict(cache._held), cache._gates) == ({}, {})
    assert source.begun_at == [0]


def test_those_who_come_together_wait_for_the_first(tmp_path: Path) -> None:
    source = Source()

    async def main() -> None:
        assert set(await asyncio.gather(*(get(cache, source, SHA1) for _ in range(20)))) == {DATA}

    with cache_in(tmp_path) as cache:
        asyncio.run(main())
    assert source.begun_at == [0]


@pytest.mark.parametrize(("beginning", "begun_at"), [(DATA[:50_000], [50_000]), (b"x" * 50_000, [50_000, 0])])
def test_a_beginning_is_continued_or_forgotten(tmp_path: Path, beginning: bytes, begun_at: list[int]) -> None:
    (tmp_path / PART).write_bytes(beginning)
    source = Source()
    with cache_in(tmp_path) as cache:
        assert cache.usage().size_bytes == 50_000
        assert asyncio.run(get(cache, source, SHA1)) == DATA
    assert source.begun_at == begun_at
    assert names(tmp_path) == {SHA256}


def test_a_download_that_breaks_leaves_its_beginning(tmp_path: Path) -> None:
    async def breaks(size: int) -> None:
        if size >= 60_000:
            raise ServerLinkError("no network")

    with cache_in(tmp_path) as cache:
        with pytest.raises(ServerLinkError):
            asyncio.run(get(cache, Source(after=breaks), SHA1))
        assert names(tmp_path) == {PART}
        source = Source()
        assert asyncio.run(get(cache, source, SHA1)) == DATA
    assert source.begun_at == [60_000]


def test_a_wrong_sha1_is_an_error_and_nothing_stays(tmp_path: Path) -> None:
    with cache_in(tmp_path) as cache:
        with pytest.raises(ArtifactError, match=r"the SHA-1 of f\.zip is not the one that the server said") as raised:
            asyncio.run(get(cache, Source(OTHER), SHA1))
        assert raised.value.code == "artifact-hash"
        assert cache.usage().size_bytes == 0


def test_it_is_not_removed_while_it_is_in_use(tmp_path: Path) -> None:
    big = b"x" * 900_000

    async def main() -> None:
        async with cache.hold(SHA1, Source()) as path:
            assert path.name == SHA256
            with pytest.raises(ArtifactError, match="in use fill the folder"):
                await get(cache, Source(big), only_sha1(big))
            assert path.read_bytes() == DATA
        assert await get(cache, Source(big), only_sha1(big)) == big

    with cache_in(tmp_path, 1_000_000) as cache:
        asyncio.run(main())


def test_old_beginnings_are_removed_for_others(tmp_path: Path) -> None:
    (tmp_path / f"sha1-{'0' * 40}-900000.part").write_bytes(b"x" * 900_000)
    with cache_in(tmp_path, 1_000_000) as cache:
        asyncio.run(get(cache, Source(), SHA1))
    assert names(tmp_path) == {SHA256}
