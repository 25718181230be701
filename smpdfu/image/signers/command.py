"""``cmd:`` keys: a program of the user's signs. It reads the digest on stdin and writes the signature to stdout.

``cmd:/opt/sign --slot 2?pub=release.pub.pem`` is split into words as a shell would, and no shell runs it. What it may
do is bounded: time, and bytes on stdout. What it says on stderr is handed on, and its end stands in the error when the
program fails. The environment tells it what is wanted:

``SMPDFU_KEY_TYPE`` ecdsa-p256, ed25519, ...; ``SMPDFU_INPUT`` ``digest``, or ``message`` for a pure Ed25519 signature;
``SMPDFU_DIGEST`` sha256, ... the hash function that made the digest.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from smpdfu.errors import KeyFileError
from smpdfu.image.keys.keys import PublicKey
from smpdfu.image.signers import Surroundings, Tell
from smpdfu.image.signers.process import Job, run
from smpdfu.image.signers.remote import RemoteSigner, agreed_public
from smpdfu.image.signers.uri import split_options
from smpdfu.untrusted.programs import environment

DEFAULT_TIMEOUT_S = 60
MAX_TIMEOUT_S = 3600

_HASH_NAMES = {32: "sha256", 48: "sha384", 64: "sha512"}


def open_key(uri: str, surroundings: Surroundings) -> RemoteSigner:
    """The key behind a program. Raises ``KeyFileError``: no program, no public key, a bad option."""
    text, options = split_options(uri.partition(":")[2], ("pub", "timeout"))
    words = _words(text)
    name = f"the program {words[0]}"
    public = agreed_public(None, options.get("pub"), surroundings.public, name)
    timeout_s = _timeout_s(options.get("timeout"))
    program = _Program(name, words, timeout_s, public, surroundings.tell)
    return RemoteSigner(name, public, program.sign_digest, program.sign_message)


def _words(text: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise KeyFileError(f"the cmd: URI cannot be split into words: {error}") from None
    if not words:
        raise KeyFileError("the cmd: URI names no program")
    return words


def _timeout_s(text: str | None) -> float:
    if text is None:
        return DEFAULT_TIMEOUT_S
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= MAX_TIMEOUT_S:
        raise KeyFileError(f"the timeout {text!r} of the cmd: URI must be 1 to {MAX_TIMEOUT_S} seconds")
    return int(text)


@dataclass(frozen=True, slots=True)
class _Program:
    """A program that signs, and how it is asked."""

    name: str
    words: tuple[str, ...]
    timeout_s: float
    public: PublicKey
    tell: Tell

    def sign_digest(self, digest: bytes) -> bytes:
        """What the program makes of a digest."""
        return self._run(digest, {"SMPDFU_INPUT": "digest", "SMPDFU_DIGEST": _HASH_NAMES.get(len(digest), "")})

    def sign_message(self, message: bytes) -> bytes:
        """What the program makes of all bytes of an image."""
        return self._run(message, {"SMPDFU_INPUT": "message"})

    def _run(self, data: bytes, told: dict[str, str]) -> bytes:
        surroundings = environment({"SMPDFU_KEY_TYPE": self.public.kind.name} | told)
        return run(Job(self.name, self.words, data, surroundings, self.timeout_s), self.tell)
