"""A new MCUboot on its way from the application's secondary slot into the slot, S0 or S1, that does not run.

Source: ``boot_swap_image`` of Nordic's ``loader.c``, and what its neighbours leave out for this image.
"""

from __future__ import annotations

from smpdfu.loaders.rules import SelfUpdate
from smpdfu.virtual.boot.image_pair import Pair
from smpdfu.virtual.boot.nsib.second_stage import copy_mcuboot

_LEFT_TO_NSIB = (2, 7, 0)
_RESTARTS_ALWAYS = (2, 7)


class RestartEvent(Exception):  # noqa: N818 - MCUboot's own decision and nobody's error
    """MCUboot has replaced itself and resets the chip."""


class McubootPair(Pair):
    """MCUboot as the last image. Its primary slot is the inactive one, which may have nothing in it.

    What is in there was checked by NSIB, if at all, and nothing of it counts before an update.
    """

    @property
    def _copies(self) -> bool:
        return self.swaps and self.checks.build.rule.self_update is SelfUpdate.COPIES

    def _are_readable(self) -> bool:
        return True

    def _are_slots_compatible(self) -> bool:
        return True

    def _is_prevented(self) -> bool:
        """Loaders that swap leave versions to NSIB since NCS 2.7 (``check_downgrade_prevention``, ``owner_nsib``)."""
        left_to_nsib = self.checks.build.loader.release.version >= _LEFT_TO_NSIB
        return not left_to_nsib and super()._is_prevented()

    def _bring_in(self) -> None:
        """Copy it, and raise ``RestartEvent``; builds that overwrite, and old ones, treat it as any image.

        The loader of NCS 2.7 restarts in each mode; those before never do. A loader that copies asks first where the
        images in both slots end, and stops where it cannot tell: at what a power cut has left of an earlier copy, the
        header without the end.
        """
        if not self._copies:
            super()._bring_in()
            if self.checks.build.loader.release.version[:2] == _RESTARTS_ALWAYS:
                raise RestartEvent
            return
        self._images()
        copy_mcuboot(self.slots, self.log)
        self.swapped = True
        raise RestartEvent
