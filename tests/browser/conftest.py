"""A real Chromium, and the explorer as users start it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from benchmarks.browsing import FLAGS, NO_CHROMIUM, find_chromium
from served import served, write_h5ad, write_h5mu

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from served import Address


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests in the browser a second chance where something did not come in time.

    Beside other work a page, a server and a pointer may take longer than any patience; what is broken fails twice.
    """
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.flaky(reruns=1, only_rerun=["TimeoutError"]))


# of the module, not the session: Playwright keeps an event loop running, beside which a worker can start no server
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = find_chromium()
    if chromium is None:
        pytest.skip(NO_CHROMIUM)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    """A fresh page, let in by the test's server; it fails when it asks anything of another machine, or by a script."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True, color_scheme="light")
    page = context.new_page()
    outside: list[str] = []
    errors: list[str] = []
    page.on(
        "request", lambda r: None if r.url.startswith(("http://127.0.0.1", "blob:", "data:")) else outside.append(r.url)
    )
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_default_timeout(30_000)
    if "server" in request.fixturenames:
        context.request.get(request.getfixturevalue("server").whole)
    yield page
    context.close()
    assert not outside
    assert not errors


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that are served, and an empty folder for exports."""
    folder = tmp_path_factory.mktemp("served")
    write_h5ad(folder / "cells.h5ad")
    write_h5mu(folder / "cells.h5mu")
    plain = ad.AnnData(
        np.ones((20, 2), dtype=np.float32),
        obs=pd.DataFrame({"batch": pd.Categorical(["a", "b"] * 10)}, index=map(str, range(20))),
    )
    plain.write_h5ad(folder / "plain.h5ad")
    write_tissue(folder / "tissue.h5ad")
    write_crowded(folder / "crowded.h5ad")
    (folder / "exports").mkdir()
    return folder


def write_tissue(path: Path) -> None:
    """Places in an image, more than come as dots: blue near its upper edge, red near the lower one.

    The image ends beyond them at the right and below, green above and yellow below, transparent in a corner.
    """
    points = np.random.default_rng(0).random((60_000, 2)) * [2000, 1000]
    zones = pd.Categorical(np.where(points[:, 1] < 500, "upper", "lower"), categories=["upper", "lower"])
    obs = pd.DataFrame({"zone": zones}, index=[f"spot-{i}" for i in range(len(points))])
    tissue = ad.AnnData(np.ones((len(points), 1), dtype=np.float32), obs=obs)
    tissue.obsm["spatial"] = points
    tissue.uns["zone_colors"] = ["#0000ff", "#ff0000"]
    image = np.full((120, 240, 4), (10, 200, 10, 255), dtype=np.uint8)
    image[50:, :, 0] = 200
    image[-1, -1, 3] = 0
    tissue.uns["spatial"] = {"one": {"images": {"hires": image}, "scalefactors": {"tissue_hires_scalef": 0.1}}}
    tissue.write_h5ad(path)


def write_crowded(path: Path) -> None:
    """Twenty-four clouds with long names, of which all but the last are of one site, and a dozen genes."""
    rng = np.random.default_rng(3)
    group = np.arange(960) % 24
    names = [f"CD8-positive, alpha-beta T cell {i:02}" for i in range(24)]
    sites = pd.Categorical(np.where(group == 23, "skin", "blood"))
    obs = pd.DataFrame(
        {"cell_type": pd.Categorical.from_codes(group, names), "site": sites}, index=[f"cell-{i}" for i in range(960)]
    )
    X = rng.poisson(1 + group[:, None] % 5, (960, 12)).astype(np.float32)
    crowded = ad.AnnData(np.log1p(X), obs=obs, var=pd.DataFrame(index=[f"GENE{i}" for i in range(12)]))
    crowded.obsm["X_umap"] = np.stack([group % 6, group // 6], axis=1) * 10 + rng.normal(size=(960, 2))
    crowded.write_h5ad(path)


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Address]:
    """`cellasso serve` on the five files."""
    command = [sys.executable, "-c", "import sys; from cellasso_app.cli.main import main; sys.exit(main())", "serve"]
    files = [str(folder / name) for name in ("cells.h5ad", "cells.h5mu", "plain.h5ad", "tissue.h5ad", "crowded.h5ad")]
    options = ["--no-browser", "--export-dir", str(folder / "exports")]
    with served([*command, *files, *options], folder / "server.log") as address:
        yield address
