"""The explorer as a user drives it: a real pointer in a real Chromium over a real server."""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import anndata as ad
import mudata as md
import numpy as np
import pandas as pd
import pytest
from matplotlib.path import Path as Polygon

import cellasso
from cellasso.selection.recipe import load
from explorer_page import cells, open_page, paste, status
from served import HOSTILE, ROOT, served

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = [
    pytest.mark.browser,
    # all on one worker: they share the server
    pytest.mark.xdist_group("browser"),
    pytest.mark.filterwarnings("ignore::FutureWarning:(anndata|mudata)"),
]


WIDTH = "Bokeh.documents.map((d) => d.get_model_by_name('view0')).find((f) => f).inner_width"


def plot(page: Page) -> Locator:
    return page.get_by_role("application", name="Embedding")


def view(page: Page) -> dict[str, float]:
    """What the plot shows, and where on the screen: from Bokeh and the browser, not from our code."""
    box = plot(page).bounding_box()
    ranges = page.evaluate(
        """() => {
            const figure = Bokeh.documents.map((d) => d.get_model_by_name("view0")).find((f) => f);
            const {left, top, width, height} = Bokeh.index.find_one(figure).frame.bbox;  // within its axes
            return {x0: figure.x_range.start, x1: figure.x_range.end, y0: figure.y_range.start, y1: figure.y_range.end,
                    left, top, width, height};
        }"""
    )
    return {**ranges, "x": box["x"] + ranges["left"], "y": box["y"] + ranges["top"]}


def stroke(page: Page, points: list[tuple[float, float]], rest: float = 0.0) -> np.ndarray:
    """Drag along points of the screen, after a rest of some ms; return them in data units, by the plot's ranges."""
    now = view(page)
    page.mouse.move(*points[0])
    page.mouse.down()
    page.wait_for_timeout(rest)
    for point in points[1:]:
        page.mouse.move(*point)
    page.mouse.up()
    return np.array(
        [
            (
                now["x0"] + (x - now["x"]) / now["width"] * (now["x1"] - now["x0"]),
                now["y1"] - (y - now["y"]) / now["height"] * (now["y1"] - now["y0"]),
            )
            for x, y in points
        ]
    )


def circle(page: Page, at: tuple[float, float], radius: float) -> list[tuple[float, float]]:
    """A wobbly circle on the screen, at a place given as parts of the plot."""
    box = plot(page).bounding_box()
    x, y = box["x"] + at[0] * box["width"], box["y"] + at[1] * box["height"]
    return [
        (
            round(x + radius * (1 + 0.2 * math.sin(3 * a)) * math.cos(a)),
            round(y + radius * (1 + 0.2 * math.sin(3 * a)) * math.sin(a)),
        )
        for a in np.linspace(0, 2 * math.pi, 40, endpoint=False)
    ]


def lasso(page: Page, at: tuple[float, float] = (0.5, 0.5), radius: float = 180.0) -> np.ndarray:
    page.get_by_role("button", name="Lasso").click()
    polygon = stroke(page, circle(page, at, radius))
    cells(page).filter(has_text="selected").wait_for()
    return polygon


def export(page: Page, name: str) -> Path:
    page.get_by_role("textbox", name="File name of the export").fill(name)
    page.get_by_role("button", name="Export subset").click()
    outcome = page.get_by_role("status", name="Export", exact=True)
    outcome.filter(has_text="written to").wait_for(timeout=60_000)
    return Path(re.search(r"written to (\S+)", outcome.inner_text()).group(1))


def selected(page: Page) -> int:
    return int(re.match(r"([\d,]+) of", cells(page).inner_text()).group(1).replace(",", ""))


def test_lassoed_cells_are_exactly_those_in_the_exported_h5ad(page: Page, server: str, folder: Path) -> None:
    open_page(page, server)
    polygon = lasso(page)
    path = export(page, "lassoed.h5ad")
    assert path == folder / "exports" / "lassoed.h5ad"

    source, exported = ad.read_h5ad(folder / "cells.h5ad"), ad.read_h5ad(path)
    inside = Polygon(polygon).contains_points(source.obsm["X_umap"])
    assert 0 < inside.sum() < source.n_obs
    assert list(exported.obs_names) == list(source.obs_names[inside])
    assert selected(page) == inside.sum()
    np.testing.assert_array_equal(exported.X.toarray(), source.X[inside].toarray())
    np.testing.assert_array_equal(exported.layers["counts"].toarray(), source.layers["counts"][inside].toarray())
    assert exported.raw.shape == (inside.sum(), source.raw.n_vars)
    recipe = json.loads(exported.uns["cellasso"]["recipe"])
    np.testing.assert_allclose(recipe["lasso"]["polygon"], polygon, rtol=1e-6)


def test_a_lasso_may_begin_with_a_rest(page: Page, server: str) -> None:
    open_page(page, server)
    page.get_by_role("button", name="Lasso").click()
    stroke(page, circle(page, (0.5, 0.5), 180), rest=600)
    cells(page).filter(has_text="selected").wait_for()
    assert selected(page) > 0


def test_lassoed_cells_are_exactly_those_in_the_exported_h5mu(page: Page, server: str, folder: Path) -> None:
    open_page(page, server, "cells.h5mu")
    polygon = lasso(page)
    exported, source = md.read_h5mu(export(page, "lassoed.h5mu")), md.read_h5mu(folder / "cells.h5mu")
    inside = Polygon(polygon).contains_points(source["rna"].obsm["X_umap"])
    chosen = set(source["rna"].obs_names[inside])
    assert 0 < len(chosen) < source.n_obs
    expected = source[source.obs_names.isin(chosen)].copy()
    assert list(exported.obs_names) == [cell for cell in source.obs_names if cell in chosen]
    for name in ("rna", "prot"):
        assert list(exported[name].obs_names) == list(expected[name].obs_names)
        assert set(exported[name].obs_names) == chosen & set(source[name].obs_names)
    assert exported["prot"].n_obs < exported["rna"].n_obs


