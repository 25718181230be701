"""``python -m fuzz [--seconds N] [NAME...]``: the targets under atheris (libFuzzer), one process each.

Inputs that did harm are kept in ``build/fuzz/NAME``; ``python -m fuzz --replay NAME FILE`` runs one of them again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "build" / "fuzz"


def main() -> int:
    """Run the targets of the command line; 1 when one of them found something, 2 when atheris is not there."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("names", metavar="NAME", nargs="*", help="targets; all, if none is given")
    parser.add_argument("--seconds", type=int, default=60, help="for each target; default 60")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run one input again, without atheris")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        fuzz_one(options.names[0], options.seconds)
    try:
        import atheris  # noqa: F401  # here to see whether it is installed
    except ImportError:
        print(f"atheris is not installed, and has no wheel for every Python (this is {sys.version.split()[0]}):")
        print("pip install 'smpdfu[fuzz]'; the tests fuzz the same targets, shorter, with hypothesis")
        return 2
    from fuzz.targets import TARGETS

    if options.replay:
        TARGETS[options.names[0]].run(options.replay.read_bytes())
        return 0
    unknown = set(options.names) - set(TARGETS)
    if unknown:
        parser.error(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    failed = [name for name in options.names or TARGETS if not run_one(name, options.seconds)]
    print(f"found something: {', '.join(failed)}" if failed else "nothing found")
    return 1 if failed else 0


def run_one(name: str, seconds: int) -> bool:
    """Fuzz one target in a process of its own; True when nothing was found."""
    print(f"--- {name}: {seconds} s", flush=True)
    command = [sys.executable, "-m", "fuzz", "--inside", "--seconds", str(seconds), name]
    return subprocess.run(command, check=False, cwd=FOLDER.parent.parent).returncode == 0


def fuzz_one(name: str, seconds: int) -> None:
    """Never returns: libFuzzer leaves the process."""
    import atheris

    with atheris.instrument_imports(include=["smpdfu"], enable_loader_override=False):
        from fuzz.targets import TARGETS
    target = TARGETS[name]

    def run(data: bytes) -> None:
        try:
            target.run(data)
        except target.errors:
            return

    corpus, found = FOLDER / name / "corpus", FOLDER / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    limits = [f"-max_total_time={seconds}", "-rss_limit_mb=1024", "-timeout=20", "-max_len=40000"]
    atheris.Setup([sys.argv[0], *limits, "-print_final_stats=1", f"-artifact_prefix={found}/", str(corpus)], run)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
