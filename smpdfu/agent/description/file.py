"""The file that describes a gateway agent: its server, how it proves who it is, its devices, and its limits.

::

    [agent]
    gateway = "building-17"     # the name of this gateway; each gateway needs its own
    devices = "devices.csv"     # columns name,address[,hardware,serial]; and/or [[device]] tables
    unproven = "success"        # or "failure": what the server gets to know if nothing proves an update
    confirmation = "wait"       # if the server asks for consent: "wait" for an operator, "confirm" or "deny"
    state = "state"             # the agent's own folder; default: in smpdfu's state folder

    [server]
    url = "https://hawkbit.example.com"
    tenant = "DEFAULT"
    ca = "company-ca.pem"       # trust these certificates instead of the system's
    insecure_http = false       # true allows http to another computer: everybody on the way can read the token
    http_artifacts = false      # true allows that the server gives out packages over http; their hash is checked

    [authentication]            # exactly one of these; secrets are in files of their own (chmod 600)
    gateway_token_file = "gateway.token"
    # gateway_token_env = "SMPDFU_GATEWAY_TOKEN"
    # target_tokens = "tokens"  # a folder with a file NAME.token for each device, or a CSV file name,token
    # certificate = "gateway.pem" and key = "gateway.key"

    [management]                # if you have it: see by the server's attributes that another gateway has a device
    user = "gateway-reader"     # a user of the management API who may read targets, and no more
    password_file = "reader.password"

    [scan]                      # add devices that a search finds: patterns of names
    ble = ["roof-*"]            # the name that a BLE device sends
    serial = ["10500*"]         # the serial number of a port's USB device
    hardware = "default"
    prefix = "building-17-"     # before the name; together they are the controller id
    every_s = 3600              # search again after this time
    listen_s = 10               # how long to listen for BLE devices

    [limits]
    at_once = 4                 # installations at a time
    per_ble_adapter = 1         # of these, over one Bluetooth adapter
    per_serial_hub = 4          # of these, behind one USB hub

    [update]                    # as in a fleet's file
    soak_s = 30
    health = "./check.sh"       # finds the device in SMPDFU_TO
    trust = ["signing.pub.pem"]

    [hardware.big]              # what differs on this hardware, as in a fleet's file
    ncs = "2.5"

    [artifacts]
    folder = "artifacts"        # default: in the agent's own folder
    max_bytes = 1_000_000_000   # remove the files that were not used for the longest time
    allow_sha1 = false          # true takes files for which the server gives only a SHA-1; needs trust in [update]

    [metrics]
    listen = "127.0.0.1:9464"   # without it, no metrics

    [log]
    form = "text"               # or "json"

    [[device]]
    name = "roof-1"             # the controller id
    address = "udp:10.0.0.7"
    hardware = "default"
    serial = "1050012345"
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import cast

from smpdfu.agent.description.authentication import Authentication
from smpdfu.agent.description.management_login import ManagementLogin
from smpdfu.agent.description.scan_rule import MAX_NAME, ScanRule, fits_as_name
from smpdfu.agent.description.server_settings import ServerSettings
from smpdfu.dfu.decide.evidence import UNKNOWN_BOOTLOADER
from smpdfu.dfu.decide.steps.actions import Policy
from smpdfu.dfu.fleet.description.device_list import FleetDevice, Loaders, Place, read_devices
from smpdfu.dfu.fleet.description.table import Table, read_bytes, read_tables
from smpdfu.dfu.fleet.description.treatment import Treatment, read_treatment
from smpdfu.errors import AgentFileError, FleetFileError
from smpdfu.local.state.folders import state_home

_KNOWN = (
    "agent",
    "server",
    "authentication",
    "management",
    "scan",
    "limits",
    "update",
    "hardware",
    "artifacts",
    "metrics",
    "log",
    "device",
)
_GATEWAY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")
_LISTEN = re.compile(r"(?P<host>[^\s:/\[\]]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})", re.ASCII)
DEFAULT_MAX_BYTES = 1_000_000_000


class UnprovenResult(StrEnum):
    """What the server gets to know of a device that has its package as far as smpdfu can tell, without a proof."""

    SUCCESS = "success"
    FAILURE = "failure"


class Consent(StrEnum):
    """What the agent answers if the server asks for consent. WAIT: nothing, an operator confirms at the server."""

    WAIT = "wait"
    CONFIRM = "confirm"
    DENY = "deny"


class LogForm(StrEnum):
    """How the lines of the log are written."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class GatewayLimits:
    """How many installations run at a time: in all, over one Bluetooth adapter, and behind one USB hub."""

    at_once: int = 4
    per_ble_adapter: int = 1
    per_serial_hub: int = 4


@dataclass(frozen=True, slots=True)
class ArtifactFolder:
    """Where the files of the server are kept, and how many bytes of them at most.

    ``allow_sha1``: take files for which the server gives only a SHA-1, which does not protect against a forged file.
    """

    path: Path
    max_bytes: int = DEFAULT_MAX_BYTES
    allow_sha1: bool = False


