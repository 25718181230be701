"""Tokens and keys: where they are read from, who may read them, and that no text shows one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from smpdfu.agent.description.authentication import CREDENTIALS_DIRECTORY, Authentication, Credentials, Way
from smpdfu.agent.management.access import password_login
from smpdfu.dfu.fleet.description.table import Table
from smpdfu.errors import AgentFileError
from smpdfu.untrusted.programs import environment

SECRET = "0123456789abcdef0123456789abcdef"
posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")


def read(folder: Path, **keys: str) -> Authentication:
    return Authentication.read(Table(keys, "[authentication] of AGENT.toml"), folder)


def secret(path: Path, text: str = f"{SECRET}\n", mode: int = 0o600) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_gateway_token_in_a_file(tmp_path: Path) -> None:
    secret(tmp_path / "gateway.token")
    found = read(tmp_path, gateway_token_file="gateway.token").credentials([])
    assert header(found, "any") == f"GatewayToken {SECRET}"


def header(found: Credentials, device: str) -> str:
    token = found.token(device)
    assert token is not None
    return token.header()


@posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o601])
def test_a_file_that_others_can_access_is_refused(mode: int, tmp_path: Path) -> None:
    path = secret(tmp_path / "gateway.token", mode=mode)
    with pytest.raises(AgentFileError, match="other users can access") as caught:
        read(tmp_path, gateway_token_file="gateway.token").credentials([])
    assert f"`chmod 600 {path}`" in str(caught.value)


@posix
@pytest.mark.parametrize("way", ["target_tokens", "key"])
def test_so_is_every_other_file_with_a_secret(way: str, tmp_path: Path) -> None:
    secret(tmp_path / "file", "name,token\na,x\n", 0o644)
    keys = {"target_tokens": "file"} if way == "target_tokens" else {"certificate": "c.pem", "key": "file"}
    with pytest.raises(AgentFileError, match="other users can access"):
        read(tmp_path, **keys).credentials(["a"])


def test_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(tmp_path, gateway_token_env="HAWKBIT_TOKEN")
    with pytest.raises(AgentFileError, match="HAWKBIT_TOKEN has no gateway token"):
        found.credentials([])
    monkeypatch.setenv("HAWKBIT_TOKEN", SECRET)
    assert header(found.credentials([]), "a") == f"GatewayToken {SECRET}"
    assert "HAWKBIT_TOKEN" not in environment({}), "what a program of the operator gets, such as a health check"


def test_a_credential_of_systemd_comes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service and a person at a shell use the same AGENT.toml. systemd's files are readable for a group."""
    secret(tmp_path / "gateway.token", "of-the-file")
    secret(tmp_path / "credentials" / "gateway.token", "of-systemd", 0o440)
    assert header(read(tmp_path, gateway_token_file="gateway.token").credentials([]), "a").endswith("of-the-file")
    monkeypatch.setenv(CREDENTIALS_DIRECTORY, str(tmp_path / "credentials"))
    assert header(read(tmp_path, gateway_token_file="gateway.token").credentials([]), "a").endswith("of-systemd")
    other = read(tmp_path, gateway_token_file="./gateway.token")
    assert other.source == str(tmp_path / "gateway.token")


def test_target_tokens_in_one_file(tmp_path: Path) -> None:
    secret(tmp_path / "tokens.csv", f"name,token\nroof-1, {SECRET}\nroof-2,two\n")
    found = read(tmp_path, target_tokens="tokens.csv").credentials(["roof-1", "roof-2"])
    assert header(found, "roof-1") == f"TargetToken {SECRET}"
    assert header(found, "roof-2") == "TargetToken two"
    with pytest.raises(AgentFileError, match="'roof-3' has no target token"):
        found.token("roof-3")


def test_target_tokens_in_a_folder(tmp_path: Path) -> None:
    secret(tmp_path / "tokens" / "roof-1.token")
    secret(tmp_path / "tokens" / "..%2Fx%20y.token", "quoted")
    found = read(tmp_path, target_tokens="tokens").credentials(["roof-1", "../x y"])
    assert header(found, "../x y") == "TargetToken quoted"
    with pytest.raises(AgentFileError, match="'a' and 1 more device have no target token in"):
        read(tmp_path, target_tokens="tokens").credentials(["a", "b", "roof-1"])


NO_TOKENS = ["", "\n", "two words", "two\nlines", f"{SECRET}\x07", "schl\u00fcssel", "x" * 513]


@pytest.mark.parametrize("text", NO_TOKENS)
def test_a_text_that_is_no_token(text: str, tmp_path: Path) -> None:
    secret(tmp_path / "gateway.token", text)
    with pytest.raises(AgentFileError, match="must have one token") as caught:
        read(tmp_path, gateway_token_file="gateway.token").credentials([])
    assert not text.strip() or text not in str(caught.value)


WRONG_ROWS = [f"a,{SECRET}\na,{SECRET}\n", f",{SECRET}\n", f"a,{SECRET} {SECRET}\n", f'a,"{SECRET}\0']


@pytest.mark.parametrize("rows", WRONG_ROWS)
def test_no_message_about_a_list_of_tokens_has_a_token(rows: str, tmp_path: Path) -> None:
    secret(tmp_path / "tokens.csv", f"name,token\n{rows}")
    with pytest.raises(AgentFileError) as caught:
        read(tmp_path, target_tokens="tokens.csv").credentials(["a"])
    assert SECRET not in str(caught.value)


def test_a_certificate_needs_no_token(tmp_path: Path) -> None:
    secret(tmp_path / "k.pem")
    found = read(tmp_path, certificate="c.pem", key="k.pem").credentials(["a"])
    assert (found.token("a"), found.certificate, found.key) == (None, tmp_path / "c.pem", tmp_path / "k.pem")


def test_a_missing_file_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path, gateway_token_file="gone").credentials([])


@pytest.mark.parametrize("way", [Way.GATEWAY_TOKEN_FILE, Way.TARGET_TOKENS])
def test_no_text_of_the_credentials_shows_a_token(way: Way, tmp_path: Path) -> None:
    secret(tmp_path / "file", f"name,token\na,{SECRET}\n" if way is Way.TARGET_TOKENS else SECRET)
    found = read(tmp_path, **{way: "file"}).credentials(["a"])
    assert SECRET not in repr(found) + str(found) + repr(found.token("a"))
    assert found.hide(f"GatewayToken {SECRET} and {SECRET}") == "GatewayToken [token] and [token]"
    assert found.hide("nothing") == "nothing"


def test_a_server_that_repeats_a_password_is_not_repeated() -> None:
    """HTTP Basic has it in another form; both are hidden."""
    login = password_login("admin", SECRET)
    said = f"{login.header()}: admin with {SECRET} is unknown"
    assert login.hide_text(said) == "Basic [token]: admin with [token] is unknown"
