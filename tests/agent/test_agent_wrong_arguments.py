"""Every command of the agent, and ``publish``, with arguments that cannot be: one sentence, and its exit code."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.cli.conftest import Call, Outcome, smpdfu

__all__ = ["smpdfu"]
LEAST = (
    '[agent]\ngateway = "g"\n[server]\nurl = "https://127.0.0.1:9"\n'
    '[authentication]\ngateway_token_file = "gateway.token"\n[[device]]\nname = "a"\naddress = "udp:127.0.0.1:9"\n'
)
COMMANDS = ("run", "once", "status", "doctor", "unit")
# What stands in AGENT.toml, and what the sentence says of it. All of it is seen when the file is read.
FILES: dict[str, tuple[bytes | str, str]] = {
    "no TOML": ("[agent\n", "AGENT.toml is not valid TOML"),
    "no text": (bytes(range(256)), "AGENT.toml is not valid TOML"),
    "nothing": ("", "[agent] of AGENT.toml has no gateway"),
    "a zero byte": (LEAST.replace("udp:", "udp:\\u0000"), "'address' in [[device]] number 1 of AGENT.toml"),
    "an unknown table": (LEAST + "[what]\n", "unknown table 'what'"),
    "an unknown key": (LEAST.replace("[server]", "[server]\nx = 1"), "[server] of AGENT.toml has an unknown key 'x'"),
    "another type": (LEAST.replace('"g"', "5"), "'gateway' in [agent]"),
    "a number too small": (LEAST + "[limits]\nat_once = 0\n", "must be a whole number of at least 1"),
    "a number with a point": (LEAST + "[limits]\nat_once = 1.5\n", "must be a whole number of at least 1"),
    "a switch as a number": (LEAST + "[limits]\nat_once = true\n", "must be a whole number of at least 1"),
    "no number": (LEAST + "[update]\nsoak_s = nan\n", "'soak_s' in [update]"),
    "a negative time": (LEAST + "[update]\nsoak_s = -1\n", "'soak_s' in [update]"),
    "a port out of range": (LEAST + '[metrics]\nlisten = "127.0.0.1:99999"\n', "must be HOST:PORT"),
    "an unknown form": (LEAST + '[log]\nform = "xml"\n', "must be one of text, json"),
    "no TLS": (LEAST.replace("https://127.0.0.1:9", "http://192.0.2.1"), "begins with http"),
    "a wrong proxy": (LEAST.replace("url =", 'proxy = "socks5://x"\nurl ='), "the address of a proxy must be"),
    "a proxy without TLS": (
        LEAST.replace("https:", "http:").replace("url =", 'proxy = "http://x"\nurl ='),
        "a proxy needs https",
    ),
    "no device": (LEAST.partition("[[device]]")[0], "AGENT.toml"),
    "a device twice": (LEAST + '[[device]]\nname = "a"\naddress = "udp:127.0.0.2"\n', "'a'"),
    "no address": (LEAST.replace("udp:127.0.0.1:9", "nowhere"), "'nowhere' is not an address"),
    "a missing list": (LEAST.replace('"g"', '"g"\ndevices = "missing.csv"'), "missing.csv: No such file"),
    "a token in the file": (LEAST.replace("gateway_token_file", "gateway_token"), "gateway_token"),
}


def told(done: Outcome, code: int, words: str, *, as_json: bool) -> None:
    """One sentence with these words, and this exit code; as JSON, too."""
    assert done.code == code, done
    assert "Traceback" not in done.out + done.err
    (sentence,) = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert words in sentence
    if as_json:
        error = json.loads(done.out)["error"]
        assert (error["exit_code"], f"error: {error['message']}") == (code, sentence)
    else:
        assert done.out == ""


@pytest.mark.parametrize("as_json", [False, True], ids=["people", "json"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_that_cannot_be(smpdfu: Call, tmp_path: Path, command: str, as_json: bool) -> None:
    more = ("--json",) if as_json else ()
    path = tmp_path / "AGENT.toml"
    told(smpdfu("agent", command, path, *more), 3, "AGENT.toml: No such file or directory", as_json=as_json)
    told(smpdfu("agent", command, tmp_path, *more), 3, ": Is a directory", as_json=as_json)
    for text, words in FILES.values():
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        told(smpdfu("agent", command, path, *more), 3, words, as_json=as_json)
    assert {one.name for one in tmp_path.iterdir()} == {"AGENT.toml"}, "nothing is made"


@pytest.mark.parametrize("command", COMMANDS)
def test_arguments_that_cannot_be(smpdfu: Call, tmp_path: Path, command: str) -> None:
    for words, says in (
        ((), "Missing argument 'AGENT.toml'"),
        (("a", "b"), "unexpected extra argument"),
        (("a", "--x"), "--x"),
    ):
        done = smpdfu("agent", command, *words)
        assert (done.code, done.out) == (2, ""), done
        assert says in done.err
        assert "Traceback" not in done.err


# The options of publish beside the server, the exit code, and the words of the sentence.
PUBLISH: dict[str, tuple[tuple[str, ...], int, str]] = {
    "no package": (("missing.zip",), 3, "missing.zip: No such file or directory"),
    "a folder": ((".",), 3, "directory"),
    "no zip": (("text.zip",), 3, "text.zip"),
    "an empty file": (("empty.zip",), 3, "empty.zip"),
    "no hardware": (("=text.zip",), 2, "has no hardware before the ="),
    "no group": (("text.zip", "--groups", "0"), 2, "--groups"),
    "too many groups": (("text.zip", "--groups", "501"), 2, "--groups"),
    "no number": (("text.zip", "--groups", "many"), 2, "--groups"),
    "a share of 0": (("text.zip", "--success", "0"), 2, "--success"),
    "a share of 101": (("text.zip", "--error", "101"), 2, "--error"),
    "a missing file without a suffix": (("missing",), 3, "missing: No such file or directory"),
    "a wrong proxy": (("text.zip", "--proxy", "x"), 2, "the address of a proxy must be"),
    "no address": (("text.zip", "--server", "x"), 2, "the address of the server must be"),
    "a secret that is missing": (("text.zip", "--user", "u", "--password-file", "none"), 3, "none: No such file"),
    "a secret that is a folder": (("text.zip", "--user", "u", "--password-file", "."), 3, "directory"),
}


@pytest.mark.parametrize("as_json", [False, True], ids=["people", "json"])
@pytest.mark.parametrize(("options", "code", "words"), PUBLISH.values(), ids=list(PUBLISH))
def test_publish_with_what_cannot_be(
    smpdfu: Call,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    code: int,
    words: str,
    as_json: bool,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SMPDFU_TEST_PASSWORD", "admin")
    Path("text.zip").write_text("no zip")
    Path("empty.zip").touch()
    login = () if "--user" in options else ("--user", "u", "--password-env", "SMPDFU_TEST_PASSWORD")
    server = () if "--server" in options else ("--server", "https://127.0.0.1:9")
    told(smpdfu("publish", *options, *login, *server, *(("--json",) if as_json else ())), code, words, as_json=as_json)


@pytest.mark.skipif(os.name != "posix", reason="modes of files as POSIX has them")
def test_a_token_that_others_can_read(smpdfu: Call, tmp_path: Path) -> None:
    (tmp_path / "AGENT.toml").write_text(LEAST)
    token = tmp_path / "gateway.token"
    token.write_text("0123456789abcdef")
    token.chmod(0o644)
    for command in ("run", "once"):
        told(smpdfu("agent", command, tmp_path / "AGENT.toml"), 3, "other users can access", as_json=False)
