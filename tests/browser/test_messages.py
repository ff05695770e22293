"""What the server tells a page arrives, in the order it was told, whatever else is written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from served import served

if TYPE_CHECKING:
    from playwright.sync_api import Page


pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


def test_the_last_word_arrives_while_the_socket_is_written_to(page: Page, tmp_path: Path) -> None:
    command = [sys.executable, str(Path(__file__).with_name("busy_page.py"))]
    with served(command, tmp_path / "log", has_token=False) as address:
        page.goto(address)
        outcome = page.get_by_role("status", name="Export", exact=True)
        for n in range(1, 13):
            page.get_by_role("button", name="Invert").dispatch_event("click")
            outcome.filter(has_text=f"{n} cells written to").wait_for()
