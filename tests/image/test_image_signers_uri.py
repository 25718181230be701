"""Key URIs as text, and the table of their schemes."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpdfu.errors import KeyFileError
from smpdfu.image.signers import SCHEMES, open_signer, scheme_of
from smpdfu.image.signers.uri import Pkcs11Uri, split_options


def test_an_rfc_7512_uri() -> None:
    uri = Pkcs11Uri.from_text(
        "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;"
        "object=my-certificate;type=private;id=%69%95%3E%00?pin-source=file:/etc/token_pin&module-path=/lib/p%2611.so"
    )
    assert uri.token == {
        "token": "The Software PKCS#11 Softtoken",
        "manufacturer": "Snake Oil, Inc.",
        "model": "1.0",
    }
    assert (uri.object, uri.id) == ("my-certificate", b"\x69\x95\x3e\x00")
    assert uri.query == {"pin-source": "file:/etc/token_pin", "module-path": "/lib/p&11.so"}
    assert uri.name == "the key 'my-certificate' in the token 'The Software PKCS#11 Softtoken'"
    assert Pkcs11Uri.from_text("pkcs11:id=%01").name == "the key '01' in the only token"


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("pkcs11:", "does not say which key"),
        ("pkcs11:token=a", "does not say which key"),
        ("pkcs11:object=a;object=b", "says object twice"),
        ("pkcs11:object", "a part without ="),
        ("pkcs11:object=a;colour=red", "'colour', which smpdfu does not know: use token, "),
        ("pkcs11:object=a?module-name=x", "'module-name', which smpdfu does not know: use module-path, "),
        ("pkcs11:object=a;type=cert", "asks for a cert; signing needs type=private"),
        ("pkcs11:object=a?pin-value=739164", r"everybody can see a PIN .*: use pin-source=file:PATH"),
    ],
)
def test_bad_uris(uri: str, sentence: str) -> None:
    with pytest.raises(KeyFileError, match=sentence) as caught:
        Pkcs11Uri.from_text(uri)
    assert "739164" not in str(caught.value)


@given(st.text(alphabet=st.sampled_from("abc=;&?%01:/ \u00e9tokenobjectid-")))
def test_any_text_is_a_uri_or_a_key_file_error(text: str) -> None:
    try:
        uri = Pkcs11Uri.from_text(f"pkcs11:{text}")
    except KeyFileError:
        return
    assert uri.object is not None or uri.id is not None


@given(st.text())
def test_options_are_taken_off_only_when_all_are_known(text: str) -> None:
    head, options = split_options(text, ("pub", "timeout"))
    assert set(options) <= {"pub", "timeout"}
    assert options or head == text


def test_options_of_a_uri() -> None:
    assert split_options("cmd:a?b=c", ("pub",)) == ("cmd:a?b=c", {})
    assert split_options("cmd:a?b=c?pub=%20x&pub=y%3f", ("pub",)) == ("cmd:a?b=c", {"pub": "y?"})
    assert split_options("cmd:a?pub=x&b=c", ("pub",)) == ("cmd:a?pub=x&b=c", {})


@pytest.mark.parametrize("name", ["key.pem", "/keys/a:b.pem", "C:\\keys\\a.pem", "hsm:1", "", "cmd", "pkcs11.pem"])
def test_files_are_no_uris(name: str) -> None:
    assert scheme_of(name) is None
    with pytest.raises(ValueError, match="is not one of pkcs11, awskms"):
        open_signer(name)


@pytest.mark.parametrize(
    ("scheme", "package", "extra"),
    [("pkcs11", "pkcs11", "hsm"), ("awskms", "securesystemslib", "kms"), ("azurekms", "securesystemslib", "kms")],
)
def test_an_extra_that_is_not_installed(scheme: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"smpdfu.image.signers.{SCHEMES[scheme][0]}", raising=False)
    with pytest.raises(KeyFileError, match=rf"^{scheme}: keys need .*{package}.*pip install 'smpdfu\[{extra}\]'$"):
        open_signer(f"{scheme}:object=x")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("rest", ["", "//", "x?pub=", "x?pub=/no/such/file", "\0?pub=/no/such/file"])
def test_no_uri_ends_in_anything_but_a_sentence(scheme: str, rest: str) -> None:
    with pytest.raises(KeyFileError):
        open_signer(f"{scheme}:{rest}")
