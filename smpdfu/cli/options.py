"""How a command is declared: options shared by many commands, and the decorator that makes a function a command.

A command is a short function, plain or ``async``. Its parameters are typer's, except that a parameter whose type is a
frozen dataclass stands for all of that dataclass's fields: each field becomes an option, and the function gets the
whole dataclass. So forty options are declared once and passed as one thing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

if TYPE_CHECKING:
    from smpdfu.client import Client


class Interrupted(BaseException):
    """Ctrl-C inside a command. Not KeyboardInterrupt, which the option parser would turn into exit code 1."""


def command(app: typer.Typer, name: str, **settings: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function as the command ``name`` of ``app``; the function itself stays as it is."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        app.command(name, **settings)(flatten(function))
        return function

    return register


def flatten(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that takes the fields of ``function``'s dataclass parameters one by one, and runs coroutines."""
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, tuple[Any, list[str]]] = {}
    flat: list[inspect.Parameter] = []
    for parameter in inspect.signature(function).parameters.values():
        hint = hints[parameter.name]
        if is_dataclass(hint):
            spread = _spread(hints[parameter.name])
            groups[parameter.name] = (hint, [one.name for one in spread])
            flat += spread
        else:
            flat.append(parameter.replace(annotation=hint, kind=inspect.Parameter.KEYWORD_ONLY))

    def run(**values: Any) -> None:
        arguments = {
            name: kind(**{field: values.pop(field) for field in names}) for name, (kind, names) in groups.items()
        }
        try:
            outcome = function(**arguments, **values)
            if inspect.iscoroutine(outcome):
                import asyncio  # here: most commands need no device

                asyncio.run(outcome)
        except KeyboardInterrupt:
            raise Interrupted from None

    run.__name__, run.__doc__, run.__module__ = function.__name__, function.__doc__, function.__module__
    run.__annotations__ = {one.name: one.annotation for one in flat}
    run.__signature__ = inspect.Signature(flat)  # type: ignore[attr-defined]  # the documented way to give one
    return run


@cache
def _spread(kind: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=hints[field.name],
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
        )
        for field in fields(kind)
    ]


_PANEL = "Connection"


@dataclass(frozen=True, slots=True)
class Connection:
    """Which device, and how patiently. Exactly one of ``port``, ``ble``, ``ip``, ``to`` and ``profile`` counts."""

    port: Annotated[
        str | None, typer.Option("--port", metavar="DEV", rich_help_panel=_PANEL, help="Serial port of the device.")
    ] = None
    baudrate: Annotated[
        int | None, typer.Option("--baudrate", rich_help_panel=_PANEL, help="Speed of --port; 115200 if not given.")
    ] = None
    ble: Annotated[
        str | None,
        typer.Option(
            "--ble",
            metavar="NAME|ADDRESS",
            rich_help_panel=_PANEL,
            help="Bluetooth LE device (not yet).",
        ),
    ] = None
    ip: Annotated[
        str | None,
        typer.Option(
            "--ip",
            metavar="HOST[:PORT]",
            rich_help_panel=_PANEL,
            help="SMP over UDP; port 1337 (not yet).",
        ),
    ] = None
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="ADDRESS",
            rich_help_panel=_PANEL,
            help="serial:/dev/ttyACM0?baudrate=115200, ble:NAME, udp:HOST:1337 or virtual:NAME. SMPDFU_TO gives the "
            "default.",
        ),
    ] = None
    profile: Annotated[
        str | None,
        typer.Option("-c", "--profile", metavar="NAME", rich_help_panel=_PANEL, help="A profile of smpdfu.toml."),
    ] = None
    timeout: Annotated[
        float | None,
        typer.Option("-t", "--timeout", metavar="SECONDS", rich_help_panel=_PANEL, help="Bound on one request; 2.5."),
    ] = None

    def address(self) -> str:
        """The device's address as text, from the options, else SMPDFU_TO, else smpdfu.toml.

        Raises typer.BadParameter when there is none, or more than one.
        """
        from smpdfu.cli.config import resolve

        return resolve(self).address

    def client(self) -> Client:
        """A client for the device, to be entered with ``async with``."""
        from smpdfu.cli.config import resolve
        from smpdfu.connect import client_for

        settings = resolve(self)
        return client_for(settings.address, timeout_s=settings.timeout_s)
