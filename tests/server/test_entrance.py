"""How the owner of a server gets in: what is printed, what is written, and who can read it."""

from __future__ import annotations

import io
import socket
import stat
from typing import TYPE_CHECKING

import pytest

from cellasso_app.server import entrance
from cellasso_app.server.entrance import OPENING, Entrance
from cellasso_app.server.private_files import PrivacyError, private_folder

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
    written = private_folder() / f"{socket.gethostname()}-5006.txt"
    assert second == f"The whole address, with its token, is in {written}, which you alone can read."
    assert written.read_text() == f"{whole}\n"
    assert mode(written) == 0o600
    made.close()
    assert list(written.parent.iterdir()) == []


def test_where_no_place_is_private_the_way_out_is_said_and_one_who_chose_the_token_needs_none(tmp_path):
    for folder in ("run", "state"):
        (tmp_path / folder / "cellasso").write_text("")
    with pytest.raises(PrivacyError, match=r"choose one with CELLASSO_TOKEN, or start in a terminal\.") as caught:
        Entrance("127.0.0.1", 5006, TOKEN).announced(io.StringIO())
    assert TOKEN not in str(caught.value)
    assert Entrance("127.0.0.1", 5006, TOKEN, is_chosen=True).announced(io.StringIO()) == [
        "cellasso is at http://127.0.0.1:5006",
        "Add ?token= and the token that you chose to open it.",
    ]


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
    made = Entrance("127.0.0.1", 5006, TOKEN)
    made.open_browser(Loop())
    made.close()
    assert list(home.iterdir()) == []


def test_a_home_folder_that_cannot_be_written_to_is_no_mistake(home, opened, monkeypatch):
    def fail(*_arguments: object) -> None:
        raise PrivacyError("the disk is full")

    monkeypatch.setattr(entrance, "write_private", fail)
    Entrance("127.0.0.1", 5006, TOKEN).open_browser(Loop())
    assert opened == []
