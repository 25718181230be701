"""typer's words for declarations, without typer: to load it takes longer than most commands take to run.

A file that declares commands imports this module as ``typer``. ``Option`` and ``Argument`` make plain declarations;
``typer_app.py`` turns them into typer's own for a call that typer reads. Every other name is typer's, which is loaded
when the name is used: an error is raised, or a person is asked.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from typer import Abort as Abort
    from typer import BadParameter as BadParameter
    from typer import Context as Context
    from typer import Exit as Exit
    from typer import confirm as confirm
    from typer import echo as echo

CONNECTION = "Connection"
"""The panel of the options that every device command has."""


class Declaration:
    """An option with its ``names``, or an argument, which has none; ``settings`` are those of typer."""

    __slots__ = ("is_option", "names", "settings")

    def __init__(self, names: tuple[str, ...], settings: dict[str, Any], *, is_option: bool) -> None:
        self.names = names
        self.settings = settings
        self.is_option = is_option


def Option(*names: str, **settings: Any) -> Any:  # noqa: N802 - typer's name
    """Declare an option. A ``metavar`` of several words takes as many words."""
    return Declaration(names, settings, is_option=True)


def Argument(**settings: Any) -> Any:  # noqa: N802 - typer's name
    """Declare an argument."""
    return Declaration((), settings, is_option=False)


def __getattr__(name: str) -> Any:
    if name.startswith("_"):  # what Python asks of any module when something is imported from it
        raise AttributeError(name)
    import typer  # here: that is what this module is for

    return getattr(typer, name)