def test_gene_colours_the_cells_and_the_screen_says_from_which_matrix(page: Page, server: str) -> None:
    open_page(page, server)
    before = plot(page).screenshot()
    search = page.get_by_role("combobox", name="Find a gene")
    search.fill("ms4")
    page.get_by_role("option", name="MS4A1").wait_for()
    search.press("Enter")
    colored = page.get_by_role("status", name="Coloured by")
    colored.filter(has_text="MS4A1 · X, as stored").wait_for()
    status(page).filter(has_text="highest value on top").wait_for()
    assert plot(page).screenshot() != before
    page.get_by_role("combobox", name="Matrix").select_option("counts")
    colored.filter(has_text="MS4A1 · counts, log1p of counts per 10,000").wait_for()
    page.get_by_role("combobox", name="Values").select_option("counts")
    colored.filter(has_text="MS4A1 · counts, raw counts").wait_for()
    page.get_by_role("img", name="Dotplot").wait_for()
    page.get_by_role("button", name="Remove MS4A1").click()
    colored.filter(has_text="cell_type").wait_for()


def test_feature_of_another_modality_colours_the_embedding(page: Page, server: str) -> None:
    open_page(page, server, "cells.h5mu")
    page.get_by_role("combobox", name="Modality").select_option("prot")
    search = page.get_by_role("combobox", name="Find a gene")
    search.fill("cd19")
    page.get_by_role("option", name="CD19-TotalSeq").click()
    page.get_by_role("status", name="Coloured by").filter(has_text="prot:CD19-TotalSeq").wait_for()


def test_legend_selects_shift_adds_escape_clears_and_undo_brings_back(page: Page, server: str) -> None:
    open_page(page, server)
    legend = page.get_by_role("group", name="Legend of cell_type")
    legend.get_by_role("button", name=re.compile("^CD4 T,")).click()
    cells(page).filter(has_text="selected").wait_for()
    first = selected(page)
    legend.get_by_role("button", name=re.compile("^B,")).click(modifiers=["Shift"])
    cells(page).filter(has_not_text=f"{first:,} of").wait_for()
    assert selected(page) > first
    page.keyboard.press("Escape")
    cells(page).filter(has_not_text="selected").wait_for()
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    cells(page).filter(has_text=f"{first:,} of").wait_for()


def test_shift_adds_a_box_and_alt_subtracts_a_lasso(page: Page, server: str) -> None:
    open_page(page, server)
    lasso(page, (0.3, 0.7), 120)
    one = selected(page)
    page.get_by_role("button", name="Box", exact=True).click()
    box = plot(page).bounding_box()
    page.keyboard.down("Shift")
    stroke(
        page,
        [
            (box["x"] + 2, box["y"] + 2),
            (box["x"] + 200, box["y"] + 300),
            (box["x"] + box["width"] - 2, box["y"] + box["height"] - 2),
        ],
    )
    page.keyboard.up("Shift")
    cells(page).filter(has_text="900 of 900").wait_for()
    page.get_by_role("button", name="Lasso").click()
    page.keyboard.down("Alt")
    stroke(page, circle(page, (0.3, 0.7), 120))
    page.keyboard.up("Alt")
    cells(page).filter(has_text=f"{900 - one:,} of").wait_for()


def test_download_is_the_exported_file(page: Page, server: str, tmp_path: Path) -> None:
    open_page(page, server)
    page.get_by_role("button", name=re.compile("^CD4 T,")).click()
    cells(page).filter(has_text="selected").wait_for()
    path = export(page, "to_download")
    assert path.name == "to_download.h5ad"
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    download.value.save_as(tmp_path / "downloaded")
    assert (tmp_path / "downloaded").read_bytes() == path.read_bytes()


def test_export_refuses_names_that_leave_the_folder_and_files_that_exist(page: Page, server: str, folder: Path) -> None:
    open_page(page, server)
    page.get_by_role("button", name=re.compile("^CD4 T,")).click()
    cells(page).filter(has_text="selected").wait_for()
    (folder / "exports" / "taken.h5ad").write_bytes(b"mine")
    name, outcome = (
        page.get_by_role("textbox", name="File name of the export"),
        page.get_by_role("status", name="Export", exact=True),
    )
    for typed, sentence in (("../out.h5ad", "not a plain file name"), ("taken.h5ad", "exists")):
        name.fill(typed)
        page.get_by_role("button", name="Export subset").click()
        outcome.filter(has_text=sentence).wait_for()
    assert (folder / "exports" / "taken.h5ad").read_bytes() == b"mine"
    assert not (folder / "out.h5ad").exists()


def test_table_of_the_selected_cells_is_what_pandas_makes_of_anndata(page: Page, server: str, folder: Path) -> None:
    open_page(page, server)
    search = page.get_by_role("combobox", name="Find a gene")
    for gene in ("MS4A1", "LYZ"):
        search.fill(gene)
        page.get_by_role("option", name=gene).wait_for()
        search.press("Enter")
        page.get_by_role("button", name=f"Colour by {gene}").wait_for()
    page.get_by_role("button", name="Colour by cell_type").click()
    legend = page.get_by_role("group", name="Legend of cell_type")
    legend.get_by_role("button", name=re.compile("^CD4 T,")).click()
    cells(page).filter(has_text="selected").wait_for()
    legend.get_by_role("button", name=f"{HOSTILE}, ").click(modifiers=["Shift"])
    page.get_by_role("combobox", name="Format").select_option("csv")
    page.get_by_text("obs and 2 genes from X").wait_for()
    name = page.get_by_role("textbox", name="File name of the export")
    assert name.input_value() == "cells_subset.csv"
    path = export(page, "table.csv")

    source = ad.read_h5ad(folder / "cells.h5ad")
    chosen = source[source.obs["cell_type"].isin(["CD4 T", HOSTILE])]
    expected = chosen.obs.join(chosen.to_df()[["MS4A1", "LYZ"]])
    found = pd.read_csv(path, index_col=0, dtype={"cell_type": expected["cell_type"].dtype})
    pd.testing.assert_frame_equal(found, expected, check_names=False, check_dtype=False, rtol=1e-6)


def test_file_that_exists_is_replaced_only_when_the_user_says_so(page: Page, server: str, folder: Path) -> None:
    open_page(page, server)
    page.get_by_role("button", name=re.compile("^CD4 T,")).click()
    cells(page).filter(has_text="selected").wait_for()
    target = folder / "exports" / "asked.txt"
    target.write_text("mine")
    page.get_by_role("combobox", name="Format").select_option("txt")
    page.get_by_text("Names of the cells").wait_for()
    page.get_by_role("textbox", name="File name of the export").fill("asked.txt")
    outcome = page.get_by_role("status", name="Export", exact=True)
    for answer in ("Cancel", "Replace"):
        assert target.read_text() == "mine"
        page.get_by_role("button", name="Export subset").click()
        outcome.filter(has_text="asked.txt exists already. Replace it?").wait_for()
        outcome.get_by_role("button", name=answer).click()
    outcome.filter(has_text="written to").wait_for()
    assert len(target.read_text().splitlines()) == selected(page)


