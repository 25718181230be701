"""How ``sign`` is declared."""

from __future__ import annotations

from smpdfu.cli.app.groups import Group, command
from smpdfu.cli.image.options import Release
from smpdfu.cli.image.sign_options import SignContent, SignFiles, SignKeys, SignSlot
from smpdfu.cli.terminal.outputs import Replace
from smpdfu.cli.terminal.show import Output


def register(app: Group) -> None:
    """Add the command to ``app``."""
    command(app, "sign")(sign)


def sign(
    files: SignFiles,
    who: SignKeys,
    content: SignContent,
    slot: SignSlot,
    guard: Release,
    replace: Replace,
    out: Output,
) -> None:
    """Sign an image and, with -E, encrypt it. It takes the options of imgtool's sign."""
    from smpdfu.cli.image.sign import sign_files

    sign_files(files, who, content, slot, guard, replace, out)
