"""The libraries of the extra ``evidence``, which are loaded only where a document is written or verified."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from smpdfu.errors import EvidenceError


@contextmanager
def needs_extra(what: str) -> Iterator[None]:
    """Turn a missing library into an EvidenceError that says how to install it. ``what`` is a noun with its article."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise EvidenceError(
            f"{what} needs the package {error.name}, which is not installed: pip install 'smpdfu[evidence]'"
        ).because("evidence-extra", package=str(error.name)) from None
