"""Stand-ins have nothing that the real class lacks, and smpdfu calls nothing of that kind: their sources tell (ast).

Nobody here has a Windows or a Mac: a stand-in with a method too many hides that a call cannot work there.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def source(module: str) -> Path:
    """The file of a module that may be for another system: it is found, not imported."""
    package, _, name = module.rpartition(".")
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        pytest.skip(f"{package} is not installed")
    path = Path(found.submodule_search_locations[0], f"{name}.py")
    return path if path.exists() else Path(found.submodule_search_locations[0], name, "__init__.py")


@dataclass(frozen=True)
class Method:
    """How many arguments a call must have and may have; ``most`` None: any number."""

    least: int
    most: int | None


def read_class(tree: ast.Module, name: str) -> Iterator[ast.ClassDef]:
    """Every definition of the class: a source may have one for each system."""
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == name)


def methods_of(node: ast.ClassDef) -> dict[str, Method]:
    """What is public in the class itself: its methods, its properties, and what it declares."""
    found = {}
    for one in node.body:
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = one.args
            positional = len(arguments.posonlyargs) + len(arguments.args) - 1
            found[one.name] = Method(positional - len(arguments.defaults), None if arguments.vararg else positional)
        elif isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
            found[one.target.id] = Method(0, None)
    return {name: method for name, method in found.items() if not name.startswith("_")}


def has(classes: str) -> dict[str, Method]:
    """The methods of "module:Class module:Base ...", where the first definition counts."""
    found: dict[str, Method] = {}
    for one in classes.split():
        module, _, name = one.partition(":")
        definitions = list(read_class(ast.parse(source(module).read_text("utf-8")), name))
        assert definitions, f"there is no {one}"
        for definition in definitions:
            found = methods_of(definition) | found
    return found


WIN32 = "serial.serialwin32:Serial serial.serialutil:SerialBase"
# On POSIX, what is on one system only is not counted.
POSIX = "serial.serialposix:Serial serial.serialposix:PlatformSpecificBase serial.serialutil:SerialBase"
BLEAK = "bleak.backends"

# Where the stand-in is, what it stands for, and what the tests themselves need of it.
STAND_INS: tuple[tuple[str, str, str, frozenset[str]], ...] = (
    ("tests/link/test_link_systems.py", "FakeSerial", WIN32, frozenset({"pull"})),
    ("tests/link/test_link_threads.py", "FakePort", WIN32, frozenset()),
    ("tests/link/test_link_threads.py", "FakePort", POSIX, frozenset()),
    ("tests/ble/test_ble_systems.py", "StubScanner", f"{BLEAK}.scanner:BaseBleakScanner", frozenset()),
    (
        "tests/ble/test_ble_systems.py",
        "StubClient",
        f"{BLEAK}.client:BaseBleakClient",
        frozenset({"lose", "call_back"}),
    ),
    ("tests/ble/test_ble_silent.py", "Faltering", "bumble.transport.common:PumpedPacketSink", frozenset()),
    (
        "tests/image/fake_kms.py",
        "FakeKeyClient",
        "azure.keyvault.keys._client:KeyClient",
        frozenset({"store", "vault_url"}),
    ),
    (
        "tests/image/fake_kms.py",
        "FakeCryptographyClient",
        "azure.keyvault.keys.crypto._client:CryptographyClient",
        frozenset({"store", "key_id"}),
    ),
)


def too_many(stand_in: dict[str, Method], real: dict[str, Method], own: frozenset[str]) -> list[str]:
    """What the stand-in has and the real class has not, or takes fewer arguments for."""
    return [
        name
        for name, method in stand_in.items()
        if name not in own
        and (name not in real or (real[name].most is not None and method.least > (real[name].most or 0)))
    ]


def shown(value: str | frozenset[str]) -> str:
    """The same in every process, whose sets are in different orders."""
    return (value if isinstance(value, str) else " ".join(sorted(value)))[:40]


@pytest.mark.parametrize(("path", "name", "real", "own"), STAND_INS, ids=shown)
def test_a_stand_in_has_nothing_that_the_real_class_lacks(path: str, name: str, real: str, own: frozenset[str]) -> None:
    (stand_in,) = read_class(ast.parse((ROOT / path).read_text("utf-8")), name)
    methods = methods_of(stand_in)
    assert methods, "there is nothing to compare"
    assert not too_many(methods, has(real), own)


def test_every_stand_in_of_a_foreign_class_is_in_the_table() -> None:
    """Those in tests/ that inherit from a foreign class, or have its name in theirs."""
    known = {(path, name) for path, name, _, _ in STAND_INS}
    for path in sorted((ROOT / "tests").rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        foreign = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("serial", "bleak", "bumble")
            for alias in node.names
        }
        for node in ast.walk(tree):
            bases = {base.id for base in getattr(node, "bases", []) if isinstance(base, ast.Name)}
            if isinstance(node, ast.ClassDef) and (bases & foreign or node.name in ("FakeSerial", "FakePort")):
                assert (path.relative_to(ROOT).as_posix(), node.name) in known


def test_a_method_too_many_is_noticed() -> None:
    real = has(WIN32)
    assert too_many({"set_low_latency_mode": Method(1, 1)}, real, frozenset()) == ["set_low_latency_mode"]
    assert too_many({"read": Method(2, 2)}, real, frozenset()) == ["read"]
    assert not too_many({"read": Method(1, 1), "in_waiting": Method(0, 0)}, real, frozenset())


# --- what smpdfu itself calls -----------------------------------------------------------------------------------------

# What Windows' class lacks, and where the code asks for it all the same: not on Windows.
ONLY_POSIX = {"fileno": "a threaded port is not watched by the event loop"}


def calls_of_serial(tree: ast.Module) -> set[str]:
    """What is used of a ``Serial``, other than what ``hasattr`` was asked about."""
    used: set[str] = set()
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        arguments = (*function.args.posonlyargs, *function.args.args)
        names = {one.arg for one in arguments if one.annotation is not None and "Serial" in ast.unparse(one.annotation)}
        asked: set[str] = set()
        for node in ast.walk(function):
            if isinstance(node, ast.Assign):
                names |= set(_serials(node))
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "hasattr":
                asked.add(ast.literal_eval(node.args[1]))
        for node in ast.walk(function):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) in {*names, "self._serial"}:
                used.add(node.attr)
        used -= asked
    return used


def _serials(node: ast.Assign) -> Iterator[str]:
    """The names that an assignment gives a ``Serial`` to."""
    (target,) = node.targets
    pairs = [(target, node.value)]
    if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
        pairs = list(zip(target.elts, node.value.elts, strict=True))
    for left, right in pairs:
        if isinstance(left, ast.Name) and (
            ast.unparse(right) == "self._serial" or ast.unparse(right).startswith("Serial(")
        ):
            yield left.id


def test_what_is_called_of_a_serial_port_is_there_on_every_system() -> None:
    used = calls_of_serial(ast.parse((ROOT / "smpdfu/link/serial/pipe.py").read_text("utf-8")))
    assert {"close", "out_waiting", "reset_output_buffer", "fileno"} <= used
    assert used - set(has(WIN32)) - set(ONLY_POSIX) == set()
    assert used - set(has(POSIX)) == set()


def test_what_a_threaded_port_needs_is_there_on_every_system() -> None:
    (protocol,) = read_class(ast.parse((ROOT / "smpdfu/link/serial/threaded.py").read_text("utf-8")), "BlockingPort")
    needed = methods_of(protocol)
    for system in (WIN32, POSIX):
        assert not too_many(needed, has(system), frozenset())


OVERRIDING = (
    ("smpdfu/link/ble/bumble_backend.py", "BumbleScanner", f"{BLEAK}.scanner:BaseBleakScanner"),
    ("smpdfu/link/ble/bumble_backend.py", "BumbleClient", f"{BLEAK}.client:BaseBleakClient"),
    ("smpdfu/link/ble/bumble_host.py", "PatientHost", "bumble.host:Host"),
)


@pytest.mark.parametrize(("path", "name", "base"), OVERRIDING)
def test_what_overrides_a_foreign_method_has_one_to_override(path: str, name: str, base: str) -> None:
    (derived,) = read_class(ast.parse((ROOT / path).read_text("utf-8")), name)
    assert set(methods_of(derived)) <= set(has(base))
