"""Keeps the house: a room imports only rooms on lower lines, and each third-party package has one home."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import smpdfu.errors

PACKAGE = Path(__file__).parent.parent / "smpdfu"

# docs/explanation/architecture.md, "Layers": a room imports from lower lines only; rooms of one line never meet.
LINES = (
    {"errors"},
    {"untrusted"},
    {"image", "smp", "link", "local", "loaders"},
    {"securedfu"},
    {"client", "virtual"},
    {"dfu"},
    {"connect"},
    {"library", "fleets", "device_search", "device_scan", "secure_dfu"},
    {"agent"},
    {"cli"},
)
LEVEL = {room: level for level, rooms in enumerate(LINES) for room in rooms}

# The same within a room, from its lowest sub-room up. Files that stand in the room itself may import any, and be
# imported by any; ``test_no_import_goes_in_a_circle`` holds for them, too.
SUB_LINES: dict[str, tuple[set[str], ...]] = {
    "agent": (
        {"ddi"},
        {"description"},
        {"server", "artifacts"},
        {"actions"},
        {"report", "management"},
        {"work"},
    ),
    "cli": (
        {"terminal"},
        {"app"},
        {"keys"},
        {"inspect"},
        {"image"},
        {"nsib"},
        {"update"},
        {"slots"},
        {"device"},
        {"agent", "fleet", "virtual", "imgtool", "computer", "securedfu"},
    ),
    "cli/image": ({"pack"},),
    "cli/virtual": ({"options"}, {"nrf52"}),
    "client": ({"transfers"},),
    "dfu": ({"package"}, {"build_folder"}, {"evidence"}, {"decide"}, {"do"}, {"fleet"}),
    "dfu/build_folder": ({"formats"}, {"packing"}),
    "dfu/decide": ({"steps"}, {"checks"}),
    "dfu/decide/checks": ({"loader"},),
    "dfu/do": ({"journal"}, {"replacing"}),
    "dfu/fleet": ({"description"}, {"log"}, {"affected"}),
    "image": ({"keys", "inspect", "secure_dfu"}, {"signers"}, {"signing"}, {"nsib"}, {"verification"}),
    "link": ({"serial", "ble"},),
    "local": ({"state", "doctor"},),
    "securedfu": ({"protocol", "making"}, {"send"}),
    "smp": ({"groups"}, {"transfer"}),
    "virtual": ({"chip"}, {"boot", "nrf52"}, {"server"}, {"line"}, {"wires", "store"}),
    "virtual/boot": ({"swap", "network"}, {"nsib"}, {"modes"}),
    "virtual/server": ({"groups"},),
}
SUB_LEVEL = {
    (room, name): level for room, lines in SUB_LINES.items() for level, names in enumerate(lines) for name in names
}

# Third-party package -> the files or folders of smpdfu/ that may import it.
HOMES = {
    "aiohttp": ("agent/server/",),
    "prometheus_client": ("agent/report/",),
    "cryptography": ("image/keys/keys.py", "image/signing/encrypt.py", "image/signers/remote.py"),
    "intelhex": ("image/hexfile.py",),
    "cbor2": ("smp/cbor.py", "image/signing/protected_tlvs.py"),
    "cyclonedx": ("dfu/evidence/sbom.py",),
    "packageurl": ("dfu/evidence/sbom.py",),
    "pkcs11": ("image/signers/hsm.py",),
    "securesystemslib": ("image/signers/kms.py", "dfu/evidence/envelope.py"),
    "in_toto_attestation": ("dfu/evidence/statement.py",),
    "google": ("dfu/evidence/statement.py",),
    "serial": ("link/serial/pipe.py",),
    "bleak": ("link/ble/",),
    "bumble": ("link/ble/bumble_backend.py", "link/ble/bumble_host.py", "virtual/wires/"),
    "dbus_fast": ("link/ble/bluez.py",),
    "typer": ("cli/",),
    "yaml": ("cli/imgtool/dumpinfo.py", "untrusted/yamltext.py"),
    "rich": ("cli/",),
}
# The only modules of dfu/ that may talk to a device.
DFU_TALKERS = {
    "dfu/fleet/reach.py",
    "dfu/fleet/run.py",
    "dfu/do/health.py",
    "dfu/do/mcuboot.py",
    "dfu/do/net_version.py",
    "dfu/do/one_image.py",
    "dfu/do/one_image_steps.py",
    "dfu/do/parts.py",
    "dfu/do/replacing/serial_recovery.py",
    "dfu/do/replacing/reach.py",
    "dfu/do/replacing/replacing_steps.py",
    "dfu/do/same_device.py",
    "dfu/do/slot_marks.py",
    "dfu/do/update.py",
    "dfu/do/state_reading.py",
    "dfu/do/steps.py",
}

MODULES = sorted(PACKAGE.rglob("*.py"))
MAX_LINES = 400


@cache
def imports(path: Path) -> tuple[str, ...]:
    """The absolute dotted names that a module imports, wherever in it."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(dotted: str) -> str | None:
    parts = dotted.split(".")
    return parts[1] if parts[0] == "smpdfu" and len(parts) > 1 and parts[1] in LEVEL else None


