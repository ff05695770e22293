"""An explorer in somebody's own Panel app: whole, and it leaves the rest of that page alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from explorer_page import cells, status
from served import served

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Locator, Page

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

BORDER = "(node) => getComputedStyle(node).borderTopColor"


@pytest.fixture(scope="module")
def own(folder: Path) -> Iterator[str]:
    """The app's address."""
    command = [sys.executable, str(Path(__file__).with_name("own_page.py")), str(folder / "cells.h5ad")]
    with served(command, folder / "own.log", has_token=False) as address:
        yield address


def open_own(page: Page, address: str) -> Locator:
    """Open the app and return the explorer's outermost element."""
    page.goto(address)
    status(page).filter(has_text="in view").wait_for(timeout=120_000)  # the first one on a machine compiles
    return page.locator(".cellasso")


def theme(page: Page) -> str | None:
    return page.locator(".cellasso").get_attribute("data-theme")


def test_an_explorer_in_an_own_page_is_whole(page: Page, own: str) -> None:
    root = open_own(page, own).bounding_box()
    assert page.get_by_role("heading", name="mine").bounding_box()["y"] < root["y"]
    assert root["height"] == 720
    assert root["width"] > 1300
    for name in ("Cells", "Genes", "Dotplot", "Selection"):
        box = page.get_by_role("region", name=name, exact=True).bounding_box()
        assert box["width"] >= 240, name
        assert box["height"] >= 40, name
        assert root["x"] <= box["x"] <= box["x"] + box["width"] <= root["x"] + root["width"] + 1, name
        assert root["y"] <= box["y"] <= box["y"] + box["height"] <= root["y"] + root["height"] + 1, name
    assert page.get_by_role("application", name="Embedding").bounding_box()["height"] > 500
    assert page.get_by_role("combobox", name="Find a gene").evaluate(BORDER) == "rgb(227, 230, 234)"


def test_the_keys_are_those_of_the_explorer_only_while_it_has_the_keyboard(page: Page, own: str) -> None:
    open_own(page, own)
    page.get_by_role("button", name="B, ").first.click()
    cells(page).filter(has_text="selected").wait_for()
    page.get_by_role("heading", name="mine").click()
    note = page.get_by_label("Note")
    note.click()
    note.press_sequentially("d[i?")
    note.press("Escape")
    assert note.input_value() == "d[i?"
    note.blur()
    for key in ("d", "[", "i", "l", "Escape", "Control+z"):
        page.keyboard.press(key)
    page.wait_for_timeout(300)
    assert theme(page) == "light"
    assert "selected" in cells(page).inner_text()
    assert page.get_by_role("dialog").count() == 0
    assert page.get_by_role("region", name="Cells", exact=True).is_visible()
    assert page.get_by_role("button", name="Lasso").get_attribute("aria-pressed") == "false"
    plot = page.get_by_role("application", name="Embedding").bounding_box()
    page.mouse.click(plot["x"] + 5, plot["y"] + 5)
    page.keyboard.press("d")
    assert theme(page) == "dark"
    page.keyboard.press("l")
    assert page.get_by_role("button", name="Lasso").get_attribute("aria-pressed") == "true"
    page.keyboard.press("Escape")
    cells(page).filter(has_not_text="selected").wait_for()


def test_what_is_around_the_explorer_keeps_its_looks(page: Page, own: str) -> None:
    open_own(page, own)
    page.get_by_role("button", name="Dark theme").click()
    assert theme(page) == "dark"
    assert page.locator("html").get_attribute("data-theme") is None
    assert page.locator("body").evaluate("(body) => getComputedStyle(body).overflow") == "visible"
    page.get_by_role("button", name="Columns panel").click()
    page.get_by_role("region", name="Cells", exact=True).wait_for(state="hidden")
