"""Every reader of documents refuses the same depth, on every Python."""

from __future__ import annotations

import ast
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.errors import LocalProtocolError, RemoteProtocolError
from smpdfu.smp import cbor
from smpdfu.untrusted.nesting import MAX_DEPTH, TooDeepError, check_depth, load_bounded, load_json, load_toml

PACKAGE = Path(__file__).parent.parent / "smpdfu"


def lists(depth: int) -> str:
    """JSON, and so YAML and a TOML value."""
    return "[" * depth + "1" + "]" * depth


READERS: dict[str, Callable[[str], object]] = {
    "JSON": load_json,
    "JSON in bytes": lambda text: load_json(text.encode()),
    "YAML": lambda text: load_bounded(yaml.safe_load, text),
    "TOML": lambda text: load_toml(f"x = {text[1:-1]}"),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 100, 700, 990, 5_000])
def test_too_deep_is_refused_whatever_python_would_do(reader: str, depth: int) -> None:
    with pytest.raises(TooDeepError, match=f"nested too deeply: more than {MAX_DEPTH} levels"):
        READERS[reader](lists(depth))


@pytest.mark.parametrize("reader", READERS)
def test_as_deep_as_the_bound_is_read(reader: str) -> None:
    assert READERS[reader](lists(MAX_DEPTH)) is not None


@pytest.mark.parametrize("text", ["[" * 5000, '{"a":' * 5000, "[" * 33 + '"]'])
def test_what_has_no_end_is_too_deep_as_well(text: str) -> None:
    with pytest.raises(TooDeepError):
        load_json(text)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(alphabet='[]{}"\\ab\n')),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='[{"\\a'), inner, max_size=3),
    max_leaves=60,
)


@given(JSON, st.integers(1, 6))
def test_brackets_in_texts_are_no_nesting(value: Any, limit: int) -> None:
    text = json.dumps(value)
    try:
        check_depth(value, limit)
    except TooDeepError:
        with pytest.raises(TooDeepError):
            load_json(text, limit=limit)
    else:
        assert load_json(text, limit=limit) == value


def test_aliases_that_multiply_or_hold_themselves_end() -> None:
    doubled = "\n".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" if n else "a0: &a0 [1]" for n in range(31))
    assert load_bounded(yaml.safe_load, doubled)
    with pytest.raises(TooDeepError):
        load_bounded(yaml.safe_load, "&a [*a]")


@pytest.mark.parametrize("reader", ["JSON", "JSON in bytes", "YAML", "TOML"])
def test_a_number_without_end_is_an_error_in_plain_words(reader: str) -> None:
    with pytest.raises(ValueError, match=r"a number of more than 4300 digits") as caught:
        READERS[reader](f"[{'9' * 4301}]")
    assert "set_int_max_str_digits" not in str(caught.value)
    READERS[reader](f"[{'9' * 4300}]")


def test_long_is_not_deep() -> None:
    assert load_json("[" + "[]," * 10_000 + "{}]")


@pytest.mark.parametrize("depth", [cbor.MAX_DEPTH + 1, 700, 100_000])
def test_cbor_is_written_as_deep_as_it_is_read(depth: int) -> None:
    value: object = 1
    for _ in range(depth - 1):
        value = [value]
    with pytest.raises(LocalProtocolError, match="nested too deeply: SMP has at most 16 levels"):
        cbor.dumps({"a": value})
    with pytest.raises(RemoteProtocolError):
        cbor.loads(b"\x81" * depth + b"\x01")


def test_what_is_as_deep_as_the_bound_passes_in_both_directions() -> None:
    value: object = 1
    for _ in range(cbor.MAX_DEPTH):
        value = [value]
    assert cbor.loads(cbor.dumps(value)) == value


UNBOUNDED = {
    ("json", "loads"),
    ("json", "load"),
    ("json", "JSONDecoder"),
    ("yaml", "safe_load"),
    ("yaml", "load"),
    ("cbor2", "load"),
}
AT_HOME = {"nesting.py": {"json.JSONDecoder"}, "yamltext.py": {"yaml.safe_load"}}


def calls(path: Path) -> set[str]:
    """The readers that a module calls by itself."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
        ):
            name = (node.func.value.id, node.func.attr)
            bounded = any(keyword.arg == "max_depth" for keyword in node.keywords)
            if name in UNBOUNDED or name[0] == "tomllib" or (name == ("cbor2", "loads") and not bounded):
                found.add(".".join(name))
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.name)
def test_no_module_reads_without_a_bound_or_leans_on_recursion(path: Path) -> None:
    assert calls(path) == AT_HOME.get(path.name, set())
    assert path.name == "nesting.py" or "RecursionError" not in path.read_text("utf-8")


KEYS = ("{} = 1", "[{}]", "[[{}]]", "x = {{ {} = 1 }}", 'y = """\n"quoted" \'\'\' """\n{} = 1', "y = '' # it's\n{} = 1")


@pytest.mark.parametrize("form", KEYS)
@pytest.mark.parametrize("part", ["a", '"a.b"', "'a\"'", '"\\"a"', "1"])
def test_a_toml_key_of_many_parts_is_refused_before_it_is_read(
    form: str, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of 30,000 parts would take tomllib 15 s, one of a megabyte hours."""
    levels = MAX_DEPTH - 1 - (form[0] == "x") - form.startswith("[") - form.startswith("[[")
    assert load_toml(form.format(" . ".join([part] * levels)))
    monkeypatch.setattr(tomllib, "loads", lambda text: pytest.fail("it was read"))
    with pytest.raises(TooDeepError):
        load_toml(form.format(".".join([part] * 300_000)))


@pytest.mark.parametrize("text", ['x = "{}"', "x = '{}'", 'x = """{}"""', "x = '''\n{}'''", "# {}\nx = 1", "{}\nx = 1"])
def test_dots_in_texts_and_comments_count_for_nothing(text: str) -> None:
    dotted = ".".join("a" * 100)
    if text[0] == "{":
        dotted = "\n".join(f"k{number} = 1.5" for number in range(100))
    assert "x" in load_toml(text.format(dotted))


@pytest.mark.parametrize(
    "text", ['"\\""' * 50_000, '"""' + '\\"""' * 50_000, "'" * 100_001, ".a" * 100_000, '"' * 99_999]
)
def test_toml_that_has_no_end_takes_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        load_toml(text + "." * MAX_DEPTH)
