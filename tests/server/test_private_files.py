"""Files that only their owner can read: where they lie, what they replace, and what becomes of those of others."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from cellasso.core.errors import CellassoError
from cellasso_app.server.private_files import PrivacyError, private_folder, write_private

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _places(tmp_path, monkeypatch):
    """The folders of a session, and of a user."""
    for name, folder in (("XDG_RUNTIME_DIR", "run"), ("XDG_STATE_HOME", "state")):
        (tmp_path / folder).mkdir(mode=0o700)
        monkeypatch.setenv(name, str(tmp_path / folder))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_private_file_takes_the_place_of_a_link_and_not_of_what_it_leads_to(tmp_path):
    victim, path = tmp_path / "victim", private_folder() / "5006.txt"
    victim.write_text("precious")
    path.symlink_to(victim)
    write_private(path, "secret")
    assert victim.read_text() == "precious"
    assert not path.is_symlink()
    assert (path.read_text(), mode(path)) == ("secret", 0o600)
    assert [each.name for each in path.parent.iterdir()] == ["5006.txt"]


def test_a_private_file_of_wider_mode_is_narrowed(tmp_path):
    path = tmp_path / "x"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert (path.read_text(), mode(path)) == ("new", 0o600)


def test_the_private_folder_is_the_sessions_else_the_users(tmp_path, monkeypatch):
    assert private_folder() == tmp_path / "run" / "cellasso"
    assert mode(private_folder()) == 0o700
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert private_folder() == tmp_path / "state" / "cellasso"


@pytest.mark.parametrize("spoil", ["others may enter", "others may put it elsewhere", "it is a link", "it is a file"])
def test_a_folder_that_others_could_use_is_not_used(tmp_path, spoil):
    folder = tmp_path / "run" / "cellasso"
    if spoil == "others may enter":
        folder.mkdir(mode=0o700)
        folder.chmod(0o755)
    elif spoil == "others may put it elsewhere":
        folder.parent.chmod(0o777)
    elif spoil == "it is a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        folder.write_text("")
    assert private_folder() == tmp_path / "state" / "cellasso"


def test_without_a_private_place_the_way_out_is_said(tmp_path):
    for folder in ("run", "state"):
        (tmp_path / folder / "cellasso").write_text("")
    with pytest.raises(PrivacyError, match=r"choose one with CELLASSO_TOKEN, or start in a terminal\.") as caught:
        private_folder()
    assert isinstance(caught.value, CellassoError)


def test_the_parents_of_the_private_folder_are_made_and_may_be_the_groups(tmp_path, monkeypatch):
    """As with the umask 002, with which each user has a group of their own."""
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "new" / "state"))
    before = os.umask(0o002)
    try:
        folder = private_folder()
    finally:
        os.umask(before)
    assert folder == tmp_path / "new" / "state" / "cellasso"
    assert (mode(folder), mode(folder.parent)) == (0o700, 0o775)


def test_what_cannot_be_written_leaves_nothing_and_is_one_sentence(tmp_path):
    (tmp_path / "x" / "inner").mkdir(parents=True)
    with pytest.raises(PrivacyError, match=r"x cannot be written \(Is a directory\)\.$") as caught:
        write_private(tmp_path / "x", "secret")
    assert "secret" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
