"""YAML from others: plain data, within limits that are checked before anything is built from it.

PyYAML's safe loader makes no objects, but it follows aliases (288 bytes become gigabytes), takes the square of the
depth for nested brackets, and raises whatever an odd scalar leads it to. The files that smpdfu reads need no tags, and
aliases only for lists of names: the partition manager of the nRF Connect SDK writes ``span: &id001 [...]`` and
``*id001``. So an alias stands for a value or a list of values and never for more. Source: YAML 1.1, 3.2.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from smpdfu.errors import FormatError

if TYPE_CHECKING:
    from yaml.events import Event

MAX_BYTES = 1 << 18
"""Read in a second or two; the largest partition tables of real builds have a tenth of this."""
MAX_DEPTH = 16
MAX_EVENTS = 20_000
MAX_SCALAR = 1024
"""Characters of a name, a number or a text; a longer number could not even be shown."""
_SHOWN = 200


def load(text: bytes) -> object:
    """The one document in ``text``: maps, lists, texts, numbers, truth values, dates and None.

    Raises ``FormatError`` with a short sentence, and nothing else, for what is not YAML, is beyond a bound, has a tag,
    or an alias of more than a list of values.
    """
    import yaml  # here and below: it is slow to load, and few commands read YAML

    if len(text) > MAX_BYTES:
        raise FormatError(f"it is larger than {MAX_BYTES >> 10} KiB")
    try:
        _check(yaml.parse(text, Loader=yaml.SafeLoader))
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise FormatError(f"it is not YAML: {' '.join(str(error).split())[:_SHOWN]}") from None
    except (ValueError, LookupError, TypeError, ArithmeticError, AttributeError) as error:
        # What the constructors of numbers and dates raise for texts that only look like one.
        raise FormatError(f"it has a value that cannot be read: {str(error)[:_SHOWN]}") from None


def _check(events: Iterable[Event]) -> None:
    """Read the events one by one, so that nothing beyond a bound is ever looked at. Raises ``FormatError``."""
    from yaml import events as kinds

    depth = 0
    in_anchor = False  # inside the list that an alias may stand for
    for number, event in enumerate(events):
        if number == MAX_EVENTS:
            raise FormatError(f"it is not YAML that smpdfu reads: more than {MAX_EVENTS} parts")
        if in_anchor and not isinstance(event, kinds.ScalarEvent | kinds.SequenceEndEvent):
            raise FormatError(f"{_place(event)} has an alias or an anchor of more than a list of values")
        _check_event(event)
        in_anchor = _begins_anchor(event) or (in_anchor and isinstance(event, kinds.ScalarEvent))
        depth += isinstance(event, kinds.CollectionStartEvent)
        depth -= isinstance(event, kinds.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise FormatError(f"it is not YAML that smpdfu reads: nested or split up into more than {MAX_DEPTH} levels")


def _begins_anchor(event: Event) -> bool:
    from yaml import events as kinds

    return isinstance(event, kinds.SequenceStartEvent) and event.anchor is not None


def _check_event(event: Event) -> None:
    from yaml import events as kinds

    if isinstance(event, kinds.MappingStartEvent) and event.anchor is not None:
        raise FormatError(f"{_place(event)} has an alias or an anchor of more than a list of values")
    if getattr(event, "tag", None) is not None:
        raise FormatError(f"{_place(event)} has a tag, which smpdfu does not take")
    if isinstance(event, kinds.ScalarEvent) and len(event.value) > MAX_SCALAR:
        raise FormatError(f"{_place(event)} has a value of more than {MAX_SCALAR} characters")


def _place(event: Event) -> str:
    mark = event.start_mark
    return "it" if mark is None else f"line {mark.line + 1}"
