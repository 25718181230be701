"""The library of the extra ``agent``, which is loaded only where an agent runs or a release is published."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from smpdfu.errors import ServerLinkError


@contextmanager
def needs_extra() -> Iterator[None]:
    """Turn a missing library into an error that says how to install it, around an import of ``server/client.py``.

    Raises ``ServerLinkError`` with the code ``agent-extra``.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("smpdfu"):
            raise
        raise ServerLinkError(
            f"a gateway agent needs the package {error.name}, which is not installed: pip install 'smpdfu[agent]'"
        ).because("agent-extra", package=str(error.name)) from None
