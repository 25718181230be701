"""imgtool's own sentences for what it refuses, as builds and its own tests know them; click's, where click says them.

Only what goes to stderr behind ``Error:``. Where imgtool has no sentence (it lets the request through, or ends in a
traceback), ours stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

NO_INTEGER = (
    "{text} is not a valid integer. Please use code literals prefixed with 0b/0B, 0o/0O, or 0x/0X as necessary."
)
NO_VERSION = "Invalid version number, should be maj.min.rev+build with later parts optional"
NO_DEPENDENCIES = "Image dependency format is invalid: {text}"
SMALL_HEADER = "Minimum value for -H/--header-size is 32"
NO_SUFFIX = "{text!r} must contain only [A-Za-z0-9_]; it is appended directly to a C/Rust identifier."

TWO_ENCODINGS = "Please use only one of `--encoding/-e` or `--lang/-l`"
SUFFIX_OF_CODE = "`--name-suffix` is only meaningful for lang-c / lang-rust encodings"
SUFFIX_OF_C = "`--name-suffix` is only meaningful for the lang-c encoding"
PUBLIC_ONLY = "Cannot sign with a public-only PEM; signing requires the private key."
NO_PRIVATE_FORM = {
    "ed25519": "Operation not supported with ed25519 keys",
    "rsa": "rsa does not support {form}",
    "ecdsa": "ecdsa does not support {form}",
    "x25519": "x25519 does not support {form}",
}
PRIVATE_NEEDED = "Operation get_private_bytes requires private key"
NO_PASSPHRASE = (
    "Cannot inspect {key}: key is password-protected or unreadable. keyinfo runs non-interactively and does not prompt "
    "for a passphrase."
)
WRONG_HALF = "Key {key} is {half}, but {wanted} was required."
PURE_SHA = "Pure signatures, currently, enforces preferred hash algorithm, and forbids sha selection by user."
TWO_SIGNATURES = "Can not sign using key and provide fixed-signature at the same time"
NO_SIGNATURE_KEY = "public key of the fixed signature is not specified"
TWO_ADDRESSES = "Can not set rom_fixed and load_addr at the same time"
HMAC_SHA512 = "Currently only ECIES-X25519 supports HMAC-SHA512"
LONG_TYPE = "'{text}' is too long ({size} characters) for sw_type. Its maximum allowed length is 12 characters."


def worded(
    parse: Callable[[str], Any], sentence: str, *, fits: Callable[[str], bool] | None = None
) -> Callable[[str], Any]:
    """``parse`` with imgtool's sentence for what it does not read; ours where ``fits`` says that imgtool reads it."""

    def read(text: str) -> Any:
        try:
            return parse(text)
        except ValueError:
            if fits is not None and fits(text):
                raise
            raise ValueError(sentence.format(text=text)) from None

    return read


def is_integer(text: str) -> bool:
    """True for what imgtool takes for a number."""
    try:
        int(text[:100], 0)
    except ValueError:
        return False
    return True


def is_version(text: str) -> bool:
    """True for what imgtool takes for a version, in range or not."""
    number = r"([1-9]\d*|0)"
    return re.fullmatch(rf"{number}(\.{number}(\.{number}(\+{number})?)?)?", text, re.ASCII) is not None


def names_an_image(text: str) -> bool:
    """True for what imgtool takes for the begin of a dependency."""
    return re.search(r"\(\d", text) is not None


def no_such_option(name: str, known: Iterable[str]) -> str:
    """click's sentence about an option that does not exist, with the options that look like it."""
    from difflib import get_close_matches  # here: 2 ms of each build, and only a wrong option needs it

    near = sorted(f"'{one}'" for one in get_close_matches(name, known)) if name.startswith("--") else []
    hint = f" Did you mean {near[0]}?" if len(near) == 1 else f" (Did you mean one of: {', '.join(near)}?)"
    return f"No such option '{name}'.{hint if near else ''}"


def of_click(message: str) -> str:
    """argparse's sentence about a command line in click's words."""
    if found := re.match(r"the following arguments are required: ([^,\s]+)", message):
        name = found[1]
        if name.startswith("-"):
            return f"Missing option {_names(name)}."
        return f"Missing argument '{name}'."
    if found := re.match(r"unrecognized arguments: (\S+)", message):
        return f"Got unexpected extra argument ({found[1]})"
    found = re.match(r"argument (\S+): (.*)", message, re.DOTALL)
    if found is None:
        return message
    option, text = found.groups()
    if "expected one argument" in text:
        return f"Option '{option.split('/')[0]}' requires an argument."
    if "ignored explicit argument" in text:
        return f"Option '{option.split('/')[-1]}' does not take a value."
    if choice := re.match(r"invalid choice: (.*) \(choose from (.*)\)", text, re.DOTALL):
        rows = ", ".join(f"'{one.strip(chr(39))}'" for one in choice[2].split(", "))
        text = f"'{choice[1].strip(chr(39))}' is not one of {rows}."
    elif choice := re.match(r"invalid int value: (.*)", text):
        text = f"{choice[1]} is not a valid integer."
    return f"Invalid value for {_names(option)}: {text}"


def _names(option: str) -> str:
    return " / ".join(f"'{name}'" for name in option.split("/"))
