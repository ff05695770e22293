"""How the browser tests come to the page, find what it says, and paste into it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

PASTE = """(text) => {
    let at = document.activeElement;
    while (at.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
    const data = new DataTransfer();
    data.setData("text", text);
    at.dispatchEvent(new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true}));
}"""


def open_page(page: Page, address: str, file: str = "cells.h5ad") -> None:
    """Open a file and wait for its first picture."""
    page.goto(f"{address}/?file={file}")
    status(page).filter(has_text="in view").wait_for()


def status(page: Page) -> Locator:
    """Return the line under the picture."""
    return page.get_by_role("status", name="Status")


def cells(page: Page) -> Locator:
    """Return what says how many cells there are and are selected."""
    return page.get_by_role("status", name="Cells", exact=True)


def paste(page: Page, text: str) -> None:
    """Paste a text where the focus is."""
    page.evaluate(PASTE, text)
