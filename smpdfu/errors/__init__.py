"""Every exception of smpdfu, in one tree.

The class says who is to blame, the attributes say where and what. The message says what happened and why.
``cli/app/main.py`` adds what to do next, and the exit code. Wrong use of the API raises ``ValueError``, which is not
one of these. Faults inside the virtual chip (of flash, a power cut) stay in ``virtual/``.

Import an exception from here: ``from smpdfu.errors import ImageError``. Put a new one into the file of its subject,
and give it a line below.
"""

from smpdfu.errors.base import SmpdfuError as SmpdfuError
from smpdfu.errors.device import UNKNOWN_SHELL_COMMAND as UNKNOWN_SHELL_COMMAND
from smpdfu.errors.device import ConnectError as ConnectError
from smpdfu.errors.device import DeviceError as DeviceError
from smpdfu.errors.device import LinkError as LinkError
from smpdfu.errors.device import LinkLostError as LinkLostError
from smpdfu.errors.device import LocalProtocolError as LocalProtocolError
from smpdfu.errors.device import NotReadyError as NotReadyError
from smpdfu.errors.device import ProtocolError as ProtocolError
from smpdfu.errors.device import RemoteProtocolError as RemoteProtocolError
from smpdfu.errors.device import ResponseTimeoutError as ResponseTimeoutError
from smpdfu.errors.device import ShellCommandError as ShellCommandError
from smpdfu.errors.device import TransferTimeoutError as TransferTimeoutError
from smpdfu.errors.images import FormatError as FormatError
from smpdfu.errors.images import ImageError as ImageError
from smpdfu.errors.images import KeyFileError as KeyFileError
from smpdfu.errors.images import PassphraseError as PassphraseError
from smpdfu.errors.images import SignatureError as SignatureError
from smpdfu.errors.images import SigningError as SigningError
from smpdfu.errors.images import TooLargeError as TooLargeError
from smpdfu.errors.images import WrongPassphraseError as WrongPassphraseError
from smpdfu.errors.secure_dfu import AdvisedError as AdvisedError
from smpdfu.errors.secure_dfu import DamagedLineError as DamagedLineError
from smpdfu.errors.secure_dfu import DfuNotStartedError as DfuNotStartedError
from smpdfu.errors.secure_dfu import DfuRefusedError as DfuRefusedError
from smpdfu.errors.secure_dfu import DfuUnfinishedError as DfuUnfinishedError
from smpdfu.errors.secure_dfu import InconsistentBootloaderError as InconsistentBootloaderError
from smpdfu.errors.secure_dfu import SecureDfuError as SecureDfuError
from smpdfu.errors.secure_dfu import SilentBootloaderError as SilentBootloaderError
from smpdfu.errors.update_server import ActionsFailedError as ActionsFailedError
from smpdfu.errors.update_server import ActionsUnfinishedError as ActionsUnfinishedError
from smpdfu.errors.update_server import AgentFileError as AgentFileError
from smpdfu.errors.update_server import ArtifactError as ArtifactError
from smpdfu.errors.update_server import PublishError as PublishError
from smpdfu.errors.update_server import RolloutFailedError as RolloutFailedError
from smpdfu.errors.update_server import RolloutUnfinishedError as RolloutUnfinishedError
from smpdfu.errors.update_server import ServerError as ServerError
from smpdfu.errors.update_server import ServerLinkError as ServerLinkError
from smpdfu.errors.update_server import ServerProtocolError as ServerProtocolError
from smpdfu.errors.update_server import ServerRefusedError as ServerRefusedError
from smpdfu.errors.updates import AbsentError as AbsentError
from smpdfu.errors.updates import AffectedDevicesError as AffectedDevicesError
from smpdfu.errors.updates import DeviceTimeoutError as DeviceTimeoutError
from smpdfu.errors.updates import EvidenceError as EvidenceError
from smpdfu.errors.updates import FleetError as FleetError
from smpdfu.errors.updates import FleetFailedError as FleetFailedError
from smpdfu.errors.updates import FleetFileError as FleetFileError
from smpdfu.errors.updates import FleetPausedError as FleetPausedError
from smpdfu.errors.updates import FleetUnfinishedError as FleetUnfinishedError
from smpdfu.errors.updates import FleetUnprovenError as FleetUnprovenError
from smpdfu.errors.updates import JournalError as JournalError
from smpdfu.errors.updates import NoEffectError as NoEffectError
from smpdfu.errors.updates import NotBackError as NotBackError
from smpdfu.errors.updates import NotBootedError as NotBootedError
from smpdfu.errors.updates import PackageError as PackageError
from smpdfu.errors.updates import PlanError as PlanError
from smpdfu.errors.updates import RevertedError as RevertedError
from smpdfu.errors.updates import SearchError as SearchError
from smpdfu.errors.updates import StepError as StepError
from smpdfu.errors.updates import UnknownDevicesError as UnknownDevicesError
from smpdfu.errors.updates import UnprovenError as UnprovenError
from smpdfu.errors.updates import UpdateError as UpdateError
