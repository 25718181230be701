"""What ``publish`` writes is what a gateway reads: each device gets the package for its hardware."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from smpdfu.agent.actions.choose import choose_artifact
from smpdfu.agent.ddi.chunk_choice import chunks_for
from smpdfu.agent.ddi.resources import Artifact, Chunk, Deployment, Handling, Metadata
from smpdfu.agent.management.contents import PackageToPublish
from smpdfu.agent.management.plan import wanted
from smpdfu.errors import ArtifactError
from tests.agent.publish.publish_packages import maker, package_file


def chunk(name: str, metadata: dict[str, str], file: str = "dfu_application.zip") -> Chunk:
    artifact = Artifact(filename=file, size_bytes=1, sha256=name.encode().hex().ljust(64, "0"), links=())
    return Chunk("bApp", "1.0.0", name, (artifact,), tuple(Metadata(key, value) for key, value in metadata.items()))


def deployment(*chunks: Chunk) -> Deployment:
    return Deployment("7", Handling.FORCED, Handling.FORCED, chunks)


def test_published_modules_reach_the_devices_of_their_hardware(tmp_path: Path) -> None:
    make = maker()
    packages = [PackageToPublish.load(package_file(tmp_path / kind, make), kind) for kind in ("big", "small")]
    want = wanted(packages, name="roof")
    action = deployment(*(chunk(one.name, dict(one.package.metadata)) for one in want.modules))
    for kind in ("big", "small"):
        (found,) = chunks_for(action, kind)
        assert found.name == f"roof-{kind}"
        assert choose_artifact(action, kind) is found.artifacts[0]
    assert chunks_for(action, "other") == ()
    with pytest.raises(ArtifactError):
        choose_artifact(action, "other")


CASES: list[tuple[dict[str, dict[str, str]], str, list[str]]] = [
    ({"any": {}}, "big", ["any"]),
    ({"any": {"board": "x"}}, "big", ["any"]),
    ({"any": {}, "mine": {"hardware": "big"}}, "big", ["mine"]),
    ({"any": {}, "mine": {"hardware": "big"}}, "small", ["any"]),
    ({"one": {"hardware": "big"}, "two": {"hardware": "big"}}, "big", ["one", "two"]),
    ({"empty": {"hardware": ""}}, "big", []),
    ({}, "big", []),
]


@pytest.mark.parametrize(("modules", "hardware", "chosen"), CASES)
def test_a_module_of_its_own_goes_before_one_for_all(
    modules: dict[str, dict[str, str]], hardware: str, chosen: list[str]
) -> None:
    action = deployment(*(chunk(name, metadata) for name, metadata in modules.items()))
    assert [one.name for one in chunks_for(action, hardware)] == chosen


def test_the_key_counts_in_this_spelling_alone() -> None:
    said: dict[str, Any] = {"Hardware": "big"}
    assert [one.name for one in chunks_for(deployment(chunk("any", said)), "small")] == ["any"]