def test_names_from_the_file_are_text_never_html(page: Page, server: str) -> None:
    open_page(page, server)
    search = page.get_by_role("combobox", name="Find a gene")
    search.fill("<img")
    page.get_by_role("option", name=HOSTILE).wait_for()
    search.press("Enter")
    page.get_by_role("button", name=f"Colour by {HOSTILE}").wait_for()
    drawn = page.get_by_role("img", name="Dotplot")
    drawn.wait_for()
    box = drawn.bounding_box()
    for part in (0.3, 0.5, 0.7, 0.9):  # over the dots: tooltips
        page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + part * box["height"] / 2)
        page.wait_for_timeout(100)
    page.get_by_role("button", name="Colour by cell_type").click()
    page.get_by_role("group", name="Legend of cell_type").get_by_role("button", name=f"{HOSTILE}, ").click()
    page.get_by_role("list", name="Composition").get_by_text(HOSTILE).wait_for()
    assert "pwned" not in page.title()


def test_file_without_an_embedding_says_so_and_shows_the_rest(page: Page, server: str) -> None:
    page.goto(f"{server}/?file=plain.h5ad")
    status(page).filter(has_text="no embedding").wait_for()
    page.get_by_role("group", name="Legend of batch").get_by_role("button", name=re.compile("^a, 10 cells")).click()
    cells(page).filter(has_text="10 of 20 cells selected").wait_for()


def test_tools_without_an_embedding_are_disabled_and_say_why(page: Page, server: str) -> None:
    page.goto(f"{server}/?file=plain.h5ad")
    status(page).filter(has_text="no embedding").wait_for()
    for name in ("Pan", "Lasso", "Box", "Zoom in", "Zoom out", "Fit all cells"):
        button = page.get_by_role("button", name=name, exact=True)
        assert button.is_disabled()
        assert button.get_attribute("title") == "This file has no embedding to draw"
    page.keyboard.press("l")
    assert page.get_by_role("button", name="Lasso").get_attribute("aria-pressed") == "false"
    armed = page.evaluate("Bokeh.documents.map((d) => d.get_model_by_name('tool-lasso')?.active)")
    assert True not in armed


def focused(page: Page) -> str | None:
    """The name of the control that has the keyboard, through all shadow roots."""
    return page.evaluate(
        """() => {
            let at = document.activeElement;
            while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
            return at?.getAttribute("aria-label") ?? at?.localName;
        }"""
    )


def wait_for_focus(page: Page, name: str) -> None:
    for _ in range(100):
        if focused(page) == name:
            return
        page.wait_for_timeout(50)
    assert focused(page) == name


def test_the_keyboard_stays_where_it_was_when_lists_are_rebuilt(page: Page, server: str) -> None:
    open_page(page, server)
    column = page.get_by_role("button", name="Colour by n_counts")
    column.focus()
    column.press("Enter")
    page.get_by_role("img", name="Histogram of n_counts").wait_for()
    wait_for_focus(page, "Colour by n_counts")
    search = page.get_by_role("combobox", name="Find a gene")
    for gene in ("CD4", "LYZ"):
        search.fill(gene)
        page.get_by_role("option", name=gene, exact=True).wait_for()
        search.press("Enter")
        page.get_by_role("button", name=f"Remove {gene}").wait_for()
    remove = page.get_by_role("button", name="Remove CD4")
    remove.focus()
    remove.press("Enter")
    remove.wait_for(state="detached")
    wait_for_focus(page, "Remove LYZ")
    page.keyboard.press("Enter")
    wait_for_focus(page, "Find a gene")
    page.get_by_role("button", name="Colour by cell_type").click()
    page.get_by_role("button", name=re.compile("^CD4 T,")).click()
    cells(page).filter(has_text="selected").wait_for()
    clear = page.get_by_role("button", name="Clear")
    clear.focus()
    clear.press("Enter")
    cells(page).filter(has_not_text="selected").wait_for()
    wait_for_focus(page, "Selection")


def test_a_pasted_list_of_genes_is_added_and_what_is_not_found_is_named(page: Page, server: str) -> None:
    open_page(page, server)
    search = page.get_by_role("combobox", name="Find a gene")
    search.focus()
    paste(page, "CD4\nNKG7\nNOT_A_GENE\n")
    page.get_by_role("alert").filter(has_text="1 of 3 genes was not found: NOT_A_GENE.").wait_for()
    for gene in ("CD4", "NKG7"):
        page.get_by_role("button", name=f"Remove {gene}").wait_for()
    search.fill("LYZ, GNLY")
    search.press("Enter")
    for gene in ("LYZ", "GNLY"):
        page.get_by_role("button", name=f"Remove {gene}").wait_for()


@pytest.mark.parametrize("size", [(1024, 768), (1280, 720), (1920, 1080)], ids=str)
def test_the_embedding_has_most_of_the_room_and_nothing_reaches_out_of_the_window(
    page: Page, server: str, size
) -> None:
    width, height = size
    page.set_viewport_size({"width": width, "height": height})
    open_page(page, server)
    assert plot(page).bounding_box()["width"] >= 0.5 * width
    for name in ("Export subset", "Keys", "Fit all cells", "Colour by is_doublet"):
        box = page.get_by_role("button", name=name, exact=True).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert box["y"] + box["height"] <= height


GENES_12 = ", ".join(f"GENE{i}" for i in range(12))


def add_genes(page: Page, typed: str, last: str) -> None:
    search = page.get_by_role("combobox", name="Find a gene")
    search.fill(typed)
    search.press("Enter")
    page.get_by_role("button", name=f"Remove {last}", exact=True).wait_for()
    page.get_by_role("img", name="Area of a dot: fraction of cells above 0").wait_for()


def seen(page: Page, inner: Locator) -> dict[str, float]:
    """The part of something that is on the screen: of all that it scrolls in, what is left."""
    return inner.evaluate(
        """(node) => {
            let {left, top, right, bottom} = node.getBoundingClientRect();
            for (let at = node; at; at = at.assignedSlot ?? at.parentNode ?? at.host) {
                if (!(at instanceof Element) || getComputedStyle(at).overflowY === "visible") continue;
                const box = at.getBoundingClientRect();
                [left, top] = [Math.max(left, box.left), Math.max(top, box.top)];
                [right, bottom] = [Math.min(right, box.right), Math.min(bottom, box.bottom)];
            }
            return {top, height: bottom - top, width: right - left};
        }"""
    )


