"""``west smpdfu package|update``: smpdfu on the build folder that ``west build`` wrote.

It finds the folder by the rules of ``west flash`` and starts the smpdfu that is installed for west's Python, or else
the one on the PATH. Everything behind ``package`` or ``update`` goes to smpdfu as it is; so does smpdfu's exit code.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from west.commands import CommandError, WestCommand

if TYPE_CHECKING:
    _Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

CHECKOUT = Path(__file__).resolve().parents[2]
DEFAULT_BUILD_DIR = "build"
PACKAGE = Path("smpdfu", "dfu_application.zip")
"""Where ``smpdfu package BUILD_DIR`` writes the package, within the build folder."""

# A folder is a build of Zephyr if its CMake cache has one of these (zephyr/scripts/west_commands/build_helpers.py).
_CACHE_ENTRY = re.compile(r"^(ZEPHYR_BASE|ZEPHYR_TOOLCHAIN_VARIANT):", re.MULTILINE)

_USAGE_ERROR = 2
"""As smpdfu ends with if a command cannot be run as it was typed."""
_EPILOG = """\
examples:
  west smpdfu package -k key.pem
  west smpdfu package -d build/app -k key.pem --plan
  west smpdfu update --port /dev/ttyACM1
  west smpdfu package --help
"""


class Smpdfu(WestCommand):
    """The command, as ``scripts/west-commands.yml`` names it."""

    def __init__(self) -> None:
        super().__init__(
            "smpdfu",
            "make the update package of a build folder, or update a device with it",
            "Run smpdfu on the build folder that west build wrote. "
            "smpdfu gets all options behind package or update, as they are.",
        )

    def do_add_parser(self, parser_adder: _Subparsers) -> argparse.ArgumentParser:
        """Register the two words and the options that are west's; the rest is smpdfu's."""
        parser = parser_adder.add_parser(
            self.name,
            help=self.help,
            description=self.description,
            epilog=_EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        _add_own_options(parser)
        parser.add_argument("action", choices=("package", "update"), help="what smpdfu does")
        parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="...", help="options of smpdfu package or update")
        return parser

    def do_run(self, args: argparse.Namespace, unknown: list[str]) -> None:
        """Find the build folder, start smpdfu, and end with its exit code."""
        own, words = _split(args.rest)
        build_dir = own.build_dir or args.build_dir
        package = own.package or args.package
        program = self._program()
        if words[:1] in (["-h"], ["--help"]):
            raise self._run([*program, args.action, *words])
        if args.action == "package":
            if package:
                raise self._refusal(
                    "--package is for `west smpdfu update`. `west smpdfu package -o DIR` sets the output folder."
                )
            raise self._run([*program, "package", str(self._build_dir(build_dir)), *words])
        raise self._run([*program, "update", str(package or self._made(self._build_dir(build_dir))), *words])

    def _build_dir(self, given: str | None) -> Path:
        """The build folder: ``given``, or what ``west flash`` would take."""
        if given:
            return Path(given)
        found = self._configured()
        if found is not None and is_build(found):
            return found
        if is_build(Path()):
            return Path()
        if found is None:
            raise self._refusal(
                "the configuration build.dir-fmt does not name one build folder, and the current folder is none.",
                "Give the folder with -d, or run `west config build.guess-dir runners`.",
            )
        raise self._refusal(
            f"neither {found} nor the current folder is a build folder of Zephyr.", "Run `west build`, or give -d."
        )

    def _configured(self) -> Path | None:
        """The folder that ``build.dir-fmt`` names; None if it has fields for which nothing is known here."""
        form = self.config.get("build.dir-fmt", default=DEFAULT_BUILD_DIR)
        try:
            return Path(form.format())
        except (KeyError, IndexError):
            guess = self.config.get("build.guess-dir", default="never") == "runners"
            return guessed(Path(form)) if guess else None
        except ValueError:  # a brace without its other half
            return None

    def _made(self, build_dir: Path) -> Path:
        path = build_dir / PACKAGE
        if not path.is_file():
            raise self._refusal(
                f"{path} is missing.", "Run `west smpdfu package` first, or give a file with --package."
            )
        return path

    def _program(self) -> list[str]:
        """The words that start smpdfu."""
        try:
            importlib.metadata.version("smpdfu")
        except importlib.metadata.PackageNotFoundError:
            found = shutil.which("smpdfu")
            if found is not None:
                return [found]
            install = shlex.join([sys.executable, "-m", "pip", "install", str(CHECKOUT)])
            sentence = "smpdfu is not installed for this Python, and is not on the PATH."
            raise self._refusal(sentence, f"Run `{install}`.") from None
        return [sys.executable, "-P", "-m", "smpdfu"]  # -P: a folder smpdfu/ in the workspace is not the package

    def _refusal(self, *sentences: str) -> CommandError:
        self.err(*sentences, fatal=True)
        return CommandError(_USAGE_ERROR)

    def _run(self, words: Sequence[str]) -> CommandError:
        """Run smpdfu to its end, which is west's, too. Ctrl-C is smpdfu's: it says how to continue."""
        self.dbg("running", shlex.join(words))
        signal.signal(signal.SIGINT, _leave_to_smpdfu)  # a handler, unlike SIG_IGN, is not inherited
        code = subprocess.Popen(words).wait()
        return CommandError(code if code >= 0 else 128 - code)


def _leave_to_smpdfu(number: int, frame: object) -> None:
    """Do nothing on Ctrl-C: smpdfu gets it, too, and ends."""


def _add_own_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-d", "--build-dir", metavar="DIR", help="build folder [default: as for west flash]")
    parser.add_argument(
        "--package", metavar="FILE", help=f"package for update [default: {PACKAGE.as_posix()} in the build folder]"
    )


def _split(words: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """West's options among ``words``, and the words that are smpdfu's. The first ``--`` ends west's, and is dropped."""
    parser = argparse.ArgumentParser(prog="west smpdfu", add_help=False, allow_abbrev=False)
    _add_own_options(parser)
    end = list(words).index("--") if "--" in words else len(words)
    own, others = parser.parse_known_args(words[:end])
    return own, [*others, *words[end + 1 :]]


def is_build(folder: Path) -> bool:
    """Is ``folder`` a build folder of Zephyr, as ``west flash`` judges it?"""
    try:
        return _CACHE_ENTRY.search((folder / "CMakeCache.txt").read_text("utf-8", errors="replace")) is not None
    except OSError:
        return False


def guessed(form: Path) -> Path | None:
    """The one build folder below the fixed part of ``build.dir-fmt``; None if a folder there has another beside it."""
    open_part = next(index for index, part in enumerate(form.parts) if "{" in part)
    here = Path(*form.parts[:open_part])
    while here.is_dir():
        folders = [entry for entry in here.iterdir() if entry.is_dir()]
        if len(folders) != 1:
            return None
        here = folders[0]
        if is_build(here):
            return here
    return None
