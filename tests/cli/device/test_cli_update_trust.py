"""``smpdfu update`` and ``upload``: who signed it, what is older, and a journal that is damaged."""

from __future__ import annotations

import os
from pathlib import Path

from smpdfu.dfu.do.journal.reading import journal_path
from smpdfu.dfu.package.images import Core
from smpdfu.image.keys.keys import generate
from tests.cli.device.conftest import Desk


def test_trust_and_downgrades(desk: Desk, tmp_path: Path) -> None:
    public = {}
    for name, key in (("ours", desk.key), ("foreign", generate("ecdsa-p256"))):
        public[name] = tmp_path / f"{name}.pem"
        public[name].write_bytes(key.public.to_pem())
    package, image = desk.package(cores=(Core.APP,)), desk.image()
    for command, file in (("update", package), ("upload", image)):
        said = desk.call(command, file, "--force", "--trust", public["foreign"]).refused(6)
        assert "is not signed with a trusted key" in said
        assert "nothing was written" in said
    assert not journal_path(desk.address).exists()
    older = desk.package(cores=(Core.APP,), version="0.9.0")
    desk.call("update", older, "--no-downgrade").refused(6)
    assert desk.slots() == [(0, "1.0.0", "active confirmed")]
    assert desk.call("update", desk.package(cores=(Core.APP,)), "--trust", public["ours"]).code == 0
    assert desk.slots()[0][1] == "2.0.0"


def test_a_damaged_journal_is_named_and_a_new_one_begins(desk: Desk) -> None:
    package = desk.package(cores=(Core.APP,))
    assert desk.call("update", package).code == 0
    path = journal_path(desk.address)
    path.write_bytes(b'{"update": "x", "time": 1e400}\n' + path.read_bytes())
    again = desk.call("update", package)
    assert again.code == 0, again.err
    assert f"line 1 of {path} is damaged; smpdfu ignores it" in again.err
    fresh = desk.call("update", package, "--new-journal")
    assert fresh.code == 0, fresh.err
    assert f"the old journal is now {path}.old-1" in fresh.err
    assert "is damaged" not in fresh.err
    assert desk.call("update", package, "--new-journal", "--resume").code == 2
    os.truncate(path, 17 << 20)
    refused = desk.call("update", package)
    assert "is larger than 16 MiB" in refused.refused(8)
    assert "--new-journal" in refused.err
    assert desk.call("update", package, "--new-journal").code == 0
