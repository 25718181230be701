"""``zephyr.dts``: the devicetree as a build has merged it, as far as flash and partitions need it.

A generated file has no ``#include``, no macros and no deleted nodes; its grammar is that of the Devicetree
Specification 0.4, chapter 6. This module reads the nodes with their labels, and the properties that ``_WANTED`` names.
It passes over all others, and opens no file that the text names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from smpdfu.errors import FormatError

MAX_BYTES = 4 << 20
"""The largest of real builds have some 300 KB."""
MAX_DEPTH = 32
MAX_NODES = 20_000

Value = tuple[int | str, ...]
"""Numbers of cells, texts, and labels or paths that are referred to (with their ``&``), in order."""

_WANTED = frozenset(
    (
        "compatible",
        "erase-block-size",
        "ranges",
        "reg",
        "write-block-size",
        "zephyr,code-partition",
        "zephyr,flash",
    )
)

_TOKEN = re.compile(
    r"""(?P<blank>\s++|/\*(?:[^*]|\*(?!/))*+\*/|//[^\n]*+)
    |(?P<text>"(?:[^"\\]|\\.)*+")
    |(?P<mark>[{};=<>,\[\]():])
    |(?P<ref>&\{[^}\n]*+\}|&[A-Za-z0-9_]++)
    |(?P<word>/[A-Za-z0-9-]++/|/|[A-Za-z0-9_,.+?\#@-]++)
    |(?P<other>[-+*%|~^!?'&]++)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(slots=True)
class Node:
    """A node: ``path`` as ``/soc/flash@0``, ``labels`` as ``slot0_partition``, and the properties that are read."""

    path: str
    labels: tuple[str, ...] = ()
    parent: Node | None = field(default=None, repr=False)
    properties: dict[str, Value] = field(default_factory=dict)

    def numbers(self, name: str) -> tuple[int, ...]:
        """The numbers of a property; empty where it has others, or is not there."""
        value = self.properties.get(name, ())
        numbers = tuple(one for one in value if isinstance(one, int))
        return numbers if len(numbers) == len(value) else ()

    def number(self, name: str) -> int | None:
        """The one number of a property; None where it has not exactly one."""
        numbers = self.numbers(name)
        return numbers[0] if len(numbers) == 1 else None

    def texts(self, name: str) -> tuple[str, ...]:
        """The texts of a property."""
        return tuple(one for one in self.properties.get(name, ()) if isinstance(one, str))

    def ancestors(self) -> Iterator[Node]:
        """The node's parent, that one's parent, and so on up to the root."""
        node = self.parent
        while node is not None:
            yield node
            node = node.parent


@dataclass(frozen=True, slots=True)
class DeviceTree:
    """The nodes of a file by their paths and by their labels. ``file`` is its name for people."""

    file: str
    by_path: Mapping[str, Node] = field(repr=False)
    by_label: Mapping[str, Node] = field(repr=False)

    def chosen(self, name: str) -> Node | None:
        """The node that a property of ``/chosen`` names, by label, reference or path; None where there is none."""
        node = self.by_path.get("/chosen")
        found = () if node is None else node.texts(name)
        if len(found) != 1:
            return None
        text = found[0]
        if text.startswith("&{"):
            return self.by_path.get(text[2:-1])
        return self.by_label.get(text[1:]) if text.startswith("&") else self.by_path.get(text)


def parse(data: bytes, file: str) -> DeviceTree:
    """Read a generated devicetree. Raises FormatError with the place for what is none, or is beyond a bound."""
    if len(data) > MAX_BYTES:
        raise FormatError(f"{file} is larger than {MAX_BYTES >> 20} MiB")
    reader = _Reader(data.decode("utf-8", "replace"), file)
    reader.read()
    return DeviceTree(file, reader.by_path, reader.by_label)


@dataclass(slots=True)
class _Token:
    kind: str
    text: str
    place: int


class _Reader:
    """One pass over the tokens, with the open nodes on a stack."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self.by_path: dict[str, Node] = {}
        self.by_label: dict[str, Node] = {}
        self.open: list[Node] = []
        self.tokens = self._tokens()

    def read(self) -> None:
        """Fill the two maps."""
        pending: list[_Token] = []  # labels, a name: what stands before { ; or =
        for token in self.tokens:
            if token.text == "{" and token.kind == "mark":
                self._begin(pending, token)
            elif token.text == "}" and token.kind == "mark":
                self._end(token)
                pending = [_Token("word", "}", token.place)]  # its ; follows
                continue
            elif token.text == "=" and token.kind == "mark":
                self._property(pending, self._value())
            elif token.text == ";" and token.kind == "mark":
                self._property(pending, ())
            else:
                pending.append(token)
                continue
            pending = []
        if self.open:
            raise self._fault(f"the node {self.open[-1].path} does not end", len(self.text))

    def _tokens(self) -> Iterator[_Token]:
        at = 0
        while at < len(self.text):
            found = _TOKEN.match(self.text, at)
            if found is None:
                raise self._fault("it is no devicetree", at)
            kind = found.lastgroup or ""
            if kind != "blank":
                yield _Token(kind, found[0], at)
            at = found.end()

    def _begin(self, pending: list[_Token], at: _Token) -> None:
        labels = tuple(one.text for one, after in pairwise(pending) if after.text == ":")
        names = [one for one in pending if one.kind in ("word", "ref") and not one.text.startswith("/omit")]
        if not names:
            raise self._fault("a node has no name", at.place)
        name = names[-1].text
        if len(self.open) == MAX_DEPTH or len(self.by_path) == MAX_NODES:
            raise self._fault(f"it has more than {MAX_DEPTH} levels or {MAX_NODES} nodes", at.place)
        if name.startswith("&"):  # more of a node that is there already
            node = self.by_path.get(name[2:-1]) if name.startswith("&{") else self.by_label.get(name[1:])
            node = Node(name) if node is None else node
        else:
            parent = self.open[-1] if self.open else None
            path = "/" if parent is None else f"{parent.path.rstrip('/')}/{name}"
            node = self.by_path.setdefault(path, Node(path, labels, parent))
        self.by_label.update(dict.fromkeys(labels, node))
        self.open.append(node)

    def _end(self, token: _Token) -> None:
        if not self.open:
            raise self._fault("a node ends that did not begin", token.place)
        self.open.pop()

    def _property(self, pending: list[_Token], value: Value) -> None:
        name = next((one.text for one in reversed(pending) if one.kind == "word"), "")
        if self.open and name in _WANTED:
            self.open[-1].properties[name] = value

    def _value(self) -> Value:
        """All up to the semicolon: the numbers in cells, the texts and the references."""
        found: list[int | str] = []
        in_cells = False
        for token in self.tokens:
            if token.kind == "mark":
                if token.text == ";":
                    return tuple(found)
                if token.text in "{}":
                    raise self._fault("a property does not end", token.place)
                in_cells = token.text == "<" or (in_cells and token.text != ">")
            elif token.kind == "text":
                found.append(token.text[1:-1])
            elif token.kind == "ref" or in_cells:
                found.append(_cell(token.text))
        raise self._fault("a property does not end", len(self.text))

    def _fault(self, what: str, at: int) -> FormatError:
        return FormatError(f"{self.file}, line {self.text.count(chr(10), 0, at) + 1}: {what}", at)


def _cell(text: str) -> int | str:
    """A cell's number; other words stay texts."""
    try:
        return int(text, 0) if len(text) <= 18 else text
    except ValueError:
        return text
