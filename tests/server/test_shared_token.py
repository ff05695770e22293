"""One token for the processes of a server: made up once, gone with the last of them."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from cellasso_app.server import shared_token as sharing
from cellasso_app.server.private_files import PrivacyError, private_folder
from cellasso_app.server.shared_token import shared_token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(autouse=True)
def ends(tmp_path, monkeypatch) -> Iterator[list[Callable[[], None]]]:
    """A place for tokens, and what a process does at its end."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    registered: list[Callable[[], None]] = []
    monkeypatch.setattr(sharing.atexit, "register", lambda job, *about: registered.append(lambda: job(*about)))
    yield registered
    for end in registered:
        end()


@pytest.fixture
def several(monkeypatch) -> None:
    """As in one of several processes."""
    monkeypatch.setattr(sharing, "task_id", lambda: 0)


def test_a_server_of_one_process_makes_up_its_own_and_writes_nothing():
    assert shared_token(5006)[0] != shared_token(5006)[0]
    assert list(private_folder().iterdir()) == []


@pytest.mark.usefixtures("several")
def test_processes_of_one_server_share_a_token_until_the_last_one_ends(ends):
    token, is_first = shared_token(5006)
    assert is_first
    assert len(token) > 30
    assert [shared_token(5006) for _ in range(3)] == [(token, False)] * 3
    other, is_first = shared_token(5007)
    assert is_first
    assert other != token
    name = f"{socket.gethostname()}-{os.getppid()}"
    kept = private_folder() / f"{name}-5006.token"
    assert (kept.read_text(), stat.S_IMODE(kept.stat().st_mode)) == (token, 0o600)
    assert {path.name for path in private_folder().iterdir()} == {kept.name, f"{name}-5007.token"}
    for left in (3, 2, 1):
        ends.pop(0)()
        assert kept.exists(), left
    ends.pop(0)()
    assert not kept.exists()


@pytest.mark.usefixtures("several")
def test_tokens_of_servers_that_are_gone_are_swept_and_those_of_others_left(tmp_path):
    old = private_folder() / "gone-1-5006.token"
    old.write_text("old")
    code = (
        "import sys; from cellasso_app.server import shared_token as sharing; sharing.task_id = lambda: 0;"
        "print(sharing.shared_token(5008), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        theirs = private_folder() / f"{socket.gethostname()}-{os.getpid()}-5008.token"
        shared_token(5006)
        assert theirs.exists()
        other.kill()
    shared_token(5007)
    assert not theirs.exists()
    assert not old.exists()


@pytest.mark.usefixtures("several")
def test_a_link_in_its_place_is_not_followed(tmp_path):
    folder = private_folder()
    secret = tmp_path / "secret"
    secret.write_text("known to somebody")
    path = folder / f"{socket.gethostname()}-{os.getppid()}-5006.token"
    path.symlink_to(secret)
    with pytest.raises(PrivacyError, match=r"5006\.token cannot be used \(Too many levels of symbolic links\)\.$"):
        shared_token(5006)
    assert [each.name for each in folder.iterdir()] == [path.name]