def place(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_module_keeps_its_layer(path: Path) -> None:
    here = place(path).split("/")[0].removesuffix(".py")
    if here not in LEVEL:  # __init__ and __main__: the door
        return
    for name in imports(path):
        room = room_of(name)
        if room is None or room == here:
            continue
        assert LEVEL[room] < LEVEL[here], f"{place(path)} ({here}) imports {name} ({room})"
        if here == "dfu" and room == "client":
            assert place(path) in DFU_TALKERS, f"{place(path)} imports client"


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_third_party_packages_stay_at_home(path: Path) -> None:
    for name in imports(path):
        homes = HOMES.get(name.split(".")[0])
        if homes is not None:
            assert any(place(path).startswith(home) for home in homes), f"{place(path)} imports {name}"


# What only a session of a fleet does: no command opens the log, decides what is next, or runs a fleet itself.
SESSION_ONLY = ("log.log", "log.folder", "log.standing", "run", "reach")


@pytest.mark.parametrize("path", sorted((PACKAGE / "cli" / "fleet").glob("*.py")), ids=place)
def test_fleet_commands_leave_the_log_to_the_session(path: Path) -> None:
    assert not {f"smpdfu.dfu.fleet.{name}" for name in SESSION_ONLY} & set(imports(path))
    assert "typer.Exit(" not in path.read_text("utf-8")


JOURNAL_AND_LOCK = {
    "smpdfu.dfu.do.journal.journal",
    "smpdfu.dfu.do.journal.reading",
    "smpdfu.dfu.do.journal.device_lock",
}


@pytest.mark.parametrize("path", sorted((PACKAGE / "cli").rglob("*.py")), ids=place)
def test_no_command_opens_a_journal_or_locks_a_device(path: Path) -> None:
    """``library`` does: what a command can do, a program can."""
    assert not JOURNAL_AND_LOCK & set(imports(path))


def test_the_journal_and_the_lock_are_where_that_rule_looks() -> None:
    assert JOURNAL_AND_LOCK <= NAMES


def sub_rooms_of(dotted: str) -> dict[str, str]:
    """Room -> the sub-room of it that a module stands in, for the room and for each sub-room that is divided itself."""
    parts = dotted.split(".")[1:]
    steps = [("/".join(parts[:depth]), parts[depth]) for depth in range(1, len(parts))]
    return {room: name for room, name in steps if (room, name) in SUB_LEVEL}


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_module_keeps_the_order_of_sub_rooms(path: Path) -> None:
    here = sub_rooms_of(dotted(path))
    for name in imports(path):
        for room, there in sub_rooms_of(name).items():
            if room in here and here[room] != there:
                assert SUB_LEVEL[room, there] < SUB_LEVEL[room, here[room]], f"{place(path)} imports {name}"


def test_every_sub_room_is_known() -> None:
    folders = [path.parent.relative_to(PACKAGE) for path in PACKAGE.glob("*/*/**/__init__.py")]
    assert {(folder.parent.as_posix(), folder.name) for folder in folders} == set(SUB_LEVEL)


def test_the_page_on_the_architecture_has_every_sub_room() -> None:
    page = (PACKAGE.parent / "docs" / "explanation" / "architecture.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(\w+)/` \| (.*) \|$", page.partition("| room | sub-rooms")[2], re.MULTILINE))
    missing = [
        f"{room}/{name}"
        for room, name in SUB_LEVEL
        if re.search(rf"`{name}/?`", rows.get(room.partition("/")[0], "")) is None
    ]
    assert missing == []


def test_a_divided_sub_room_has_an_order_of_its_own() -> None:
    assert sub_rooms_of("smpdfu.dfu.fleet.log.events") == {"dfu": "fleet", "dfu/fleet": "log"}
    assert SUB_LEVEL["dfu/fleet", "description"] < SUB_LEVEL["dfu/fleet", "log"]


def dotted(path: Path) -> str:
    """The name under which a file is imported."""
    return ".".join(["smpdfu", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__")


def needed(path: Path) -> Iterator[str]:
    """The modules that a module imports, wherever in it, also for types alone: a reader needs them, too."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in NAMES else node.module


NAMES = {dotted(path) for path in MODULES}


def test_no_import_goes_in_a_circle() -> None:
    graph = {dotted(path): {name for name in needed(path) if name in NAMES} - {dotted(path)} for path in MODULES}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_every_exception_has_one_address() -> None:
    """``smpdfu.errors`` has the exceptions of each of its files, and nobody outside imports from those files."""
    for path in (PACKAGE / "errors").glob("[!_]*.py"):
        for node in ast.parse(path.read_text("utf-8")).body:
            assert not isinstance(node, ast.ClassDef) or hasattr(smpdfu.errors, node.name), f"{node.name} of {path}"
    outside = [path for path in MODULES if path.parent.name != "errors"]
    assert [place(path) for path in outside if "smpdfu.errors." in path.read_text("utf-8")] == []


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_no_file_is_longer_than_the_style_allows(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= MAX_LINES


def test_every_room_of_the_house_is_known() -> None:
    rooms = {path.name.removesuffix(".py") for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert rooms - {"__init__", "__main__", "__pycache__", "py.typed"} <= set(LEVEL)


def test_the_layer_rule_can_fail(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("def f():\n    from smpdfu.cli import main\n")
    assert [name for name in imports(bad) if room_of(name) == "cli"]
