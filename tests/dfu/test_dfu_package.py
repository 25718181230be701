"""dfu_application.zip: what the SDK and its old releases wrote is read, what we write is read by Nordic's apps, and a
hostile zip is one sentence."""

from __future__ import annotations

import io
import json
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smpdfu.dfu.package import zipped as zips
from smpdfu.dfu.package.images import Core, PackageImage, Role, core_of_address
from smpdfu.dfu.package.manifest import number
from smpdfu.dfu.package.package import Package, new_package
from smpdfu.errors import FormatError, PackageError
from smpdfu.image.format import Version
from smpdfu.image.signing.build import ImageSpec, build
from tests.dfu.conftest import CODE, firmware

if TYPE_CHECKING:
    from tests.dfu.conftest import Maker


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return target.getvalue()


def sdk_zip(make: Maker, manifest: str | None = None, **changes: Any) -> bytes:
    """As NCS 2.x wrote it: numbers of the build's command line are text, unless they begin with 0x."""
    app, net = make.data(Core.APP), make.data(Core.NET)
    files = [
        {
            "type": "application",
            "board": "nrf5340dk_nrf5340_cpuapp",
            "soc": "nRF5340_CPUAPP_QKAA",
            "load_address": 0xC200,
            "image_index": "0",
            "slot_index_primary": "1",
            "slot_index_secondary": "2",
            "version_MCUBOOT": "2.0.0+0",
            "size": len(app),
            "file": "app_update.bin",
            "modtime": 1700000000,
            **changes,
        },
        {
            "type": "application",
            "board": "nrf5340dk_nrf5340_cpunet",
            "soc": "nRF5340_CPUNET_QKAA",
            "load_address": "0x1008800",
            "image_index": "1",
            "slot_index_primary": "3",
            "slot_index_secondary": "4",
            "version_B0": "1",
            "size": len(net),
            "file": "ipc_radio.bin",
            "modtime": 1700000000,
        },
    ]
    text = manifest or json.dumps({"format-version": 0, "time": 1700000000, "files": files, "x-unknown": [1]})
    return zipped({"manifest.json": text.encode(), "app_update.bin": app, "ipc_radio.bin": net, "notes.txt": b"hello"})


def test_a_package_of_the_sdk(make: Maker) -> None:
    package = Package.from_bytes(sdk_zip(make))
    app, net = package.image(Role.APP), package.image(Role.NET)
    assert app is not None
    assert net is not None
    assert (app.file, app.load_address, app.image_index, app.data) == ("app_update.bin", 0xC200, 0, make.data(Core.APP))
    assert (net.file, net.load_address, net.image_index, net.data) == (
        "ipc_radio.bin",
        0x1008800,
        1,
        make.data(Core.NET),
    )


def test_what_we_do_not_know_is_written_back(make: Maker) -> None:
    package = Package.from_bytes(sdk_zip(make))
    again = Package.from_bytes(package.to_bytes())
    assert again.manifest == package.manifest
    assert again.manifest["x-unknown"] == [1]
    assert again.others == {"notes.txt": b"hello"}
    assert again == package


def test_a_bare_hexadecimal_load_address_of_old_releases(make: Maker) -> None:
    text = json.dumps({"files": [{"file": "app_update.bin", "load_address": 49664, "size": "1"}]})
    bare = text.replace("49664", "0xc200").replace('"1"', str(len(make.data())))
    assert Package.from_bytes(sdk_zip(make, manifest=bare)).images[0].load_address == 0xC200


@pytest.mark.parametrize(
    ("entry", "core"),
    [
        ({"load_address": 0x01008800}, Core.NET),
        ({"load_address": "0x01008800", "image_index": "0"}, Core.NET),
        ({"board": "nrf5340dk/nrf5340/cpunet"}, Core.NET),
        ({"image_index": "1"}, Core.NET),
        ({"image_index": 0}, Core.APP),
        ({"load_address": "49664"}, Core.APP),
        ({}, Core.APP),
    ],
)
def test_the_manifest_says_which_core(make: Maker, entry: dict[str, Any], core: Core) -> None:
    assert PackageImage.from_bytes(make.data(), "x.bin", entry).core is core


@pytest.mark.parametrize("core", Core)
@pytest.mark.parametrize("address", [0x2000_0000, "0x20010000", 0xC000, "49152", "-1", -1, 0])
def test_an_address_that_proves_nothing_leaves_it_to_the_reset_vector(make: Maker, core: Core, address: object) -> None:
    for entry in ({"load_address": address}, {"load_address": address, "image_index": "-1"}):
        assert PackageImage.from_bytes(make.data(core), "x.bin", entry).core is core


