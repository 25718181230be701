"""A package as it is published: names, metadata, and what is refused before a server is asked."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from smpdfu import __version__
from smpdfu.agent.management.checks import PublishTrust, check_package
from smpdfu.agent.management.contents import PackageToPublish
from smpdfu.agent.management.plan import wanted
from smpdfu.dfu.package.images import Role
from smpdfu.errors import ImageError, PackageError, SigningError
from smpdfu.image.keys.keys import generate, load_key
from tests.agent.publish.publish_packages import maker, package, package_file
from tests.conftest import ROOT
from tests.dfu.conftest import Maker


@pytest.fixture(scope="module")
def make() -> Maker:
    return maker()


def test_the_names_come_from_the_package(tmp_path: Path, make: Maker) -> None:
    found = PackageToPublish.load(package_file(tmp_path, make))
    assert (found.name, found.version, found.file) == ("app_update", "1.2.3+4", "dfu_application.zip")
    assert found.words == "app 1.2.3+4, net 1.0.0"
    assert PackageToPublish.load(package_file(tmp_path, make, name="roof firmware")).name == "roof firmware"


def test_the_metadata_tells_what_is_in_it(tmp_path: Path, make: Maker) -> None:
    path = package_file(tmp_path, make)
    found = PackageToPublish.load(path, "roof")
    app, net = (found.package.image(role) for role in (Role.APP, Role.NET))
    assert app is not None
    assert net is not None
    assert app.hash is not None
    assert net.hash is not None
    assert found.metadata == {
        "hardware": "roof",
        "board": "nrf5340dk/nrf5340/cpuapp",
        "kind": "dfu_application.zip",
        "package.sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "package.digest": found.package.digest,
        "image.app.version": "1.2.3+4",
        "image.app.hash": app.hash.hex(),
        "image.app.sha256": hashlib.sha256(app.data).hexdigest(),
        "image.net.version": "1.0.0",
        "image.net.hash": net.hash.hex(),
        "image.net.sha256": hashlib.sha256(net.data).hexdigest(),
        "smpdfu.version": __version__,
    }


def test_an_encrypted_image_is_told_as_such(tmp_path: Path, make: Maker) -> None:
    found = PackageToPublish.load(package_file(tmp_path, make, encrypted=True))
    assert found.metadata["image.app.encrypted"] == "yes"


def test_a_single_image_is_no_package(tmp_path: Path, make: Maker) -> None:
    path = tmp_path / "app.bin"
    path.write_bytes(make.data())
    with pytest.raises(PackageError, match=r"app\.bin is a single mcuboot image") as caught:
        PackageToPublish.load(path)
    assert caught.value.code == "publish-one-image"


def test_a_file_that_no_gateway_would_take_is_refused(tmp_path: Path, make: Maker) -> None:
    path = package_file(tmp_path, make).rename(tmp_path / "release.dfu")
    with pytest.raises(ValueError, match=r"must end with \.zip or \.bin"):
        PackageToPublish.load(path)


def test_other_files_are_no_packages(tmp_path: Path) -> None:
    path = tmp_path / "page.zip"
    path.write_bytes(b"<html></html>")
    with pytest.raises(PackageError, match=r"page\.zip: this is not a package"):
        PackageToPublish.load(path)


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a*b", "<b>", " a", "a\n", "a" * 129])
def test_names_that_a_query_or_a_server_cannot_have_are_refused(tmp_path: Path, make: Maker, name: str) -> None:
    found = PackageToPublish.load(package_file(tmp_path, make))
    with pytest.raises(ValueError, match="name"):
        wanted([found], name=name)
    with pytest.raises(ValueError, match="hardware"):
        PackageToPublish.load(package_file(tmp_path, make), name)


def test_one_set_of_packages_for_several_hardwares(tmp_path: Path, make: Maker) -> None:
    one = PackageToPublish.load(package_file(tmp_path / "1", make, name="roof"), "big")
    two = PackageToPublish.load(package_file(tmp_path / "2", make, mark=1), "small")
    want = wanted([one, two])
    assert (want.name, want.version) == ("roof", "1.2.3+4")
    assert [(module.name, module.version) for module in want.modules] == [
        ("roof-big", "1.2.3+4"),
        ("roof-small", "1.2.3+4"),
    ]
    assert want.metadata["hardware.small"] == f"1.2.3+4 {two.sha256}"


def test_several_packages_need_a_hardware_each_and_one_version(tmp_path: Path, make: Maker) -> None:
    plain = PackageToPublish.load(package_file(tmp_path, make))
    big = PackageToPublish(plain.file, plain.data, plain.package, "big")
    newer = PackageToPublish.load(package_file(tmp_path, make, "2.0.0"), "small")
    for packages in ([plain, big], [big, big], [], [big] * 51):
        with pytest.raises(ValueError, match="package"):
            wanted(packages)
    with pytest.raises(ValueError, match="several versions"):
        wanted([big, newer])
    assert wanted([big, newer], version="2026-11").version == "2026-11"


def test_a_good_package_has_no_warnings_with_its_key(tmp_path: Path, make: Maker) -> None:
    found = PackageToPublish.load(package_file(tmp_path, make))
    assert check_package(found, PublishTrust((make.key.public,))) == ()
    unchecked = check_package(found, PublishTrust())
    assert unchecked == tuple(
        f"{file}: the signature was not checked: no key was given" for file in ("app_update.bin", "net_core_update.bin")
    )


def test_an_image_that_the_bootloader_would_refuse_is_not_published(tmp_path: Path, make: Maker) -> None:
    found = PackageToPublish.load(package_file(tmp_path, make))
    with pytest.raises(ImageError, match=r"app_update\.bin in dfu_application\.zip would be refused"):
        check_package(found, PublishTrust((generate("ecdsa-p256").public,)))


def test_a_damaged_image_is_not_published(tmp_path: Path, make: Maker) -> None:
    whole = package(make)
    app = whole.image(Role.APP)
    assert app is not None
    at = 0x200 + 300
    bad = app.data[:at] + bytes([app.data[at] ^ 1]) + app.data[at + 1 :]
    path = tmp_path / "dfu_application.zip"
    replace(whole, images=(replace(app, data=bad), *whole.images[1:])).write(path)
    with pytest.raises(ImageError, match="would be refused"):
        check_package(PackageToPublish.load(path), PublishTrust(development=True))


def test_keys_that_everybody_has_need_a_word(tmp_path: Path) -> None:
    key = load_key((ROOT / "keys" / "dev-sign-p256.pem").read_bytes())
    make = Maker(key, generate("ecdsa-p256"))  # type: ignore[arg-type]  # the file has a private key
    found = PackageToPublish.load(package_file(tmp_path, make))
    with pytest.raises(SigningError, match="development key dev-sign-p256: anybody can sign") as caught:
        check_package(found, PublishTrust())
    assert caught.value.code == "publish-known-key"
    assert any("dev-sign-p256" in text for text in check_package(found, PublishTrust(development=True)))


def test_an_image_without_a_signature_needs_the_same_word(tmp_path: Path, make: Maker) -> None:
    found = PackageToPublish.load(package_file(tmp_path, make, signed=False))
    with pytest.raises(SigningError, match="has no signature"):
        check_package(found, PublishTrust())
    assert any("no signature" in text for text in check_package(found, PublishTrust(development=True)))
