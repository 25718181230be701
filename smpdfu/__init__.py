"""smpdfu: sign, encrypt, pack and update nRF5340 firmware over SMP.

What is named here is the public API: it keeps its meaning from one minor version to the next. Each name is imported
when it is first used, so that a program pays only for what it needs.
"""

from __future__ import annotations

# Started as a program (``python -m``, or a console script), Ctrl-C ends it from here on: nothing was done yet.
try:
    import sys

    _PROGRAM = ([*sys.argv, ""][0].replace("\\", "/").rpartition("/")[2].partition(".")[0]).removesuffix("-script")
    if _PROGRAM in ("-m", "smpdfu", "smpdfu-imgtool"):
        from smpdfu.cli.terminal import interrupt

        interrupt.leave_at_once()
except KeyboardInterrupt:
    from smpdfu.cli.terminal import interrupt

    interrupt.leave()

TYPE_CHECKING = False  # of typing, which takes its time
__version__ = "0.1.0"

if TYPE_CHECKING:
    from typing import Any

    from smpdfu.client import Client as Client
    from smpdfu.client import UploadResult as UploadResult
    from smpdfu.connect import client_for as client_for
    from smpdfu.dfu.decide.checks.findings import Finding as Finding
    from smpdfu.dfu.decide.checks.findings import Severity as Severity
    from smpdfu.dfu.decide.device_state import DeviceState as DeviceState
    from smpdfu.dfu.decide.device_state import Scheme as Scheme
    from smpdfu.dfu.decide.evidence import Bootloader as Bootloader
    from smpdfu.dfu.decide.evidence import Proof as Proof
    from smpdfu.dfu.decide.plan import Policy as Policy
    from smpdfu.dfu.do.health import command as health_command
    from smpdfu.dfu.do.health import soak as health_soak
    from smpdfu.dfu.do.journal import Journal as Journal
    from smpdfu.dfu.do.update import Update as Update
    from smpdfu.dfu.do.update import Wish as Wish
    from smpdfu.dfu.fleet.file import Fleet as Fleet
    from smpdfu.dfu.fleet.run import FleetRun as FleetRun
    from smpdfu.dfu.package.package import Core as Core
    from smpdfu.dfu.package.package import Package as Package
    from smpdfu.errors import ConnectError as ConnectError
    from smpdfu.errors import DeviceError as DeviceError
    from smpdfu.errors import ImageError as ImageError
    from smpdfu.errors import JournalError as JournalError
    from smpdfu.errors import LinkError as LinkError
    from smpdfu.errors import PackageError as PackageError
    from smpdfu.errors import PlanError as PlanError
    from smpdfu.errors import ProtocolError as ProtocolError
    from smpdfu.errors import RevertedError as RevertedError
    from smpdfu.errors import SigningError as SigningError
    from smpdfu.errors import SmpdfuError as SmpdfuError
    from smpdfu.errors import StepError as StepError
    from smpdfu.errors import UnprovenError as UnprovenError
    from smpdfu.errors import UpdateError as UpdateError
    from smpdfu.image.format import Image as Image
    from smpdfu.image.format import Version as Version
    from smpdfu.image.keys.keys import load_key as load_key
    from smpdfu.image.loader_build import LoaderBuild as LoaderBuild
    from smpdfu.image.signing.build import ImageSpec as ImageSpec
    from smpdfu.image.signing.build import build as build
    from smpdfu.image.verification.verify import verify as verify
    from smpdfu.library import Installed as Installed
    from smpdfu.library import install as install

# Public name -> module and name there.
_PUBLIC = {
    "Bootloader": "dfu.decide.evidence:Bootloader",
    "Client": "client:Client",
    "ConnectError": "errors:ConnectError",
    "Core": "dfu.package.package:Core",
    "DeviceError": "errors:DeviceError",
    "DeviceState": "dfu.decide.device_state:DeviceState",
    "Finding": "dfu.decide.checks.findings:Finding",
    "Fleet": "dfu.fleet.file:Fleet",
    "FleetRun": "dfu.fleet.run:FleetRun",
    "Image": "image.format:Image",
    "ImageError": "errors:ImageError",
    "ImageSpec": "image.signing.build:ImageSpec",
    "Installed": "library:Installed",
    "Journal": "dfu.do.journal:Journal",
    "JournalError": "errors:JournalError",
    "LinkError": "errors:LinkError",
    "LoaderBuild": "image.loader_build:LoaderBuild",
    "Package": "dfu.package.package:Package",
    "PackageError": "errors:PackageError",
    "PlanError": "errors:PlanError",
    "Policy": "dfu.decide.plan:Policy",
    "Proof": "dfu.decide.evidence:Proof",
    "ProtocolError": "errors:ProtocolError",
    "RevertedError": "errors:RevertedError",
    "Scheme": "dfu.decide.device_state:Scheme",
    "Severity": "dfu.decide.checks.findings:Severity",
    "SigningError": "errors:SigningError",
    "SmpdfuError": "errors:SmpdfuError",
    "StepError": "errors:StepError",
    "UnprovenError": "errors:UnprovenError",
    "Update": "dfu.do.update:Update",
    "UpdateError": "errors:UpdateError",
    "UploadResult": "client:UploadResult",
    "Version": "image.format:Version",
    "Wish": "dfu.do.update:Wish",
    "build": "image.signing.build:build",
    "client_for": "connect:client_for",
    "health_command": "dfu.do.health:command",
    "health_soak": "dfu.do.health:soak",
    "install": "library:install",
    "load_key": "image.keys.keys:load_key",
    "verify": "image.verification.verify:verify",
}

__all__ = [
    "Bootloader",
    "Client",
    "ConnectError",
    "Core",
    "DeviceError",
    "DeviceState",
    "Finding",
    "Fleet",
    "FleetRun",
    "Image",
    "ImageError",
    "ImageSpec",
    "Installed",
    "Journal",
    "JournalError",
    "LinkError",
    "LoaderBuild",
    "Package",
    "PackageError",
    "PlanError",
    "Policy",
    "Proof",
    "ProtocolError",
    "RevertedError",
    "Scheme",
    "Severity",
    "SigningError",
    "SmpdfuError",
    "StepError",
    "UnprovenError",
    "Update",
    "UpdateError",
    "UploadResult",
    "Version",
    "Wish",
    "__version__",
    "build",
    "client_for",
    "health_command",
    "health_soak",
    "install",
    "load_key",
    "verify",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _PUBLIC:
        raise AttributeError(f"module 'smpdfu' has no attribute {name!r}")
    module, _, attribute = _PUBLIC[name].partition(":")
    return getattr(import_module(f"smpdfu.{module}"), attribute)


def __dir__() -> list[str]:
    return [*globals(), *_PUBLIC]