# Without Partition Manager: the slot's start, and of a network image the slot in RAM, under each other name it has.
ELSEWHERE: tuple[tuple[Core, object], ...] = (
    (Core.APP, 0xC000),
    (Core.APP, "49152"),
    (Core.APP, 0x2000_0000),
    (Core.APP, "-1"),
    (Core.NET, 0x2001_0000),
    (Core.NET, "0x20010000"),
    (Core.NET, 0xF7000),
    (Core.NET, 0),
    (Core.NET, "-1"),
)


@pytest.mark.parametrize(("core", "address"), ELSEWHERE)
def test_a_manifest_of_a_build_without_partition_manager(make: Maker, core: Core, address: object) -> None:
    entry = {
        "load_address": address,
        "image_index": "0" if core is Core.APP else "1",
        "board": "nrf5340dk/nrf5340/cpuapp" if core is Core.APP else "../cpunet",
    }
    image = PackageImage.from_bytes(make.data(core, fixed=0), "x.bin", entry)
    assert (image.core, image.vector_core, image.link_warning) == (core, core, None)
    borne_out = core is Core.NET or address in (0xC000, "49152")  # a network image says it itself, by b0n's info
    assert image.code_address == (CODE[core] if borne_out else None)
    assert PackageImage.from_bytes(make.data(core, encrypted=True), "x.bin", entry).code_address is None


def test_firmware_linked_elsewhere_is_so_whatever_the_manifest_says(make: Maker) -> None:
    for core, linked, address in (
        (Core.APP, 0x86200, 0xC200),
        (Core.APP, 0x86200, 0xC000),
        (Core.APP, 0x200, 0x2000_0000),
        (Core.NET, 0x0100_2800, 0x0100_8800),
    ):
        image = PackageImage.from_bytes(make.data(core, address=linked), "x.bin", {"load_address": address})
        assert image.link_warning is not None, (linked, address)
        assert PackageImage.from_bytes(make.data(core, address=linked, encrypted=True), "x.bin").link_warning is None


def test_the_header_says_where_code_runs_when_nothing_else_does(make: Maker) -> None:
    spec = ImageSpec(Version(1), 0x200, 0, pad_header=True, rom_fixed=0xC000)
    data = build(spec, firmware(0xC200)).to_bytes()
    assert PackageImage.from_bytes(data, "x.bin", {"load_address": 0x2000_0000}).code_address == 0xC200


def test_a_part_for_external_flash_is_not_the_network_core_s(make: Maker) -> None:
    """QSPI XIP: the second part is image 1, which else is the network core's."""
    files = [
        {"file": "app.internal.bin", "image_index": "0", "load_address": 0xC200},
        {"file": "app.external.bin", "image_index": "1", "load_address": 0x1200_0200},
    ]
    members = {"app.internal.bin": make.data(), "app.external.bin": make.data(address=0x1200_0200)}
    package = Package.from_bytes(zipped({"manifest.json": json.dumps({"files": files}).encode(), **members}))
    assert [(one.role, one.core, one.image_index) for one in package.images] == [
        (Role.APP, Core.APP, 0),
        (Role.EXTERNAL, Core.APP, 1),
    ]


def test_without_a_manifest_the_reset_vector_says_it(make: Maker) -> None:
    assert PackageImage.from_bytes(make.data(Core.NET), "x.bin").core is Core.NET
    assert PackageImage.from_bytes(make.data(Core.APP), "x.bin").core is Core.APP
    secret = PackageImage.from_bytes(make.data(Core.NET, encrypted=True), "x.bin")
    assert (secret.core, secret.vector_core) == (Core.APP, None)


def test_addresses_of_the_cores() -> None:
    assert [core_of_address(at) for at in (0, 0xFFFFF, 0x100000, 0x1000000, 0x103FFFF, 0x1040000, 0x20000000)] == [
        *(Core.APP, Core.APP, None, Core.NET, Core.NET, None, None)
    ]


