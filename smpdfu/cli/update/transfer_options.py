"""``--transfer-timeout``: how long a whole upload or download may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer


@dataclass(frozen=True, slots=True)
class TransferOptions:
    """The bound on a transfer."""

    transfer_timeout: Annotated[
        float | None,
        typer.Option(
            "--transfer-timeout",
            metavar="SECONDS",
            min=1,
            help="Stop an upload or download that takes longer; run the command again to continue. [default: stop only "
            "below 16 bytes a second]",
            show_default=False,
        ),
    ] = None

    def words(self) -> list[str]:
        """The option again, for the next call."""
        return [] if self.transfer_timeout is None else ["--transfer-timeout", f"{self.transfer_timeout:g}"]