@dataclass(frozen=True, slots=True)
class Listener:
    """Where the metrics can be read: a host, without brackets, and a TCP port."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class AgentFile:
    """A gateway agent, whole and consistent. ``state`` is the folder of what it keeps between two runs.

    ``devices`` are those of the file, by controller id; ``scan`` is how further ones are found. ``trust`` are files of
    keys, one of which must have signed each image; ``net_keys`` and ``b0_keys`` those that b0n and b0 trust.
    """

    path: Path
    gateway: str
    server: ServerSettings
    authentication: Authentication
    devices: Mapping[str, FleetDevice]
    scan: ScanRule | None
    limits: GatewayLimits
    treatment: Treatment
    state: Path
    artifacts: ArtifactFolder
    trust: tuple[Path, ...] = ()
    net_keys: tuple[Path, ...] = ()
    b0_keys: tuple[Path, ...] = ()
    unproven: UnprovenResult = UnprovenResult.SUCCESS
    confirmation: Consent = Consent.WAIT
    metrics: Listener | None = None
    log: LogForm = LogForm.TEXT
    management: ManagementLogin | None = None
    loaders: Loaders = field(default_factory=lambda: Loaders(UNKNOWN_BOOTLOADER, {}))

    @classmethod
    def load(cls, path: Path, place: Place = str) -> AgentFile:
        """Read the file; ``place`` gives the one spelling of an address. No secret is read.

        Raises AgentFileError with one sentence that names the place, or OSError.
        """
        try:
            return _read(path, place)
        except FleetFileError as error:
            raise AgentFileError(str(error)) from error


def _read(path: Path, place: Place) -> AgentFile:
    tables = read_tables(read_bytes(path), path, _KNOWN)

    def table(name: str) -> Table:
        return Table(tables.get(name, {}), f"[{name}] of {path.name}")

    folder = path.parent
    head = table("agent")
    gateway = _gateway(head)
    listed = head.text("devices", None)
    unproven = UnprovenResult(head.choice("unproven", tuple(UnprovenResult), UnprovenResult.SUCCESS))
    confirmation = Consent(head.choice("confirmation", tuple(Consent), Consent.WAIT))
    state = head.text("state", None)
    own = state_home() / "agents" / gateway if state is None else folder / state
    head.nothing_else()
    update = table("update")
    loaders = Loaders.read(update, tables.get("hardware", {}), path.name)
    scan = ScanRule.read(table("scan")) if "scan" in tables else None
    listed_in = None if listed is None else folder / listed
    devices = read_devices(path, tables.get("device", []), listed_in, loaders, place, lowest=0 if scan else 1)
    _check_names(devices, path.name)
    trust, net, b0 = (
        tuple(folder / name for name in update.texts(key) or ()) for key in ("trust", "net_keys", "b0_keys")
    )
    return AgentFile(
        path,
        gateway,
        ServerSettings.read(table("server"), folder),
        Authentication.read(table("authentication"), folder),
        devices,
        scan,
        _limits(table("limits")),
        _treatment(update),
        own,
        _artifacts(table("artifacts"), folder, own, trusts=bool(trust)),
        trust,
        net,
        b0,
        unproven,
        confirmation,
        _listener(table("metrics")),
        _log_form(table("log")),
        ManagementLogin.read(table("management"), folder) if "management" in tables else None,
        loaders,
    )


def _check_names(names: Iterable[str], file: str) -> None:
    for name in names:
        if not fits_as_name(name):
            raise AgentFileError(
                f"the device {name[:MAX_NAME]!r} of {file}: its name is the controller id, which must be printable, at "
                f"most {MAX_NAME} characters, and without spaces at its ends"
            )


def _gateway(head: Table) -> str:
    gateway = cast("str | None", head.text("gateway", None))
    if gateway is None:
        raise AgentFileError(f"{head.where} has no gateway: give this gateway a name that no other gateway has")
    if _GATEWAY.fullmatch(gateway) is None or gateway in (".", ".."):
        raise AgentFileError(f"'gateway' in {head.where} must have 1 to 64 letters, digits, '.', '_' and '-'")
    return gateway


def _treatment(table: Table) -> Treatment:
    treatment = read_treatment(table)
    if treatment.policy is Policy.UPLOAD_ONLY:
        raise AgentFileError(
            f"'policy' in {table.where} is {treatment.policy}: no device would run what it gets, and the server would "
            "take that for a success. Leave it out"
        )
    return treatment


def _limits(table: Table) -> GatewayLimits:
    usual = GatewayLimits()
    limits = GatewayLimits(
        table.whole("at_once", usual.at_once, lowest=1),
        table.whole("per_ble_adapter", usual.per_ble_adapter, lowest=1),
        table.whole("per_serial_hub", usual.per_serial_hub, lowest=1),
    )
    table.nothing_else()
    return limits


def _artifacts(table: Table, folder: Path, state: Path, *, trusts: bool) -> ArtifactFolder:
    named = table.text("folder", None)
    most = table.whole("max_bytes", DEFAULT_MAX_BYTES, lowest=1)
    sha1 = table.switch("allow_sha1", default=False)
    table.nothing_else()
    if sha1 and not trusts:
        raise AgentFileError(
            f"'allow_sha1' in {table.where} needs 'trust' in [update]: a SHA-1 does not protect against a forged file. "
            "Name the keys that sign your images"
        )
    return ArtifactFolder(state / "artifacts" if named is None else folder / named, most, sha1)


def _listener(table: Table) -> Listener | None:
    text = table.text("listen", None)
    table.nothing_else()
    if text is None:
        return None
    found = _LISTEN.fullmatch(text)
    if found is None or not 0 < int(found["port"]) <= 0xFFFF:
        raise AgentFileError(f"'listen' in {table.where} must be HOST:PORT, such as 127.0.0.1:9464")
    return Listener(found["host"].removeprefix("[").removesuffix("]"), int(found["port"]))


def _log_form(table: Table) -> LogForm:
    form = LogForm(table.choice("form", tuple(LogForm), LogForm.TEXT))
    table.nothing_else()
    return form