def test_our_manifest_has_what_nordics_apps_read(make: Maker) -> None:
    package = new_package([(make.image(Role.APP), 0xC200), (make.image(Role.NET), 0x1008800)], name="demo")
    with zipfile.ZipFile(io.BytesIO(package.to_bytes())) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        assert archive.read("app_update.bin") == make.image(Role.APP).data
        assert archive.namelist() == sorted(archive.namelist())
    assert (manifest["format-version"], manifest["name"]) == (1, "demo")
    for index, (entry, core) in enumerate(zip(manifest["files"], Core, strict=True)):
        assert entry["type"] == "application"
        assert entry["image_index"] == str(index)
        assert (entry["slot_index_primary"], entry["slot_index_secondary"]) == (str(2 * index + 1), str(2 * index + 2))
        assert entry["size"] == len(make.image(Role(core)).data)
        assert entry["board"] == f"nrf5340dk/nrf5340/cpu{core}"
        assert entry["soc"] == f"nRF5340_CPU{core.upper()}_QKAA"
        assert entry["version_MCUBOOT"] == "2.0.0+0"
        assert isinstance(entry["load_address"], int)


def test_a_package_is_the_same_whenever_it_is_made(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    first = make.package().to_bytes()
    assert make.package().to_bytes() == first
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    later = make.package()
    assert later.to_bytes() != first
    assert later.manifest["time"] == later.manifest["files"][0]["modtime"] == 1700000000
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(PackageError, match="SOURCE_DATE_EPOCH"):
        make.package()


def test_the_digest_names_the_images_and_not_the_zip(make: Maker) -> None:
    package = make.package()
    assert Package.from_bytes(package.to_bytes(time_s=2_000_000_000)).digest == package.digest
    assert Package(tuple(reversed(package.images))).digest == package.digest
    assert make.package(make.image(Role.APP)).digest != package.digest
    assert make.package(make.image(mark=1), make.image(Role.NET)).digest != package.digest


def test_files(make: Maker, tmp_path: Path) -> None:
    package, path = make.package(), tmp_path / "dfu_application.zip"
    package.write(path)
    assert Package.load(path) == package
    path.write_bytes(b"PK")
    with pytest.raises(PackageError, match=r"^dfu_application.zip: "):
        Package.load(path)
    with pytest.raises(FileNotFoundError):
        Package.load(tmp_path / "none.zip")


# --- what is no package ---------------------------------------------------------------------------------------------

SECURE_DFU = {"manifest": {"application": {"bin_file": "a.bin", "dat_file": "a.dat"}}}


def manifest_zip(manifest: Any, **members: bytes) -> bytes:
    text = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
    return zipped({"manifest.json": text, **members})


def entries(*files: Any) -> dict[str, Any]:
    return {"format-version": 1, "files": list(files)}


BAD: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "empty"),
    "half a zip": (zipped({"a": b"1" * 100})[:60], "damaged"),
    "any zip": (zipped({"a.txt": b"1", "b.txt": b"2"}), "no manifest.json.*a.txt, b.txt"),
    "an empty zip": (zipped({}), "no manifest.json"),
    "secure dfu": (manifest_zip(SECURE_DFU), "Secure DFU"),
    "suit": (manifest_zip(entries({"type": "suit-envelope", "file": "root.suit"})), "SUIT"),
    "intel hex": (b":020000040000FA\n:00000001FF\n", "intel hex"),
    "elf": (b"\x7fELF" + bytes(60), "elf"),
    "text": (b"hello world", "Its kind is: text"),
    "no json": (manifest_zip(b"{"), "not JSON"),
    "no text": (manifest_zip(b"\xff\xfe\xff"), "not JSON"),
    "deep json": (manifest_zip(b"[" * 100_000), "nested too deep"),
    "nan": (manifest_zip(b'{"files": [{"file": "a", "size": NaN}]}'), "NaN"),
    "a list": (manifest_zip([1]), "not a JSON object"),
    "no files": (manifest_zip({"format-version": 1}), 'no list "files"'),
    "files of texts": (manifest_zip(entries("a")), 'no list "files"'),
    "an empty list": (manifest_zip(entries()), "0 files"),
    "too many entries": (manifest_zip(entries(*[{"file": "a"}] * 65)), "65 files"),
    "no name": (manifest_zip(entries({"size": 1})), 'without "file"'),
    "future": (manifest_zip({"format-version": 7, "files": [{"file": "a"}]}), "format-version 7"),
    "missing file": (manifest_zip(entries({"file": "a.bin"})), "'a.bin', which is not in the zip"),
    "wrong size": (manifest_zip(entries({"file": "a", "size": 2}), a=b"123"), "damaged"),
    "a size of letters": (manifest_zip(entries({"file": "a", "size": "two"}), a=b"1"), "size 'two'"),
    "not an image": (manifest_zip(entries({"file": "a"}), a=b"1" * 64), "not a whole MCUboot image"),
    "only a bootloader": (manifest_zip(entries({"file": "a", "type": "mcuboot"}), a=b"1"), "not a whole MCUboot image"),
    "leads out": (zipped({"../evil": b"1", "manifest.json": b"{}"}), "leads out"),
    "absolute": (zipped({"/etc/passwd": b"1"}), "leads out"),
    "drive": (zipped({"C:evil": b"1"}), "leads out"),
    "backslash": (zipped({"..\\evil": b"1"}), "leads out"),
    "too many files": (zipped({f"f{number}": b"" for number in range(129)}), "129 files"),
    "thousands of files": (zipped({f"f{number}": b"" for number in range(1000)}), "more than 128"),
    "a bomb": (zipped({"zeros": bytes(zips.MAX_FILE_BYTES + 1)}), "no flash holds"),
    "many small bombs": (zipped({f"z{n}": bytes(zips.MAX_FILE_BYTES) for n in range(5)}), "more than 32 MiB"),
    "a large manifest": (manifest_zip(b" " * 300_000), "more than the 262144"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_package_is_one_sentence(name: str) -> None:
    data, words = BAD[name]
    with pytest.raises(PackageError, match=f"(?s){words}") as caught:
        Package.from_bytes(data)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_file_that_lies_about_its_size(make: Maker) -> None:
    """The central directory says 10 bytes, the stream unpacks to 9 MiB: zipfile stops, and so do we."""
    data = bytearray(zipped({"zeros": bytes(9 << 20)}))
    at = data.index(b"PK\x01\x02") + 24
    data[at : at + 4] = (10).to_bytes(4, "little")
    with pytest.raises(PackageError):
        Package.from_bytes(bytes(data))


def test_two_files_of_one_name(make: Maker) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        data = zipped_twice("a", b"1", b"2")
    with pytest.raises(PackageError, match="two files named 'a'"):
        Package.from_bytes(data)


def zipped_twice(name: str, *contents: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for content in contents:
            archive.writestr(name, content)
    return target.getvalue()


def test_an_encrypted_zip() -> None:
    data = bytearray(zipped({"a": b"1" * 20}))
    for magic, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(magic) + at] |= 1
    with pytest.raises(PackageError, match="cannot be unpacked"):
        Package.from_bytes(bytes(data))


def test_a_file_larger_than_any_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zips, "MAX_PACKAGE_BYTES", 100)
    with pytest.raises(PackageError, match="larger than"):
        Package.from_bytes(b"PK" + bytes(99))