@pytest.mark.parametrize(
    ("file", "size"),
    [*(("crowded.h5ad", size) for size in ((1280, 720), (1366, 768), (1920, 1080))), ("cells.h5ad", (1280, 720))],
    ids=str,
)
def test_a_selection_takes_no_room_from_the_dotplot_or_the_embedding(page: Page, server: str, size, file) -> None:
    width, height = size
    page.set_viewport_size({"width": width, "height": height})
    open_page(page, server, file)
    genes = GENES_12 if file == "crowded.h5ad" else "CD4, LYZ, NKG7"
    add_genes(page, genes, genes.rpartition(" ")[2])
    dots, export = page.get_by_role("img", name="Dotplot"), page.get_by_role("button", name="Export subset")
    page.wait_for_function("() => Bokeh.documents.length > 0")
    page.wait_for_timeout(500)  # laid out
    before, plotted, whole = seen(page, dots), plot(page).bounding_box(), dots.bounding_box()
    assert before["height"] >= (160 if file == "crowded.h5ad" else 110)
    lasso(page, radius=150)
    page.get_by_role("list", name="Composition").get_by_role("listitem").first.wait_for()
    page.wait_for_timeout(300)
    assert seen(page, dots) == before
    assert dots.bounding_box() == whole  # not respaced either
    assert plot(page).bounding_box() == plotted
    listed = page.get_by_role("list", name="Composition")
    assert seen(page, listed)["height"] >= 60  # three rows
    box = export.bounding_box()
    assert box["y"] + box["height"] <= height
    page.get_by_role("textbox", name="File name of the export").fill(f"room_{width}_{file}")
    export.click()
    page.get_by_role("status", name="Export", exact=True).filter(has_text="written to").wait_for(timeout=60_000)
    assert export.bounding_box() == box  # under the pointer that pressed it
    assert seen(page, dots) == before
    assert seen(page, listed)["height"] >= 44  # two rows beside the answer
    assert seen(page, page.get_by_role("button", name="Download"))["height"] >= 20


DRAWN = """() => {
    const find = (root) => {
        for (const node of root.querySelectorAll("*")) {
            if (node.matches(".plotframe")) return node;
            const inside = node.shadowRoot && find(node.shadowRoot);
            if (inside) return inside;
        }
    };
    return find(document)?.dataset.drawn ?? "";
}"""


def choose_plot(page: Page, name: str) -> None:
    """Choose a plot that is drawn anew, and wait for it."""
    before = page.evaluate(DRAWN)
    page.get_by_role("combobox", name="Plot", exact=True).select_option(name)
    page.wait_for_function(f'(before) => !["", before].includes(({DRAWN})())', arg=before)
    page.wait_for_timeout(300)


def test_every_plot_is_drawn_and_a_click_on_it_selects(page: Page, server: str, folder: Path) -> None:
    open_page(page, server)
    add_genes(page, "CD4, LYZ, NKG7", "NKG7")
    kinds = ad.read_h5ad(folder / "cells.h5ad").obs["cell_type"].value_counts(sort=False)
    for name, label in (("heatmap", "Heatmap"), ("stacked_violin", "Stacked violins"), ("violin", "Violins")):
        choose_plot(page, name)
        page.get_by_role("img", name=label).first.wait_for()
    choose_plot(page, "composition")
    bars = page.get_by_role("img", name="Composition").bounding_box()
    seen_of = page.evaluate(
        """() => {
            const [figure] = Bokeh.documents.at(-1).roots()[0].children;
            const {left, top, height} = Bokeh.index.find_one(figure).frame.bbox;
            return {left, top, height, factors: figure.y_range.factors};
        }"""
    )
    n = len(seen_of["factors"])
    page.mouse.click(
        bars["x"] + seen_of["left"] + 10, bars["y"] + seen_of["top"] + seen_of["height"] * (n - 0.5) / n
    )  # the lowest bar
    cells(page).filter(has_text="selected").wait_for()
    assert selected(page) == kinds[seen_of["factors"][0]] > 0


def test_a_plot_fills_the_window_and_comes_back_with_escape(page: Page, server: str) -> None:
    open_page(page, server)
    add_genes(page, "CD4, LYZ, NKG7", "NKG7")
    lasso(page)
    dots = page.get_by_role("img", name="Dotplot")
    before = dots.bounding_box()
    page.get_by_role("button", name="Fill the window").click()
    page.wait_for_function("(node) => node.getBoundingClientRect().width > 1200", arg=dots.element_handle())
    page.wait_for_timeout(300)
    assert dots.bounding_box()["height"] > 600
    page.keyboard.press("Escape")
    page.wait_for_function("(node) => node.getBoundingClientRect().width < 400", arg=dots.element_handle())
    page.wait_for_timeout(500)
    assert dots.bounding_box() == before
    assert selected(page) > 0  # which Escape clears otherwise


def test_a_plot_is_saved_as_a_figure_and_a_table(page: Page, server: str, tmp_path: Path) -> None:
    open_page(page, server)
    add_genes(page, "CD4, LYZ, NKG7", "NKG7")
    for label, name in (("PNG", "png"), ("SVG", "svg"), ("CSV", "csv")):
        page.get_by_role("button", name="How the plot is laid out").click()
        with page.expect_download() as download:
            page.get_by_role("button", name=re.compile(label)).click()
        assert download.value.suggested_filename == f"dotplot_cell_type.{name}"
        download.value.save_as(tmp_path / name)
        assert (tmp_path / name).stat().st_size > 200


def test_in_a_low_window_the_panels_at_the_right_are_scrolled_together(page: Page, server: str) -> None:
    page.set_viewport_size({"width": 1280, "height": 480})
    open_page(page, server, "crowded.h5ad")
    add_genes(page, GENES_12, "GENE11")
    export = page.get_by_role("button", name="Export subset")
    export.scroll_into_view_if_needed()
    box = export.bounding_box()
    assert box["y"] + box["height"] <= 480
    dots = page.get_by_role("img", name="Dotplot")
    dots.scroll_into_view_if_needed()
    assert seen(page, dots)["height"] >= 100


