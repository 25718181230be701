"""What ``make demo`` runs: the main job on the virtual nRF5340, by the commands that a person would type.

Nothing is faked and nothing is skipped: real firmware, real keys, real SMP through a pseudo-terminal. Every command is
printed before it runs, and its exit code is checked. Everything is kept in build/demo.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
BUILD = Path("build") / "demo"
SMPDFU = Path(sys.executable).parent / "smpdfu"
SIGN = ("-k", "keys/dev-sign-p256.pem")
ENCRYPT = ("-E", "keys/dev-encrypt-p256.pub.pem")


def say(text: str) -> None:
    """Print what comes next, set apart from the commands' own output."""
    print(f"\n=== {text}", flush=True)


def smpdfu(*arguments: str, code: int = 0) -> None:
    """Show and run one command; the demo ends when it does not exit with ``code``."""
    print(f"\n$ smpdfu {' '.join(arguments)}", flush=True)
    done = subprocess.run([SMPDFU, *arguments], check=False, stderr=subprocess.STDOUT)
    if done.returncode != code:
        sys.exit(f"demo failed: exit code {done.returncode} where {code} was expected")
    if code:
        print(f"(exit code {code}, as it should be)", flush=True)


@contextmanager
def board(name: str) -> Iterator[str]:
    """Run the virtual device ``name`` behind a pseudo-terminal, as a board on a cable; yields its port."""
    command = [str(SMPDFU), "virtual", "run", name, "--pty", "--json"]
    print(f"\n$ {' '.join(['smpdfu', *command[1:]])} &", flush=True)
    with (BUILD / "console.log").open("wb") as console:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=console)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            sys.exit("demo failed: the virtual device did not start:\n" + (BUILD / "console.log").read_text())
        yield json.loads(line)["port"]
    finally:
        process.terminate()
        process.wait(timeout=10)


def make_firmware() -> None:
    """Samples, keys of a stranger, and two signed releases."""
    samples = BUILD / "samples"
    say("Real firmware: Zephyr 4.4 hci_usb for the nRF5340 DK, both cores, in two versions")
    subprocess.run([sys.executable, "sample_images/make_samples.py", str(samples)], check=True)

    say("As it was linked (for address 0) it cannot run from MCUboot's slots, and that is noticed")
    apart = ("--app", str(samples / "linked-at-zero-app.hex"), "--net", str(samples / "linked-at-zero-net.hex"))
    smpdfu("package", *apart, "--version", "0.9.0", *SIGN, "-o", str(BUILD / "linked-at-zero"))

    say("Sign and pack version 1; sign, encrypt and pack version 2")
    for number, extra in (("1", ()), ("2", ENCRYPT)):
        merged = ("--merged", str(samples / f"firmware-{number}.hex"))
        smpdfu("package", *merged, "--version", f"{number}.0.0", *SIGN, *extra, "-o", str(BUILD / f"v{number}"))
    smpdfu("inspect", str(BUILD / "v2" / "app_update.bin"))
    smpdfu("verify", str(BUILD / "v2" / "app_update.bin"), *SIGN, "--enc-key", "keys/dev-encrypt-p256.pem")

    say("The same firmware signed by a stranger's key")
    smpdfu("keygen", "-t", "ecdsa-p256", "-k", str(BUILD / "stranger.pem"))
    merged = ("--merged", str(samples / "firmware-2.hex"))
    smpdfu("package", *merged, "--version", "6.6.6", "-k", str(BUILD / "stranger.pem"), "-o", str(BUILD / "stranger"))


def update_board() -> None:
    """Test and revert, then the staged update of both cores, then what must not work."""
    say("Test version 2: it is swapped in, runs, and reverts because nobody confirmed it")
    smpdfu("list")
    smpdfu("upload", str(BUILD / "v2" / "app_update.bin"), "--test")
    smpdfu("list")
    smpdfu("reset")
    smpdfu("reset")

    say("Update both cores: application, check, confirm, then the network core")
    smpdfu("update", str(BUILD / "v2" / "dfu_application.zip"))

    say("The stranger's image: the bootloader refuses it, and version 2 goes on running")
    smpdfu("upload", str(BUILD / "stranger" / "app_update.bin"), "--confirm", code=7)
    smpdfu("list")

    say("Go back to version 1")
    smpdfu("upload", str(BUILD / "v1" / "app_update.bin"), "--confirm")
    smpdfu("list")


def main() -> None:
    """Run the whole demo in the checkout."""
    started = time.monotonic()
    os.chdir(ROOT)
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir(parents=True)
    os.environ["SMPDFU_VIRTUAL_HOME"] = str(BUILD / "devices")
    os.environ["SMPDFU_STATE_HOME"] = str(BUILD / "state")

    make_firmware()
    say("A virtual nRF5340 DK that runs version 1 and trusts our keys")
    trusted = ("--key", "keys/dev-sign-p256.pub.pem", "--enc-key", "keys/dev-encrypt-p256.pem")
    firmware = ("--app", str(BUILD / "v1" / "app_update.bin"), "--net", str(BUILD / "v1" / "net_core_update.bin"))
    smpdfu("virtual", "new", "demo", *trusted, *firmware)
    with board("demo") as port:
        os.environ["SMPDFU_TO"] = f"serial:{port}"
        update_board()

    say("Both cores as they are now, and what the bootloader said")
    smpdfu("virtual", "show", "demo")
    smpdfu("virtual", "log", "demo")
    print(f"\nDone in {time.monotonic() - started:.0f} s. Everything is in {BUILD}.")
    print("Next: `. .venv/bin/activate` puts smpdfu on the path, `smpdfu tutorial` shows the first commands.")


if __name__ == "__main__":
    main()
