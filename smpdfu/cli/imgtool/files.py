"""What the commands of ``smpdfu-imgtool`` share: input files, the passphrase, and what goes to stdout."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from smpdfu.cli.imgtool.parser import UsageError
from smpdfu.cli.keys.passphrase import Passphrase
from smpdfu.image.files import write_file_atomic

EXIT_FAILED = 1


def require_file(path: Path, sentence: str) -> None:
    """Raise UsageError with ``sentence`` if there is no such file."""
    if not path.exists():
        raise UsageError(sentence)


def passphrase_of(arguments: Namespace) -> Passphrase:
    """Where the passphrase of the key comes from. Raises UsageError if two places are given."""
    try:
        return Passphrase(arguments.passphrase_env, arguments.passphrase_file)
    except ValueError as error:
        raise UsageError(str(error)) from None


def hand_out(data: bytes, output: Path | None) -> int:
    """Write bytes to a file, or to stdout if there is none; return the exit code 0."""
    if output is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        write_file_atomic(output, data)
    return 0


def say(text: str) -> int:
    """Write a line to stdout; return the exit code 0."""
    sys.stdout.write(f"{text}\n")
    return 0