def test_side_panels_fold_away_and_come_back(page: Page, server: str) -> None:
    open_page(page, server)
    before = plot(page).bounding_box()["width"]
    for name in ("Columns panel", "Genes panel"):
        page.get_by_role("button", name=name).click()
    page.wait_for_function(f"{WIDTH} > {before} + 600")
    assert not page.get_by_role("combobox", name="Find a gene").is_visible()
    page.keyboard.press("[")
    page.keyboard.press("]")
    page.wait_for_function(f"Math.abs({WIDTH} - {before}) < 2")


def test_a_page_under_a_foreign_name_is_refused(page: Page, server: str) -> None:
    answer = page.request.get(server, headers={"Host": "evil.example"})
    assert answer.status == 403
    assert "--allow-host" in answer.text()


def test_wheel_zooms_at_the_pointer_and_fit_returns(page: Page, server: str) -> None:
    open_page(page, server)
    whole = view(page)
    box = plot(page).bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    for _ in range(6):
        page.mouse.wheel(0, -300)
    status(page).filter(has_not_text="900 cells in view").wait_for()
    near = view(page)
    assert near["x1"] - near["x0"] < 0.8 * (whole["x1"] - whole["x0"])
    page.get_by_role("button", name="Fit all cells").click()
    status(page).filter(has_text="900 cells in view").wait_for()
    assert view(page)["x0"] == pytest.approx(whole["x0"])


def test_one_data_unit_is_as_long_on_both_axes_at_every_window_size(page: Page, server: str) -> None:
    open_page(page, server)
    for width, height in ((1440, 900), (1920, 1080), (1100, 1000)):
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_function(
            """() => {
                const f = Bokeh.documents.map((d) => d.get_model_by_name("view0")).find((f) => f);
                const x = (f.x_range.end - f.x_range.start) / f.inner_width;
                const y = (f.y_range.end - f.y_range.start) / f.inner_height;
                return Math.abs(x / y - 1) < 1e-6;
            }"""
        )


def test_structure_of_the_file_is_shown_when_asked_for(page: Page, server: str) -> None:
    open_page(page, server)
    page.get_by_role("button", name="Inspect this file").click()
    dialog = page.get_by_role("dialog", name="What is in this file")
    dialog.get_by_text("X_umap").wait_for()
    headings = dialog.get_by_role("heading", level=3).all_inner_texts()
    assert [heading.casefold() for heading in headings] == ["problems", "what it costs", "contents"]
    tree = dialog.get_by_role("table", name="Contents")
    assert tree.get_by_role("columnheader").all_inner_texts() == [
        *("Element", "Kind", "Shape", "Type", "On disk", "In memory", "Stored")
    ]
    x = tree.get_by_role("row").filter(has=page.get_by_role("rowheader", name="X", exact=True)).first
    assert x.get_by_role("cell").nth(1).inner_text() == "900 \N{MULTIPLICATION SIGN} 8"
    assert x.get_by_role("cell").last.inner_text().startswith("cell by cell (CSR), chunks")
    costs = dialog.get_by_role("table", name="What it costs")
    assert costs.get_by_role("rowheader", name="Export 10% of the cells").count() == 1
    assert costs.get_by_role("cell", name="with an index").count() == 3  # X, raw, counts


def test_groups_of_the_structure_fold(page: Page, server: str) -> None:
    open_page(page, server)
    page.get_by_role("button", name="Inspect this file").click()
    dialog = page.get_by_role("dialog", name="What is in this file")
    column, toggle = dialog.get_by_text("n_counts", exact=True), dialog.get_by_role("button", name="Members of obs")
    column.first.wait_for()
    toggle = toggle.first
    assert toggle.get_attribute("aria-expanded") == "true"
    toggle.click()
    assert toggle.get_attribute("aria-expanded") == "false"
    column.first.wait_for(state="hidden")
    toggle.press("Enter")
    column.first.wait_for()


def test_escape_closes_the_structure_keeps_the_selection_and_gives_back_the_focus(page: Page, server: str) -> None:
    open_page(page, server)
    page.get_by_role("button", name=re.compile("^CD4 T,")).click()
    cells(page).filter(has_text="selected").wait_for()
    button = page.get_by_role("button", name="Inspect this file")
    button.click()
    dialog = page.get_by_role("dialog", name="What is in this file")
    dialog.get_by_text("X_umap").wait_for()
    dialog.get_by_text("X_umap").click()  # wherever the focus is in the dialog
    page.keyboard.press("d")
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    assert page.locator("html").get_attribute("data-theme") == "light"
    assert "selected" in cells(page).inner_text()
    assert page.evaluate(
        """() => {
            let node = document.activeElement;
            while (node.shadowRoot?.activeElement) node = node.shadowRoot.activeElement;
            return node.getAttribute("aria-label");
        }"""
    ) == button.get_attribute("aria-label")
    page.keyboard.press("d")
    assert page.locator("html").get_attribute("data-theme") == "dark"
    page.keyboard.press("i")
    dialog.get_by_role("button", name="Close").click()
    dialog.wait_for(state="hidden")
    page.keyboard.press("Escape")
    cells(page).filter(has_not_text="selected").wait_for()


def test_problems_of_the_file_come_first(page: Page, server: str) -> None:
    page.goto(f"{server}/?file=plain.h5ad")
    status(page).filter(has_text="no embedding").wait_for()
    page.keyboard.press("i")
    problems = page.get_by_role("dialog").get_by_role("region", name="Problems")
    problems.get_by_role("listitem").filter(has_text="plain.h5ad has no embedding").wait_for()


def test_panel_serve_shows_the_same_page(page: Page, folder: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "panel",
        "serve",
        str(ROOT / "app" / "main.py"),
        "--port",
        "0",
        "--address",
        "127.0.0.1",
    ]
    with served(
        [*command, "--args", str(folder / "cells.h5ad"), "--export-dir", str(tmp_path)], tmp_path / "log"
    ) as address:
        page.goto(address.whole)
        status(page).filter(has_text="900 cells in view").wait_for()
        page.get_by_role("button", name=re.compile("^CD4 T,")).click()
        cells(page).filter(has_text="selected").wait_for()
        assert export(page, "served.h5ad") == tmp_path / "served.h5ad"


def test_bad_path_is_one_sentence_on_the_page_of_panel_serve(page: Page, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "panel",
        "serve",
        str(ROOT / "app" / "main.py"),
        "--port",
        "0",
        "--address",
        "127.0.0.1",
    ]
    with served([*command, "--args", str(tmp_path / "missing.h5ad")], tmp_path / "log") as address:
        page.goto(address.whole)
        page.get_by_role("alert").filter(has_text="missing.h5ad does not exist").wait_for()


