"""What to type next, by the code of a finding, an error or a doubt: each row has its code, and is a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

import smpdfu
from smpdfu.cli.app.advice import advice
from smpdfu.cli.app.advice_by_code import (
    BY_CODE,
    BY_VERDICT,
    NEXT_STEPS,
    by_code,
    finding_advice,
    finding_words,
    proof_lines,
    verdict_words,
)
from smpdfu.dfu.decide.checks.findings import Finding, Severity, refusal
from smpdfu.dfu.decide.proof_value import Proof
from smpdfu.dfu.decide.steps.next_step import NextStep
from smpdfu.errors import DeviceError, JournalError, PlanError
from smpdfu.image.verification.rollback import RollbackCode
from smpdfu.image.verification.verdict import Code
from smpdfu.image.verification.verdict import Finding as ImageFinding

LIBRARY = "\n".join(
    path.read_text()
    for room in ("dfu", "image", "securedfu", "virtual")
    for path in (Path(smpdfu.__file__).parent / room).rglob("*.py")
)
FACTS = {
    "unknown": "release",
    "address": "0x01008800",
    "release": "enough",
    "version": "2.0.0",
    "counter": "3",
    "refused": "on demand",
    "class": "missing",
    "trailer": "signed",
    "unreadable": "protected",
    "numbers": "0 1",
    "unchecked": "b0n",
    "mcuboot": "left out",
    "known": "yes",
    "core": "net",
    "file": "app 1.bin",
    "folder": "build",
    "name": "PASSWORD",
    "kind": "DFU_APPLICATION_ZIP",
}


@pytest.mark.parametrize("code", BY_CODE)
def test_every_row_is_for_a_code_of_the_library_and_is_a_sentence(code: str) -> None:
    assert f'"{code}"' in LIBRARY
    said = by_code(code, FACTS)
    assert said.endswith(".")
    assert "{" not in said
    assert "`smpdfu " in said or " -" in f" {said}"


def test_every_next_step_has_words() -> None:
    assert NEXT_STEPS.keys() == set(NextStep)


def test_a_finding_is_followed_by_the_command_for_it() -> None:
    one = Finding("net-elsewhere", Severity.WARNING, "it is elsewhere", "Say so.", facts={"address": "0x01002800"})
    assert finding_advice(one) == "Say so. Use --net-address 0x01002800."
    assert finding_words(one) == "it is elsewhere. Say so. Use --net-address 0x01002800."
    bare = Finding("encrypted", Severity.NOTE, "it is encrypted")
    assert (finding_advice(bare), finding_words(bare)) == ("", "it is encrypted")


def test_an_error_of_preflight_has_the_command_for_its_first_finding() -> None:
    one = Finding("dependency-halts", Severity.ERROR, "it halts", "Sign it higher.", facts={"version": "2.0.0"})
    error = refusal([one, Finding("too-large", Severity.ERROR, "it is too large")])
    assert str(error) == "it halts; and it is too large; nothing was written. Sign it higher."
    assert (error.code, error.codes) == ("dependency-halts", ("dependency-halts", "too-large"))
    assert advice(error) == "`smpdfu sign --version 2.0.0` sets the version."


def test_a_code_counts_more_than_a_class() -> None:
    assert "--new-journal" in advice(JournalError("too large").because("journal-too-large"))
    assert "run the same command again" in advice(JournalError("another process"))
    explained = DeviceError(None, 3, "img upload", name="EINVAL", reason="ours", explained=True)
    assert advice(explained) == ""
    assert advice(explained.because("no-direct-upload")) == "Leave -n out."


def test_the_facts_of_one_error_are_not_those_of_another() -> None:
    first = PlanError("one").because("which-image", numbers="1")
    assert (first.facts, PlanError("two").facts, PlanError("two").code) == ({"numbers": "1"}, {}, "")
    assert PlanError("three", codes=("pending",)).code == "pending"


def test_a_doubt_is_followed_by_the_command_that_removes_it() -> None:
    doubt = Proof(None, "It was emptied.", doubt="Say which release.", code="loader-unknown")
    assert proof_lines(doubt) == ("It was emptied.", "Say which release. --ncs gives the release.")
    assert proof_lines(Proof(True, "It printed so.")) == ("It printed so.",)
    assert proof_lines(Proof(True, "")) == ()  # as a journal may have it


VERDICTS = [
    (Code.KEY_FORMAT, {"wanted": "KEYHASH"}, "a fact (--hw-key)"),
    (Code.KEY_FORMAT, {"wanted": "PUBKEY"}, "a fact (`smpdfu sign --public-key-format full`)"),
    (Code.SIGNATURE_FORM, {"form": "padded"}, "a fact (`smpdfu sign --pad-sig` pads it, --backend names the backend)"),
    (Code.SIGNATURE_FORM, {"form": "other"}, "a fact (--backend names the backend)"),
    (Code.SIGNATURE_FORM, {}, "a fact"),
    (Code.DECOMPRESSION, {"header": "not erased"}, "a fact (`smpdfu sign --pad-header`)"),
    (Code.DECOMPRESSION, {}, "a fact"),
    (Code.LOAD_ADDRESS, {"address": "0xc000"}, "a fact (`smpdfu sign --slot-address 0xc000`)"),
    (Code.NO_LOAD_ADDRESS, {"address": "0xc000"}, "a fact (`smpdfu sign --slot-address 0xc000`)"),
    (Code.LOAD_ADDRESS, {}, "a fact"),
    (RollbackCode.SECURITY_COUNTER, {"counter": "3"}, "a fact (`smpdfu sign -s NUMBER`)"),
    (RollbackCode.SECURITY_COUNTER, {}, "a fact"),
    (Code.HASH, {}, "a fact"),
]


@pytest.mark.parametrize(("code", "facts", "said"), VERDICTS)
def test_what_verify_says_of_an_image_names_the_option_for_it(code: str, facts: dict[str, str], said: str) -> None:
    assert verdict_words(ImageFinding(code, None, "a fact", facts)) == said


def test_every_row_for_a_verdict_is_tried() -> None:
    assert {code for code, _, _ in VERDICTS} >= BY_VERDICT.keys()
