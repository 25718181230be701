"""The gateway agent as a service of systemd: a unit for one agent's file, hardened."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from smpdfu.agent.description.authentication import Way
from smpdfu.agent.description.file import AgentFile
from smpdfu.connect import place_of
from smpdfu.errors import AgentFileError
from smpdfu.local.state.folders import state_home

_TEMPLATE = """\
# The gateway agent as a service of systemd. Save it as /etc/systemd/system/smpdfu-agent.service, then run
#   systemctl daemon-reload && systemctl enable --now smpdfu-agent
[Unit]
Description=smpdfu gateway agent
Wants=network-online.target
After=network-online.target time-sync.target bluetooth.service

[Service]
Type=exec
ExecStart={program} {file}
WorkingDirectory={folder}
Restart=on-failure
RestartSec=10
# A wrong option or a wrong file: a restart does not help.
RestartPreventExitStatus=2 3
# The agent stops between two requests; a device is never left in a state that the next run cannot continue.
TimeoutStopSec=60

# An own user that exists only while the service runs. The groups open serial ports and BlueZ; remove one that your
# system does not have.
DynamicUser=yes
SupplementaryGroups=dialout bluetooth
StateDirectory=smpdfu
StateDirectoryMode=0700
Environment=SMPDFU_STATE_HOME=/var/lib/smpdfu
{credentials}
UMask=0077
# No image of the process on the disk after a crash: it would have the token in it.
LimitCORE=0

NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
ProtectClock=yes
ProtectHostname=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
LockPersonality=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_BLUETOOTH
SystemCallArchitectures=native
SystemCallFilter=@system-service
# Serial ports on USB, also those that are plugged in later; no other device.
DevicePolicy=closed
DeviceAllow=char-ttyACM rw
DeviceAllow=char-ttyUSB rw

[Install]
WantedBy=multi-user.target
"""
STATE_HOME = Path("/var/lib/smpdfu")
"""The folder that systemd makes for the service."""
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+/")


def service_unit(path: Path | str, program: Sequence[str]) -> str:
    """Return the text of the unit that runs ``program`` with the agent's file at ``path`` as its last word.

    The files with secrets can stay root's: systemd hands them to the service (``LoadCredential``), and the agent looks
    there first. The agent's file itself must be readable for everybody, and its other files, too.

    Raises AgentFileError for a wrong file, for a path that a unit cannot have as it is, for a folder that the service
    cannot write to, or if the secrets are in the environment or in a folder. Raises OSError for a file that cannot be
    read.
    """
    file = AgentFile.load(Path(path), place_of)
    for where, key in ((file.state, "'state' in [agent]"), (file.artifacts.path, "'folder' in [artifacts]")):
        if not (where.is_relative_to(STATE_HOME) or where.is_relative_to(state_home())):
            raise AgentFileError(
                f"the service cannot write to {where}: leave {key} out, or name a folder in {STATE_HOME}"
            )
    place = file.path.resolve()
    secrets = [_plain(one) for one in _secrets(file)]
    return _TEMPLATE.format(
        program=" ".join(_plain(Path(word)) for word in program),
        file=_plain(place),
        folder=_plain(place.parent),
        credentials="\n".join(f"LoadCredential={Path(one).name}:{one}" for one in secrets),
    )


def _secrets(file: AgentFile) -> list[Path]:
    found = [file.authentication.key] if file.authentication.key is not None else []
    if file.authentication.way in (Way.GATEWAY_TOKEN_FILE, Way.TARGET_TOKENS):
        found.append(Path(file.authentication.source))
    if file.authentication.way is Way.GATEWAY_TOKEN_ENV:
        raise AgentFileError("a service has no environment of yours: use 'gateway_token_file' in [authentication]")
    if file.management is not None:
        found.append(file.management.password_file)
    for one in found:
        if one.is_dir():
            raise AgentFileError(f"{one} is a folder: a service takes 'target_tokens' in one CSV file")
    return [one.resolve() for one in found]


def _plain(path: Path) -> str:
    text = str(path)
    if not set(text) <= _PLAIN:
        raise AgentFileError(
            f"{text!r} has characters that mean something in a unit: use letters, digits, '.', '_', '-'"
        )
    return text