# -- drawing ---------------------------------------------------------------------------------------------

CANVAS = """(want) => {
    const find = (root) => {
        for (const node of root.querySelectorAll("*")) {
            if (node.matches("canvas.cells")) return node;
            const inside = node.shadowRoot && find(node.shadowRoot);
            if (inside) return inside;
        }
    };
    const canvas = find(document);
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    let n = 0, rows = 0;
    for (let i = 0; i < pixels.length; i += 4) {
        if (!want.every((value, channel) => pixels[i + channel] === value) || pixels[i + 3] !== 255) continue;
        n++;
        rows += Math.floor(i / 4 / canvas.width);
    }
    return {n, from_top: rows / n / canvas.height};
}"""
CD4_T, B = (0x4C, 0x72, 0xB0), (0x55, 0xA8, 0x68)


def until_pixels(page: Page, color: tuple[int, int, int], *, some: bool) -> None:
    """Wait until the picture has a colour, or has it no longer."""
    page.wait_for_function(
        f"(want) => ({CANVAS})(want).n {'> 0' if some else '=== 0'}", arg=list(color), timeout=20_000
    )


def on_screen(page: Page, points: np.ndarray) -> np.ndarray:
    """Return where points of the plane are on the screen."""
    now = view(page)
    x = now["x"] + (points[:, 0] - now["x0"]) / (now["x1"] - now["x0"]) * now["width"]
    y = now["y"] + (now["y1"] - points[:, 1]) / (now["y1"] - now["y0"]) * now["height"]
    return np.stack([x, y], axis=1)


def test_hidden_cells_are_not_drawn_not_selected_and_the_recipe_says_so(page: Page, server: str, folder: Path) -> None:
    open_page(page, server)
    until_pixels(page, CD4_T, some=True)
    page.get_by_role("button", name="Hide CD4 T").click()
    until_pixels(page, CD4_T, some=False)
    until_pixels(page, B, some=True)
    status(page).filter(has_not_text="900 cells in view").wait_for()
    polygon = lasso(page, radius=250)
    exported = ad.read_h5ad(export(page, "visible.h5ad"))
    source = ad.read_h5ad(folder / "cells.h5ad")
    inside = Polygon(polygon).contains_points(source.obsm["X_umap"])
    visible = (source.obs["cell_type"] != "CD4 T").to_numpy()
    assert 0 < (inside & visible).sum() < inside.sum()
    assert list(exported.obs_names) == list(source.obs_names[inside & visible])
    recipe = folder / "exports" / "visible.h5ad"
    with cellasso.open(folder / "cells.h5ad") as dataset:
        stated = load(ad.read_h5ad(recipe).uns["cellasso"]["recipe"])
        np.testing.assert_array_equal(stated.mask(dataset), inside & visible)
    page.get_by_role("button", name="Show all of cell_type").click()
    page.get_by_role("button", name="Clear").click()
    until_pixels(page, CD4_T, some=True)


def test_a_stroke_over_nothing_leaves_selection_and_picture_as_they_were(page: Page, server: str) -> None:
    open_page(page, server)
    until_pixels(page, B, some=True)
    nowhere = circle(page, (0.96, 0.05), 12)
    page.get_by_role("button", name="Lasso").click()
    stroke(page, nowhere)
    status(page).filter(has_text=re.compile(r"^No cells there\.")).wait_for()
    until_pixels(page, B, some=True)  # not faded
    assert cells(page).inner_text() == "900 cells"
    assert page.get_by_role("button", name="Undo").is_disabled()

    lasso(page)
    n = selected(page)
    status(page).filter(has_not_text="No cells there").wait_for()
    for tool, keys in (("Lasso", []), ("Box", []), ("Lasso", ["Shift"]), ("Box", ["Alt"]), ("Lasso", ["Shift", "Alt"])):
        page.get_by_role("button", name=tool).click()
        for key in keys:
            page.keyboard.down(key)
        stroke(page, nowhere if tool == "Lasso" else [nowhere[0], nowhere[20]])
        for key in keys:
            page.keyboard.up(key)
        status(page).filter(has_text="No cells there; the selection stays.").wait_for()
        assert selected(page) == n
        page.keyboard.press("f")  # what was said goes when another part is shown
        status(page).filter(has_not_text="No cells there").wait_for()
    page.get_by_role("button", name="Undo").click()
    cells(page).filter(has_not_text="selected").wait_for()
    assert page.get_by_role("button", name="Undo").is_disabled()
    page.get_by_role("button", name="Redo").click()
    cells(page).filter(has_text="selected").wait_for()
    assert selected(page) == n


INK = (0x1C, 0x21, 0x28)  # of names in a picture


def count_ink(page: Page) -> int:
    return page.evaluate(f"(want) => ({CANVAS})(want).n", list(INK))


def test_names_go_with_their_cells_and_come_back(page: Page, server: str) -> None:
    open_page(page, server, "crowded.h5ad")
    until_pixels(page, INK, some=True)
    page.wait_for_timeout(300)
    of_all = count_ink(page)
    page.get_by_role("button", name="Colour by site").click()
    page.get_by_role("button", name="Hide blood").click()
    page.get_by_role("button", name="Colour by cell_type").click()
    page.wait_for_function(f"(most) => ({CANVAS})({list(INK)}).n < most", arg=of_all / 10)
    status(page).filter(has_text="40 cells in view").wait_for()
    page.wait_for_timeout(300)
    assert 0 < count_ink(page) < of_all / 10  # the one name of what is still there
    for hidden in (True, False):  # what the legend does at once, before the server has drawn anything
        detail = {"column": "cell_type", "code": 23, "hidden": hidden}
        paint = "(home, detail) => home.dispatchEvent(new CustomEvent('cellasso-paint', {detail}))"
        page.locator(".cellasso").evaluate(paint, detail)
        until_pixels(page, INK, some=not hidden)
    page.get_by_role("button", name="Hide CD8-positive, alpha-beta T cell 23").click()
    until_pixels(page, INK, some=False)
    page.get_by_role("button", name="Show all of cell_type").click()
    until_pixels(page, INK, some=True)
    page.get_by_role("button", name="Show all of site").click()
    page.wait_for_function(f"(some) => ({CANVAS})({list(INK)}).n === some", arg=of_all)


def test_a_category_takes_the_colour_that_the_user_chooses(page: Page, server: str) -> None:
    open_page(page, server)
    until_pixels(page, B, some=True)
    page.get_by_label("Colour of B", exact=True).fill("#123456")
    until_pixels(page, (0x12, 0x34, 0x56), some=True)
    until_pixels(page, B, some=False)


