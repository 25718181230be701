"""Group 3, settings, as the application serves it.

The firmware keeps its settings in RAM, each under the root of the module that it belongs to; it reads them from the
store at start-up and on ``load``, and writes them there only on ``save``. Deleting removes a setting from the store
alone: the firmware has it until the next start.

Source: Zephyr, ``subsys/mgmt/mcumgr/grp/settings_mgmt`` and ``subsys/settings``.
"""

from __future__ import annotations

from collections.abc import Collection

from smpdfu.smp.groups.settings import (
    SettingsCommit,
    SettingsDelete,
    SettingsLoad,
    SettingsRc,
    SettingsRead,
    SettingsReadReply,
    SettingsSave,
    SettingsWrite,
)
from smpdfu.smp.message import Empty, MgmtRc
from smpdfu.virtual.chip.flash import FlashError
from smpdfu.virtual.server.server import Refused
from smpdfu.virtual.server.settings_store import Records

ROOTS = ("app",)
"""The modules of the virtual application that take settings: one, which takes any name."""
NAME_MAX = 63
"""Bytes of a name (CONFIG_MCUMGR_GRP_SETTINGS_NAME_LEN, less the end mark)."""
VALUE_MAX = 256
"""Bytes of a value that can be told (CONFIG_MCUMGR_GRP_SETTINGS_VALUE_LEN)."""


class SettingsGroup:
    """Handlers. ``values`` are the settings in RAM; ``store`` is None in a build that keeps none."""

    def __init__(self, store: Records | None, roots: Collection[str] = ROOTS) -> None:
        self.store = store
        self._roots = roots
        self.values: dict[str, bytes] = {}

    def load(self) -> None:
        """Read the store into RAM; what RAM has besides stays."""
        stored = self.store.read() if self.store is not None else {}
        self.values.update({name: value for name, value in stored.items() if self._root(name) in self._roots})

    def on_settings_read(self, request: SettingsRead) -> SettingsReadReply:
        """A value, as far as it was asked for."""
        self._check(request.name)
        if self._root(request.name) not in self._roots:
            raise Refused(SettingsRc.ROOT_KEY_NOT_FOUND)
        if request.name not in self.values:
            raise Refused(SettingsRc.KEY_NOT_FOUND)
        wanted = VALUE_MAX if request.max_size is None else request.max_size
        limited = VALUE_MAX if wanted > VALUE_MAX else None
        return SettingsReadReply(self.values[request.name][: min(wanted, VALUE_MAX)], limited)

    def on_settings_write(self, request: SettingsWrite) -> Empty:
        """Set a value, in RAM."""
        self._check(request.name)
        if self._root(request.name) not in self._roots:
            raise Refused(SettingsRc.ROOT_KEY_NOT_FOUND)
        if "/" not in request.name.rstrip("/"):  # the module itself is no setting
            raise Refused(SettingsRc.KEY_NOT_FOUND)
        self.values[request.name] = request.val
        return Empty()

    def on_settings_delete(self, request: SettingsDelete) -> Empty:
        """Remove a value from the store."""
        self._check(request.name)
        if self.store is None:
            raise Refused(SettingsRc.KEY_NOT_FOUND)
        self._keep({name: value for name, value in self.store.read().items() if name != request.name})
        return Empty()

    def on_settings_commit(self, request: SettingsCommit) -> Empty:
        """The virtual application uses a setting as soon as it is set."""
        return Empty()

    def on_settings_load(self, request: SettingsLoad) -> Empty:
        """Read the store."""
        self.load()
        return Empty()

    def on_settings_save(self, request: SettingsSave) -> Empty:
        """Write RAM to the store: all of it, or one subtree."""
        if self.store is None:
            raise Refused(SettingsRc.SAVE_NOT_SUPPORTED)
        top = request.name or ""
        chosen = {name: value for name, value in self.values.items() if not top or f"{name}/".startswith(f"{top}/")}
        self._keep(self.store.read() | chosen)
        return Empty()

    def _keep(self, values: dict[str, bytes]) -> None:
        assert self.store is not None
        try:
            self.store.write(values)
        except FlashError:
            raise Refused(SettingsRc.UNKNOWN) from None

    def _check(self, name: str) -> None:
        if not name:
            raise Refused(MgmtRc.EINVAL)
        if len(name.encode()) > NAME_MAX:
            raise Refused(SettingsRc.KEY_TOO_LONG)

    @staticmethod
    def _root(name: str) -> str:
        return name.split("/", 1)[0]
