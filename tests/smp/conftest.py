"""Values for every field of every SMP body, drawn from its annotation."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import strategies as st

from smpdfu.smp.body import Body, Range

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
INT64 = st.integers(-(2**64), 2**64 - 1)


@pytest.fixture(scope="session")
def bodies() -> Callable[[type[Body]], st.SearchStrategy[Body]]:
    """Gives the strategy for instances of a body class, each optional field there or not."""
    return _bodies


def _bodies(kind: type[Body]) -> st.SearchStrategy[Body]:
    hints = get_type_hints(kind, include_extras=True)
    fields = {field.name: values(hints[field.name]) for field in dataclasses.fields(kind)}
    return st.builds(kind, **fields)


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a field with the annotation ``hint``."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return st.one_of([st.none() if arg is type(None) else values(arg) for arg in args])
    if origin is Annotated:
        bounds = args[1]
        assert isinstance(bounds, Range)
        return st.integers(bounds.low, bounds.high)
    if origin is tuple:
        return st.lists(values(args[0]), max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(TEXTS, values(args[1]), max_size=3)
    if isinstance(hint, type) and issubclass(hint, Body):
        return _bodies(hint)
    plain: dict[Any, st.SearchStrategy[Any]] = {
        int: INT64,
        bool: st.booleans(),
        str: TEXTS,
        bytes: st.binary(max_size=40),
    }
    return plain[hint]
