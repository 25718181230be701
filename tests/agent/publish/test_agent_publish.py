"""Publishing on a server: made once, found again, refused where the content is another, gone on with after a break."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest

from smpdfu.agent.management.access import ManagementAccess, password_login
from smpdfu.agent.management.checks import PublishTrust
from smpdfu.agent.management.contents import PackageToPublish
from smpdfu.agent.management.publication import Publication, PublishWatch
from smpdfu.agent.management.publish import publish
from smpdfu.errors import PublishError, ServerLinkError, ServerRefusedError
from tests.agent.publish.publish_packages import maker, package_file
from tests.agent.servers.management import HawkbitServer
from tests.agent.servers.stand_in.faults import Fault
from tests.agent.servers.stand_in.serve import StandIn
from tests.dfu.conftest import Maker


@pytest.fixture(scope="module")
def make() -> Maker:
    return maker()


def access(server: HawkbitServer | StandIn, **how: Any) -> ManagementAccess:
    return ManagementAccess(server.url, password_login("admin", "admin"), **how)


def put(server: HawkbitServer | StandIn, *packages: PackageToPublish | Path, **how: Any) -> Publication:
    return asyncio.run(publish(packages, access(server), **how))


def test_a_package_is_a_module_and_a_set_with_its_metadata(
    server: HawkbitServer, tmp_path: Path, make: Maker, tag: str
) -> None:
    path = package_file(tmp_path, make, name=tag)
    done = put(server, path)
    (module,) = done.modules
    assert (module.name, module.version, module.existed) == (tag, "1.2.3+4", False)
    assert (done.set.name, done.set.version, done.set.existed) == (tag, "1.2.3+4", False)
    (artifact,) = server.call("GET", f"softwaremodules/{module.id}/artifacts")
    assert artifact["hashes"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert artifact["providedFilename"] == "dfu_application.zip"
    wanted = PackageToPublish.load(path).metadata
    for kind, number in (("softwaremodules", module.id), ("distributionsets", done.set.id)):
        found = server.call("GET", f"{kind}/{number}/metadata")["content"]
        assert {one["key"]: one["value"] for one in found} == dict(wanted)
    seen = server.call("GET", f"softwaremodules/{module.id}/metadata")["content"]
    assert all(one["targetVisible"] for one in seen)
    assert [one["id"] for one in server.call("GET", f"distributionsets/{done.set.id}")["modules"]] == [module.id]


def test_again_it_takes_what_is_there(server: HawkbitServer, tmp_path: Path, make: Maker, tag: str) -> None:
    path = package_file(tmp_path, make, name=tag)
    first, second = put(server, path), put(server, path)
    assert (first.modules[0].id, first.set.id) == (second.modules[0].id, second.set.id)
    assert second.modules[0].existed
    assert second.set.existed


def test_another_content_of_the_same_version_is_refused(
    server: HawkbitServer, tmp_path: Path, make: Maker, tag: str
) -> None:
    first = put(server, package_file(tmp_path / "1", make, name=tag))
    with pytest.raises(PublishError, match="at the server with another content") as caught:
        put(server, package_file(tmp_path / "2", make, name=tag, mark=7))
    assert caught.value.code == "publish-content"
    assert first.modules[0].sha256 in str(caught.value)
    (artifact,) = server.call("GET", f"softwaremodules/{first.modules[0].id}/artifacts")
    assert artifact["hashes"]["sha256"] == first.modules[0].sha256


def test_a_set_with_other_modules_is_refused_before_anything_is_written(
    server: HawkbitServer, tmp_path: Path, make: Maker, tag: str
) -> None:
    put(server, package_file(tmp_path / "1", make, "1.0.0"), name=tag, version="2026-11")
    with pytest.raises(PublishError, match="with other software modules"):
        put(server, package_file(tmp_path / "2", make, "2.0.0"), name=tag, version="2026-11")
    found = server.call("GET", f"softwaremodules?q=name=={tag};version==2.0.0")
    assert found["content"] == []


def test_one_set_for_several_hardwares(server: HawkbitServer, tmp_path: Path, make: Maker, tag: str) -> None:
    packages = [
        PackageToPublish.load(package_file(tmp_path / kind, make, mark=mark), kind)
        for mark, kind in enumerate(("big", "small"))
    ]
    done = put(server, *packages, name=tag)
    assert [one.name for one in done.modules] == [f"{tag}-big", f"{tag}-small"]
    found = server.call("GET", f"distributionsets/{done.set.id}")["modules"]
    assert sorted(one["id"] for one in found) == sorted(one.id for one in done.modules)
    metadata = server.call("GET", f"softwaremodules/{done.modules[1].id}/metadata")["content"]
    assert {"key": "hardware", "value": "small", "targetVisible": True} in metadata
    assert put(server, *packages, name=tag).set.id == done.set.id


# What a run does, in order. Each of these may be the last that reached the server.
BREAKS = [
    ("POST /rest/v1/softwaremodules$", "drop-after"),
    ("POST /rest/v1/softwaremodules/.*/artifacts", "drop-before"),
    ("POST /rest/v1/softwaremodules/.*/artifacts", "drop-after"),
    ("POST /rest/v1/softwaremodules/.*/metadata", "drop-before"),
    ("POST /rest/v1/softwaremodules/.*/metadata", "drop-after"),
    ("POST /rest/v1/distributionsets$", "drop-before"),
    ("POST /rest/v1/distributionsets$", "drop-after"),
    ("POST /rest/v1/distributionsets/.*/metadata", "drop-before"),
    ("POST /rest/v1/distributionsets/.*/metadata", "drop-after"),
]


@pytest.mark.parametrize(("match", "kind"), BREAKS)
def test_a_break_anywhere_is_gone_on_from(
    standing: StandIn, operator: HawkbitServer, tmp_path: Path, make: Maker, match: str, kind: Any
) -> None:
    path = package_file(tmp_path, make, name="roof")
    fault = standing.faults.add(Fault(kind, match))
    with pytest.raises(ServerLinkError):
        put(standing, path)
    assert fault.met == 1
    done = put(standing, path)
    assert len(standing.repository.modules) == len(standing.repository.sets) == 1
    (module,) = standing.repository.modules.values()
    assert [one.data for one in module.artifacts.values()] == [path.read_bytes()]
    assert {key: value for key, (value, _) in module.metadata.items()} == PackageToPublish.load(path).metadata
    (made,) = standing.repository.sets.values()
    assert made.metadata == PackageToPublish.load(path).metadata
    assert done.set.id == made.number


def test_two_at_a_time_make_one(standing: StandIn, tmp_path: Path, make: Maker) -> None:
    path = package_file(tmp_path, make, name="roof")

    async def both() -> tuple[Publication, Publication]:
        return await asyncio.gather(publish([path], access(standing)), publish([path], access(standing)))

    one, two = asyncio.run(both())
    assert (one.modules[0].id, one.set.id) == (two.modules[0].id, two.set.id)
    assert len(standing.repository.modules) == len(standing.repository.sets) == 1


def test_two_at_a_time_with_other_contents_publish_one(standing: StandIn, tmp_path: Path, make: Maker) -> None:
    paths = [package_file(tmp_path / str(mark), make, name="roof", mark=mark) for mark in (0, 1)]

    async def both() -> list[Publication | BaseException]:
        work = [publish([path], access(standing)) for path in paths]
        return await asyncio.gather(*work, return_exceptions=True)

    found = asyncio.run(both())
    kinds = {type(one) for one in found}
    assert kinds == {Publication, PublishError}, found
    (module,) = standing.repository.modules.values()
    assert len(module.artifacts) == 1


def test_a_login_of_another_tenant_is_refused(standing: StandIn, tmp_path: Path, make: Maker) -> None:
    path = package_file(tmp_path, make)
    with pytest.raises(PublishError, match="the login belongs to the tenant DEFAULT, not to BLUE"):
        asyncio.run(publish([path], access(standing, tenant="BLUE")))
    assert not standing.repository.modules
    asyncio.run(publish([path], access(standing, tenant="default")))


def test_a_wrong_password_is_refused(standing: StandIn, tmp_path: Path, make: Maker) -> None:
    wrong = ManagementAccess(standing.url, password_login("admin", "s3cret-word"))
    with pytest.raises(ServerRefusedError, match="does not accept the login") as caught:
        asyncio.run(publish([package_file(tmp_path, make)], wrong))
    assert caught.value.status == 401
    assert "s3cret-word" not in f"{caught.value!r} {caught.value} {wrong!r}"


def test_the_watch_sees_the_upload_and_the_warnings(standing: StandIn, tmp_path: Path, make: Maker) -> None:
    class Watch(PublishWatch):
        def __init__(self) -> None:
            self.seen: list[tuple[int, int]] = []
            self.warnings: list[str] = []

        def warning(self, text: str) -> None:
            self.warnings.append(text)

        def progress(self, file: str, done: int, total: int) -> None:
            self.seen.append((done, total))

    watch = Watch()
    path = package_file(tmp_path, make, size=200_000)
    done = put(standing, path, watch=watch)
    size = path.stat().st_size
    assert watch.seen[-1] == (size, size)
    assert len(watch.seen) > 1
    assert done.warnings == tuple(watch.warnings)
    assert any("signature was not checked" in text for text in watch.warnings)
    assert not put(standing, path, trust=PublishTrust((make.key.public,))).warnings
