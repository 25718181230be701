"""``python -m tests.chaos [--short]``: every case of ``cases``, and how many were gone through."""

from __future__ import annotations

import argparse
import sys
import time

from smpdfu.dfu.decide.device_state import Scheme
from tests.chaos.cases import KINDS
from tests.chaos.stage import WORDS, new_maker


def main() -> None:
    """Go through all; the first loss ends it with its traceback."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--short", action="store_true", help="the form that is part of the tests")
    parser.add_argument("--verbose", action="store_true", help="a line per case")
    wanted = parser.parse_args()
    make, total, began = new_maker(), 0, time.monotonic()
    for name, (kind, short, long) in KINDS.items():
        for scheme in Scheme:
            started, count = time.monotonic(), 0
            for told in kind(make, scheme, short if wanted.short else long):
                count += 1
                if wanted.verbose:
                    sys.stdout.write(f"  {told}\n")
            total += count
            sys.stdout.write(f"{name}, {scheme}: {count} cases in {time.monotonic() - started:.1f} s\n")
            sys.stdout.flush()
    sys.stdout.write(f"{total} cases in {time.monotonic() - began:.0f} s: nothing lost\n")
    sys.stdout.write("".join(f"  {word}\n" for word in WORDS.false))
    sys.stdout.write(f"{WORDS.checked} words compared with the flash; false words: {len(WORDS.false)}\n")
    sys.exit(bool(WORDS.false))


if __name__ == "__main__":
    main()
