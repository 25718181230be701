"""How a command is declared: options shared by many commands, and the decorator that makes a function a command.

A command is a short function, plain or ``async``. Its parameters are typer's, except that a parameter whose type is a
frozen dataclass stands for all of that dataclass's fields: each field becomes an option, and the function gets the
whole dataclass. So forty options are declared once and passed as one thing.

Two readers of a command line use these declarations: ``quick.py`` and, through ``typer_app.py``, typer. Both end in
``perform``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, get_type_hints

from smpdfu.cli.app import completion
from smpdfu.cli.terminal import interrupt
from smpdfu.cli.terminal import lazy_typer as typer
from smpdfu.cli.terminal.lazy_typer import CONNECTION
from smpdfu.errors import LinkError

if TYPE_CHECKING:
    from smpdfu.client import Client

REQUIRED = inspect.Parameter.empty
"""The default of a parameter that must be given."""


class Interrupted(BaseException):
    """Ctrl-C in a command. It is not KeyboardInterrupt, because the option parser turns that into exit code 1."""


class Parameter(NamedTuple):
    """A value that a command takes: the type and the declaration are in ``hint``, an ``Annotated``."""

    name: str
    hint: Any
    default: Any


class Declared(NamedTuple):
    """What a command takes, one by one, and by parameter the dataclasses that some of it goes into: type, fields."""

    function: Callable[..., Any]
    parameters: list[Parameter]
    groups: Mapping[str, tuple[Any, list[str]]]


def declared(function: Callable[..., Any]) -> Declared:
    """Read the signature of a command."""
    hints = get_type_hints(function, include_extras=True)
    found = Declared(function, [], {})
    groups: dict[str, tuple[Any, list[str]]] = {}
    for one in inspect.signature(function).parameters.values():
        hint = hints[one.name]
        if is_dataclass(hint):
            spread = _spread(hints[one.name])
            groups[one.name] = (hint, [field.name for field in spread])
            found.parameters.extend(spread)
        else:
            found.parameters.append(Parameter(one.name, hint, one.default))
    return found._replace(groups=groups)


@cache
def _spread(kind: Any) -> list[Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    return [
        Parameter(field.name, hints[field.name], REQUIRED if field.default is MISSING else field.default)
        for field in fields(kind)
    ]


def perform(call: Declared, values: dict[str, Any]) -> None:
    """Call a command with the values of its parameters; run it if it is a coroutine. Raises Interrupted at Ctrl-C."""
    from smpdfu.cli.terminal.show import note

    note.cache_clear()
    _refuse_no_numbers(values)
    arguments = {
        name: kind(**{field: values.pop(field) for field in names}) for name, (kind, names) in call.groups.items()
    }
    outcome = None
    interrupt.let_through()
    try:
        outcome = call.function(**arguments, **values)
        if inspect.iscoroutine(outcome):
            interrupt.run_async(outcome)
        interrupt.ignore()
    except KeyboardInterrupt:
        interrupt.ignore()
        if inspect.iscoroutine(outcome):
            outcome.close()  # it may not even have begun
        raise Interrupted from None
    except LinkError as error:
        _tell_where(error, arguments)
        raise


def _refuse_no_numbers(values: dict[str, Any]) -> None:
    """Raise typer.BadParameter for ``nan`` and ``inf``: the option parser accepts them, ``nan`` within any bounds."""
    for name, value in values.items():
        if isinstance(value, float) and not isfinite(value):
            raise typer.BadParameter(f"--{name.replace('_', '-')} {value:g} is not a finite number")


def _tell_where(error: LinkError, arguments: dict[str, Any]) -> None:
    """Set the address of a link error: the advice depends on it."""
    for argument in arguments.values():
        if error.address is None and isinstance(argument, Connection):
            error.address = argument.address()


@dataclass(frozen=True, slots=True)
class Connection:
    """Which device, and how patiently. Exactly one of ``port``, ``ble``, ``ip``, ``to`` and ``profile`` counts."""

    port: Annotated[
        str | None,
        typer.Option(
            "--port",
            metavar="DEV",
            rich_help_panel=CONNECTION,
            help="Serial port of the device.",
            autocompletion=completion.ports,
        ),
    ] = None
    baudrate: Annotated[
        int | None, typer.Option("--baudrate", rich_help_panel=CONNECTION, help="Speed of --port. [default: 115200]")
    ] = None
    raw: Annotated[
        bool | None,
        typer.Option(
            "--raw", rich_help_panel=CONNECTION, help="The --port carries bare SMP messages, without a console."
        ),
    ] = None
    ble: Annotated[
        str | None,
        typer.Option(
            "--ble",
            metavar="NAME|ADDRESS",
            rich_help_panel=CONNECTION,
            help="Bluetooth LE device. '*' takes the only SMP device in reach.",
        ),
    ] = None
    ble_hci: Annotated[
        str | None,
        typer.Option(
            "--ble-hci",
            metavar="CONTROLLER",
            rich_help_panel=CONNECTION,
            help="Use this controller for --ble and not the system's Bluetooth: usb:0, serial:/dev/ttyACM0,1000000, "
            "tcp-client:HOST:PORT. Needs smpdfu[bumble]; experimental.",
        ),
    ] = None
    ip: Annotated[
        str | None,
        typer.Option(
            "--ip",
            metavar="HOST[:PORT]",
            rich_help_panel=CONNECTION,
            help="SMP over UDP; port 1337. IPv6: [ADDRESS]:PORT.",
        ),
    ] = None
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="ADDRESS",
            rich_help_panel=CONNECTION,
            help="serial:/dev/ttyACM0?baudrate=115200, ble:NAME, udp:HOST:1337 or virtual:NAME. SMPDFU_TO gives the "
            "default.",
            autocompletion=completion.addresses,
        ),
    ] = None
    profile: Annotated[
        str | None,
        typer.Option(
            "-c",
            "--profile",
            metavar="NAME",
            rich_help_panel=CONNECTION,
            help="A profile of smpdfu.toml.",
            autocompletion=completion.profile_names,
        ),
    ] = None
    timeout: Annotated[
        float | None,
        typer.Option(
            "-t",
            "--timeout",
            metavar="SECONDS",
            rich_help_panel=CONNECTION,
            help="Timeout per attempt in seconds. [default: 2.5]",
        ),
    ] = None
    window: Annotated[
        int | None,
        typer.Option(
            "-w",
            "--window",
            metavar="N",
            min=1,
            max=255,
            rich_help_panel=CONNECTION,
            help="Maximum upload requests in flight. [default: automatic]",
        ),
    ] = None
    log: Annotated[
        Path | None,
        typer.Option(
            "--log",
            metavar="FILE",
            rich_help_panel=CONNECTION,
            help="Write every frame, decoded, to the end of this file.",
        ),
    ] = None
    log_data: Annotated[
        bool,
        typer.Option(
            "--log-data", rich_help_panel=CONNECTION, help="With --log: also write the bytes of firmware and files."
        ),
    ] = False

    def address(self) -> str:
        """The device's address as text, from the options, else SMPDFU_TO, else smpdfu.toml.

        Raises typer.BadParameter when there is none, or more than one.
        """
        from smpdfu.cli.app.connection import resolve

        return resolve(self).address

    def timeout_or(self, seconds: float) -> float:
        """Return the timeout of a request from --timeout or smpdfu.toml, else ``seconds``."""
        from smpdfu.cli.app.connection import resolve

        return resolve(self).timeout_s or seconds

    def client(self, *, transfer_timeout_s: float | None = None, address: str | None = None) -> Client:
        """A client for the device, to be entered with ``async with``; ``transfer_timeout_s`` bounds its transfers.

        ``address`` is another address of the same device.
        """
        from smpdfu.cli.app.connection import open_client

        return open_client(self, transfer_timeout_s=transfer_timeout_s, address=address)
