"""How the owner of a server gets in: what is printed, what is written, and who can read it."""

from __future__ import annotations

import io
import os
import stat
from typing import TYPE_CHECKING

import pytest
import tornado.process

from cellasso.errors import CellassoError
from cellasso_app import entrance
from cellasso_app.entrance import OPENING, Entrance, EntranceError, private_folder, shared_token, write_private

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TOKEN = "a-token-of-the-test"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Loop:
    """Keeps what was to be done later."""

    def __init__(self) -> None:
        self.later: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, seconds: float, callback: Callable[..., None], **options: object) -> None:
        self.later.append((seconds, lambda: callback(**options)))


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """A home folder, and the folders of a session."""
    for name, folder in (("HOME", "home"), ("XDG_RUNTIME_DIR", "run"), ("XDG_STATE_HOME", "state")):
        (tmp_path / folder).mkdir(mode=0o700)
        monkeypatch.setenv(name, str(tmp_path / folder))
    return tmp_path / "home"


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    """What a browser was told to open."""
    told: list[str] = []

    class Browser:
        def open(self, url: str) -> bool:
            told.append(url)
            return True

    monkeypatch.setattr(entrance, "get_browser_controller", Browser)
    return told


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# -- the address ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "path", "plain", "whole"),
    [
        ("127.0.0.1", "/", "http://127.0.0.1:5006", "http://127.0.0.1:5006/?token=a-token-of-the-test"),
        ("::1", "/", "http://[::1]:5006", "http://[::1]:5006/?token=a-token-of-the-test"),
        ("cells", "/main", "http://cells:5006/main", "http://cells:5006/main?token=a-token-of-the-test"),
    ],
)
def test_the_address_has_the_token_for_its_owner_alone(address, path, plain, whole):
    made = Entrance(address, 5006, TOKEN, path)
    assert made.announced(Terminal(), ".") == [f"cellasso is at {whole}."]
    first, second = made.announced(io.StringIO(), " (Ctrl-C stops it)")
    assert first == f"cellasso is at {plain} (Ctrl-C stops it)"
    assert TOKEN not in first + second
    written = private_folder() / "5006.txt"
    assert second == f"The whole address, with its token, is in {written}, which you alone can read."
    assert written.read_text() == f"{whole}\n"
    assert mode(written) == 0o600
    made.close()
    assert list(written.parent.iterdir()) == []


def test_without_a_token_nothing_is_written():
    made = Entrance("127.0.0.1", 5006)
    assert made.announced(io.StringIO()) == ["cellasso is at http://127.0.0.1:5006"]
    assert list(private_folder().iterdir()) == []


def test_a_token_is_written_as_addresses_have_it():
    assert Entrance("127.0.0.1", 5006, "a&b=c#d%").whole == "http://127.0.0.1:5006/?token=a%26b%3Dc%23d%25"


# -- the browser ------------------------------------------------------------------------------------------


def test_the_browser_is_given_a_file_that_its_owner_alone_can_read_for_a_minute(home, opened):
    loop, made = Loop(), Entrance("127.0.0.1", 5006, TOKEN)
    made.open_browser(loop)
    (path,) = home.iterdir()
    assert opened == [path.as_uri()]
    assert TOKEN not in opened[0]
    assert mode(path) == 0o600
    assert not path.name.startswith(".")  # a snap's browser sees no hidden files
    text = path.read_text()
    assert 'content="0; url=http://127.0.0.1:5006/?token=a-token-of-the-test"' in text
    ((seconds, remove),) = loop.later
    assert seconds == OPENING
    remove()
    assert list(home.iterdir()) == []
    remove()
    made.close()


def test_what_a_browser_was_given_is_gone_when_the_server_is(home, opened):
    made = Entrance("127.0.0.1", 5006, TOKEN)
    made.open_browser(Loop())
    made.close()
    assert list(home.iterdir()) == []


def test_without_a_token_the_browser_is_given_the_address(home, opened):
    Entrance("127.0.0.1", 5006).open_browser(Loop())
    assert opened == ["http://127.0.0.1:5006"]
    assert list(home.iterdir()) == []


def test_no_browser_is_no_mistake(home, monkeypatch):
    def fail() -> None:
        raise RuntimeError("no browser")

    monkeypatch.setattr(entrance, "get_browser_controller", fail)
    Entrance("127.0.0.1", 5006, TOKEN).open_browser(Loop())


# -- private places ---------------------------------------------------------------------------------------


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
    with pytest.raises(EntranceError, match=r"choose one with CELLASSO_TOKEN, or start in a terminal\.") as caught:
        Entrance("127.0.0.1", 5006, TOKEN).announced(io.StringIO())
    assert isinstance(caught.value, CellassoError)
    assert TOKEN not in str(caught.value)


# -- several processes ------------------------------------------------------------------------------------


def test_processes_of_one_server_share_a_token(monkeypatch):
    assert shared_token(5006)[0] != shared_token(5006)[0]
    monkeypatch.setattr(entrance, "task_id", lambda: 0)
    token, is_first = shared_token(5006)
    assert is_first
    assert len(token) > 30
    assert [shared_token(5006) for _ in range(3)] == [(token, False)] * 3
    assert shared_token(5007) != (token, True)
    kept = private_folder() / f"{os.getppid()}-5006.token"
    assert (kept.read_text(), mode(kept)) == (token, 0o600)
    assert {path.name for path in private_folder().iterdir()} == {kept.name, f"{os.getppid()}-5007.token"}
    assert tornado.process.task_id() is None


def test_tokens_of_servers_that_are_gone_are_swept(monkeypatch):
    monkeypatch.setattr(entrance, "task_id", lambda: 0)
    old, odd = private_folder() / f"{2**22 + 1}-5006.token", private_folder() / "odd.token"
    for path in (old, odd):
        path.write_text("old")
    shared_token(5006)
    assert not old.exists()
    assert not odd.exists()