def test_two_images_for_one_core(make: Maker) -> None:
    with pytest.raises(PackageError, match="are both an image for the application core"):
        make.package(make.image(), make.image(mark=1))


@pytest.mark.parametrize("text", ["-1", "1.5", "0x", "0xzz", "", " ", "1_0_0e", True, 1.5, [], {}, -3, 1 << 64])
def test_what_is_no_number(text: Any) -> None:
    with pytest.raises(PackageError, match="is not a number"):
        number({"size": text}, "size")


@pytest.mark.parametrize(("text", "value"), [("7", 7), ("0xA0", 160), (7, 7), (None, None), ("0X10", 16)])
def test_numbers(text: Any, value: int | None) -> None:
    assert number({"size": text}, "size") == value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(["file", "size", "type", "load_address", "image_index", "board", "soc", "other"])


@settings(max_examples=80)
@given(
    files=st.lists(st.dictionaries(KEYS, JSON | st.sampled_from(["a.bin", "0", "1", "0x1008800", "application"]))),
    rest=st.dictionaries(st.text(max_size=8), JSON, max_size=3),
)
def test_any_manifest_is_a_package_or_a_sentence(make: Maker, files: list[Any], rest: dict[str, Any]) -> None:
    data = manifest_zip({**rest, "files": files}, **{"a.bin": make.data()})
    with suppress(PackageError):  # the one error that is promised
        package = Package.from_bytes(data)
        assert Package.from_bytes(package.to_bytes()) == package


@settings(max_examples=200)
@given(
    edits=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=6),
    cut=st.integers(0, 4000),
)
def test_a_damaged_package_is_a_package_or_a_sentence(make: Maker, edits: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(sdk_zip(make))
    for at, value in edits:
        data[at % len(data)] = value
    with suppress(PackageError):
        Package.from_bytes(bytes(data[: len(data) - cut % len(data)]) if cut % 3 == 0 else bytes(data))


def test_a_damaged_image_file_is_a_format_error() -> None:
    with pytest.raises(FormatError):
        PackageImage.from_bytes(b"1" * 100, "x.bin")