def test_the_cell_under_the_pointer_is_named_with_what_was_asked_of_it(page: Page, server: str, folder: Path) -> None:
    open_page(page, server)
    page.get_by_role("button", name="How cells are drawn").click()
    page.get_by_role("checkbox", name="n_counts").check()
    page.keyboard.press("Escape")
    source = ad.read_h5ad(folder / "cells.h5ad")
    places = on_screen(page, source.obsm["X_umap"])
    apart = np.linalg.norm(places[:, None] - places[None], axis=2) + 1e9 * np.eye(len(places))
    lone = int(apart.min(axis=1).argmax())  # no other cell is near
    page.mouse.move(float(places[lone, 0]) + 3, float(places[lone, 1]) + 2)
    tip = page.get_by_role("tooltip", name="Cell")
    tip.filter(has_text=f"cell-{lone}").wait_for()
    text = tip.inner_text()
    assert str(source.obs["cell_type"].iloc[lone]) in text
    assert f"{source.obs['n_counts'].iloc[lone]:.4g}" in text
    page.mouse.move(1, 1)
    tip.wait_for(state="hidden")


def test_values_are_shaded_as_chosen_and_the_status_line_says_so(page: Page, server: str) -> None:
    open_page(page, server)
    page.get_by_role("button", name="Colour by n_counts").click()
    status(page).filter(has_text="highest value on top").wait_for()
    page.get_by_role("button", name="How cells are drawn").click()
    options = page.get_by_role("group", name="How cells are drawn")
    shading = options.get_by_label("Shading", exact=True)
    assert shading.locator("option").all_inner_texts() == ["linear", "logarithm", "cube root", "equal areas"]
    assert not options.get_by_label("Crowds", exact=True).count()  # so few cells are dots
    shading.select_option("equal areas")
    status(page).filter(has_text="histogram-equalised colours").wait_for()
    options.get_by_text("each colour has as many cells as any other").wait_for()
    shading.select_option("linear")
    status(page).filter(has_not_text="histogram").filter(has_text="highest value on top").wait_for()


BLUE, RED = (0, 0, 255), (255, 0, 0)


def test_a_tissue_lies_as_in_its_image_until_the_user_turns_it(page: Page, server: str, folder: Path) -> None:
    points = ad.read_h5ad(folder / "tissue.h5ad").obsm["spatial"]
    open_page(page, server, "tissue.h5ad")

    def upper_is_above() -> bool:
        for color in (BLUE, RED):
            until_pixels(page, color, some=True)
        page.wait_for_function(  # the whole of one lies above the other: not while one picture gives way to the next
            f"([blue, red]) => Math.abs(({CANVAS})(blue).from_top - ({CANVAS})(red).from_top) > 0.2",
            arg=[list(BLUE), list(RED)],
        )
        blue, red = (page.evaluate(CANVAS, list(color))["from_top"] for color in (BLUE, RED))
        assert abs(blue - red) > 0.2
        return blue < red

    assert view(page)["y0"] > view(page)["y1"]
    assert upper_is_above()
    polygon = lasso(page, at=(0.4, 0.4), radius=120)  # of a picture
    assert selected(page) == Polygon(polygon).contains_points(points.astype("f4")).sum() > 0
    page.get_by_role("button", name="Clear").click()
    for _ in range(3):  # until there are dots
        page.get_by_role("button", name="Zoom in").click()
    page.wait_for_timeout(1000)
    assert view(page)["y0"] > view(page)["y1"]
    places = on_screen(page, points)
    box = plot(page).bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    near = int(np.linalg.norm(places - middle, axis=1).argmin())
    page.mouse.move(*map(float, places[near]))
    page.get_by_role("tooltip", name="Cell").filter(has_text=f"spot-{near}").wait_for()
    page.get_by_role("button", name="Fit all cells").click()
    page.get_by_role("button", name="How cells are drawn").click()
    page.get_by_role("checkbox", name="y runs down, as in an image").uncheck()
    page.keyboard.press("Escape")
    page.wait_for_timeout(1000)
    assert view(page)["y0"] < view(page)["y1"]
    assert not upper_is_above()


def test_the_image_of_a_tissue_lies_under_its_cells_and_can_be_taken_away(page: Page, server: str) -> None:
    open_page(page, server, "tissue.h5ad")
    green, yellow = (10, 200, 10), (200, 200, 10)
    for color in (green, yellow):
        until_pixels(page, color, some=True)
    upper, lower = (page.evaluate(CANVAS, list(color))["from_top"] for color in (green, yellow))
    assert upper < lower - 0.2
    page.get_by_role("button", name="How cells are drawn").click()
    page.get_by_role("combobox", name="Tissue").select_option("none")
    until_pixels(page, green, some=False)
    page.get_by_role("combobox", name="Tissue").select_option("one: hires")
    until_pixels(page, green, some=True)


def test_a_polygon_by_clicks_selects_what_is_inside(page: Page, server: str, folder: Path) -> None:
    open_page(page, server)
    page.get_by_role("button", name="Polygon by clicks").click()
    now, box = view(page), plot(page).bounding_box()
    corners = [(0.2, 0.2), (0.8, 0.25), (0.7, 0.8), (0.3, 0.7)]
    at = [(round(box["x"] + x * box["width"]), round(box["y"] + y * box["height"])) for x, y in corners]
    for point in at[:-1]:
        page.mouse.click(*point)
        page.wait_for_timeout(400)  # two clicks at once would be a double click
    page.mouse.dblclick(*at[-1])
    cells(page).filter(has_text="selected").wait_for()
    polygon = [
        (
            now["x0"] + (x - now["x"]) / now["width"] * (now["x1"] - now["x0"]),
            now["y1"] - (y - now["y"]) / now["height"] * (now["y1"] - now["y0"]),
        )
        for x, y in at
    ]
    source = ad.read_h5ad(folder / "cells.h5ad")
    assert selected(page) == Polygon(polygon).contains_points(source.obsm["X_umap"]).sum() > 0
    page.get_by_role("button", name="Pan", exact=True).click()
    page.mouse.dblclick(box["x"] + 30, box["y"] + 30)
    cells(page).filter(has_not_text="selected").wait_for()


