"""The options of ``publish``, in groups: a group is one parameter of the command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from smpdfu.cli.terminal import lazy_typer as typer

if TYPE_CHECKING:
    from smpdfu.image.keys.keys import PublicKey

_SERVER, _NAMES, _ROLLOUT = "The server", "What is published", "A rollout"


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Where the server is, and how smpdfu logs in. Secrets are in a file or a variable, never an argument."""

    server: Annotated[
        str,
        typer.Option(
            "--server",
            metavar="URL",
            rich_help_panel=_SERVER,
            help="Address of hawkBit, such as https://hawkbit.example.com.",
        ),
    ]
    tenant: Annotated[
        str | None,
        typer.Option(
            "--tenant",
            metavar="NAME",
            rich_help_panel=_SERVER,
            help="Refuse to publish if the login belongs to another tenant.",
        ),
    ] = None
    user: Annotated[
        str | None, typer.Option("--user", metavar="NAME", rich_help_panel=_SERVER, help="User of the management API.")
    ] = None
    password_file: Annotated[
        Path | None,
        typer.Option(
            "--password-file",
            metavar="FILE",
            rich_help_panel=_SERVER,
            help="File with the password in its first line. Only you may read it (chmod 600).",
        ),
    ] = None
    password_env: Annotated[
        str | None,
        typer.Option(
            "--password-env",
            metavar="NAME",
            rich_help_panel=_SERVER,
            help="Environment variable that holds the password.",
        ),
    ] = None
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            metavar="FILE",
            rich_help_panel=_SERVER,
            help="File with an access token (OpenID Connect) in place of user and password.",
        ),
    ] = None
    token_env: Annotated[
        str | None,
        typer.Option(
            "--token-env",
            metavar="NAME",
            rich_help_panel=_SERVER,
            help="Environment variable that holds an access token.",
        ),
    ] = None
    ca: Annotated[
        Path | None,
        typer.Option(
            "--ca",
            metavar="FILE",
            rich_help_panel=_SERVER,
            help="Certificates in PEM of the authorities that may have signed the server's certificate.",
        ),
    ] = None
    proxy: Annotated[
        str | None,
        typer.Option(
            "--proxy",
            metavar="URL",
            rich_help_panel=_SERVER,
            help="HTTP proxy on the way to the server, such as http://proxy.example.com:3128. It needs https.",
        ),
    ] = None
    insecure_http: Annotated[
        bool,
        typer.Option(
            "--insecure-http",
            rich_help_panel=_SERVER,
            help="Allow http to another computer. Everybody on the way can read the password.",
        ),
    ] = False


@dataclass(frozen=True, slots=True)
class NameOptions:
    """How the server lists what is published."""

    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            metavar="NAME",
            rich_help_panel=_NAMES,
            help="Name of the distribution set. [default: the name in the manifest of the package]",
        ),
    ] = None
    version: Annotated[
        str | None,
        typer.Option(
            "--version",
            metavar="VERSION",
            rich_help_panel=_NAMES,
            help="Version of the distribution set. [default: the version of the application]",
        ),
    ] = None
    module_type: Annotated[
        str,
        typer.Option(
            "--module-type", metavar="KEY", rich_help_panel=_NAMES, help="Key of the type of the software modules."
        ),
    ] = "application"
    set_type: Annotated[
        str,
        typer.Option(
            "--set-type", metavar="KEY", rich_help_panel=_NAMES, help="Key of the type of the distribution set."
        ),
    ] = "app"


@dataclass(frozen=True, slots=True)
class TrustedKeys:
    """Who must have signed what is published."""

    key: Annotated[
        list[str] | None,
        typer.Option(
            "-k",
            "--key",
            metavar="KEY",
            help="Key that the bootloader trusts: refuse an image that it has not signed. A PEM file (the public half "
            "is enough) or a key URI. May be repeated.",
        ),
    ] = None
    allow_dev_keys: Annotated[
        bool,
        typer.Option(
            "--allow-dev-keys",
            help="Publish images without a signature, or with a key that is public (sample and dev- keys).",
        ),
    ] = False

    def keys(self) -> tuple[PublicKey, ...]:
        """The keys; none: any signature will do. Raises SigningError or OSError."""
        if not self.key:
            return ()
        from smpdfu.cli.image.key_files import read_trusted  # here: it loads cryptography

        return read_trusted(self.key)


@dataclass(frozen=True, slots=True)
class RolloutOptions:
    """A rollout of the distribution set."""

    rollout: Annotated[
        str | None,
        typer.Option(
            "--rollout", metavar="NAME", rich_help_panel=_ROLLOUT, help="Create a rollout of this name, in groups."
        ),
    ] = None
    targets: Annotated[
        str | None,
        typer.Option(
            "--targets",
            metavar="QUERY",
            rich_help_panel=_ROLLOUT,
            help="hawkBit's query of the devices, such as 'attribute.smpdfu_hardware == roof' or 'name == roof-*'.",
        ),
    ] = None
    groups: Annotated[
        int, typer.Option("--groups", metavar="N", min=1, max=500, rich_help_panel=_ROLLOUT, help="Number of groups.")
    ] = 1
    success: Annotated[
        int,
        typer.Option(
            "--success",
            metavar="PERCENT",
            min=1,
            max=100,
            rich_help_panel=_ROLLOUT,
            help="Start the next group when this share of a group has succeeded.",
        ),
    ] = 100
    error: Annotated[
        int,
        typer.Option(
            "--error",
            metavar="PERCENT",
            min=0,
            max=100,
            rich_help_panel=_ROLLOUT,
            help="Pause the rollout when more than this share of a group has failed.",
        ),
    ] = 10
    action: Annotated[
        str,
        typer.Option(
            "--type",
            metavar="forced|soft|downloadonly",
            rich_help_panel=_ROLLOUT,
            help="Type of the actions. soft: devices may decide when; downloadonly: gateways download and check only.",
        ),
    ] = "forced"
    start: Annotated[
        bool, typer.Option("--start", rich_help_panel=_ROLLOUT, help="Start the rollout when the server has made it.")
    ] = False
    watch: Annotated[
        bool, typer.Option("--watch", rich_help_panel=_ROLLOUT, help="Follow the rollout until it ends.")
    ] = False
    events: Annotated[
        bool,
        typer.Option(
            "--events",
            rich_help_panel=_ROLLOUT,
            help="With --watch: print each change on stdout as a line of JSON when it happens.",
        ),
    ] = False