def test_shift_at_the_first_click_of_a_polygon_adds(page: Page, server: str) -> None:
    open_page(page, server)
    page.get_by_role("button", name="B, ").first.click()
    cells(page).filter(has_text="selected").wait_for()
    before = selected(page)
    page.get_by_role("button", name="Polygon by clicks").click()
    box = plot(page).bounding_box()
    corners = [(0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9)]
    at = [(round(box["x"] + x * box["width"]), round(box["y"] + y * box["height"])) for x, y in corners]
    page.keyboard.down("Shift")
    page.mouse.click(*at[0])
    page.keyboard.up("Shift")
    for point in at[1:-1]:
        page.wait_for_timeout(400)
        page.mouse.click(*point)
    page.wait_for_timeout(400)
    page.mouse.dblclick(*at[-1])
    cells(page).filter(has_not_text=f"{before:,} of").wait_for()
    both = selected(page)
    assert both > before
    page.keyboard.press("Control+z")
    cells(page).filter(has_text=f"{before:,} of").wait_for()


def test_colours_come_back_when_a_legend_is_taken_away_under_the_pointer(page: Page, server: str) -> None:
    open_page(page, server)
    until_pixels(page, B, some=True)
    n_opaque = page.evaluate(CANVAS, [])["n"]
    page.get_by_role("combobox", name="Find a gene").fill("CD4")
    page.get_by_role("option", name="CD4", exact=True).wait_for()
    page.get_by_role("button", name="CD4 T, ").hover()
    until_pixels(page, B, some=False)  # what is not meant is faded
    page.keyboard.press("Enter")
    page.get_by_role("status", name="Coloured by").filter(has_text="CD4").wait_for()
    page.wait_for_function(f"() => ({CANVAS})([]).n > {n_opaque / 2}")


def test_rows_stay_under_the_pointer_that_hides_them(page: Page, server: str) -> None:
    open_page(page, server)
    row = page.get_by_role("button", name="B, ").first
    before = row.bounding_box()
    page.get_by_role("button", name="Hide B").click()
    page.get_by_text("1 hidden").wait_for()
    assert row.bounding_box() == before
    page.get_by_role("button", name="Show B").click()
    page.get_by_text("1 hidden").wait_for(state="hidden")


def test_views_beside_each_other_can_be_closed_and_their_options_reached(page: Page, server: str) -> None:
    page.set_viewport_size({"width": 1280, "height": 720})
    open_page(page, server)
    for n in (2, 3, 4):
        page.get_by_role("button", name="Another view beside this one").locator("visible=true").last.click()
        page.get_by_role("button", name="Close this view").nth(n - 1).wait_for()
        status(page).nth(n - 1).filter(has_text="in view").wait_for()
        widths = [round(plot(page).nth(i).bounding_box()["width"]) for i in range(n)]
        tops = [plot(page).nth(i).bounding_box()["y"] for i in range(n)]
        assert all(abs(width - widths[0]) <= 1 for width in widths[: n - n % 2])
        if n == 3:  # it fills its row
            assert abs(widths[2] - 2 * widths[0] - 1) <= 2
        assert tops == sorted(tops)
        assert len(set(tops)) == (n + 1) // 2
    page.get_by_role("button", name="How cells are drawn").nth(3).click()
    panel = page.get_by_role("group", name="How cells are drawn").locator("visible=true").bounding_box()
    assert panel["y"] >= 0
    assert panel["y"] + panel["height"] <= 720
    page.keyboard.press("Escape")
    for n in (3, 2, 1):
        page.get_by_role("button", name="Close this view").nth(n).click(timeout=5_000)
        plot(page).nth(n).wait_for(state="detached")
        assert plot(page).count() == n


def test_what_is_told_of_a_cell_does_not_stay_behind_when_the_view_moves(page: Page, server: str, folder: Path) -> None:
    open_page(page, server)
    points = on_screen(page, ad.read_h5ad(folder / "cells.h5ad").obsm["X_umap"])
    page.mouse.move(*map(float, points[0]))
    tip = page.get_by_role("tooltip", name="Cell")
    tip.wait_for()
    page.keyboard.press("+")
    tip.wait_for(state="hidden")


def test_two_genes_side_by_side_with_the_embedding_share_the_selection(page: Page, server: str, folder: Path) -> None:
    open_page(page, server)
    page.get_by_role("button", name="Another view beside this one").click()
    page.get_by_role("button", name="Close this view").nth(1).wait_for()
    page.get_by_role("button", name="Draw two columns or genes").nth(1).click()
    page.get_by_label("Along x").locator("visible=true").fill("CD4")
    page.get_by_label("Along y").locator("visible=true").fill("n_counts")
    page.get_by_role("button", name="Draw", exact=True).locator("visible=true").click()
    second = status(page).nth(1)
    second.filter(has_text="900 cells in view").wait_for()
    page.wait_for_timeout(500)
    page.get_by_role("button", name="Box", exact=True).nth(1).click()
    name = page.evaluate("Bokeh.documents.flatMap((d) => [1, 2, 3].filter((i) => d.get_model_by_name(`view${i}`)))[0]")
    box = plot(page).nth(1).bounding_box()
    page.mouse.move(box["x"] + 80, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 150)
    page.mouse.move(box["x"] + box["width"] - 30, box["y"] + 300)
    page.mouse.up()
    cells(page).filter(has_text="selected").wait_for()
    exported = ad.read_h5ad(export(page, "region.h5ad"))
    recipe = json.loads(exported.uns["cellasso"]["recipe"])["region"]
    assert (recipe["x"], recipe["y"], name) == ("X/CD4", "obs:n_counts", 1)
    source = ad.read_h5ad(folder / "cells.h5ad")
    points = np.stack([source[:, "CD4"].X.toarray()[:, 0], source.obs["n_counts"]], axis=1).astype("f4")
    inside = Polygon(recipe["polygon"]).contains_points(points)
    assert 0 < inside.sum() < 900
    assert list(exported.obs_names) == list(source.obs_names[inside])
    page.get_by_role("button", name="Close this view").nth(1).click()
    page.get_by_role("button", name="Close this view").first.wait_for(state="hidden")
    assert plot(page).count() == 1


def test_a_figure_is_what_is_on_the_screen(page: Page, server: str, tmp_path: Path) -> None:
    open_page(page, server)
    page.get_by_role("button", name="Save as a figure").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="SVG, text and axes as vectors").click()
    root = ET.parse(download.value.path()).getroot()
    texts = {"".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"CD4 T", "B", "UMAP1", "UMAP2"} <= texts
    assert len(list(root.iter("{http://www.w3.org/2000/svg}image"))) == 1
