"""The selection's panel: composition, names of exports, export and download from one state to the next."""

from __future__ import annotations

import json
import threading
import warnings
from typing import TYPE_CHECKING, Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import cellasso
from cellasso.core.errors import ExportError
from cellasso.selection.recipe import Combined, WhereRecipe
from cellasso.write import export as exporting
from cellasso_app.page.explorer import Explorer
from cellasso_app.panels.selection.component import SelectionPanel
from cellasso_app.panels.selection.controller import checked_name, free_name
from cellasso_app.ui.messages import NOT_UNDERSTOOD
from stepping import PATIENCE, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cellasso.core.atomic_file import Partial
    from cellasso.dataset import Dataset

pytestmark = pytest.mark.usefixtures("one_thread")

HI, LO = WhereRecipe("ordered == 'hi'"), WhereRecipe("ordered == 'lo'")


@pytest.fixture
def pieces(monkeypatch) -> list[dict[str, Any]]:
    """What the panel sends to its browser."""
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(SelectionPanel, "_send_msg", lambda _panel, message: sent.append(message))
    return sent


@pytest.fixture
def explorer(dataset: Dataset, tmp_path: Path, pieces) -> Iterator[Explorer]:
    (tmp_path / "out").mkdir()
    made = Explorer(dataset, export_dir=tmp_path / "out")
    yield made
    until(lambda: not made.views.active.bar.busy)  # it reads from a file that is closed next


@pytest.fixture
def folder(explorer: Explorer) -> Path:
    return explorer.selecting.export_dir


def say(explorer: Explorer, kind: str, **content: Any) -> None:
    """Do what a message from the browser does."""
    explorer.selecting.receive({"type": kind, **content})


def choose(explorer: Explorer, operation: str = "replace", recipe: WhereRecipe = HI) -> np.ndarray:
    mask = recipe.mask(explorer.session.dataset)
    explorer.session.select(operation, recipe, mask)
    return mask


def state(explorer: Explorer) -> dict[str, Any]:
    return explorer.selecting.panel.export


def finish(explorer: Explorer) -> dict[str, Any]:
    until(lambda: state(explorer)["state"] in {"done", "failed"})
    return state(explorer)


def ask(explorer: Explorer) -> None:
    until(lambda: state(explorer)["state"] == "exists")


def read(path: Path) -> ad.AnnData:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ad.read_h5ad(path)


# -- names --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("cells", "cells.h5ad"),
        ("cells.h5ad", "cells.h5ad"),
        ("  T cells  ", "T cells.h5ad"),
        ("a.b", "a.b.h5ad"),
        ("µ细胞", "µ细胞.h5ad"),
        ("x" * 200, "x" * 200 + ".h5ad"),
        ("-rf", "-rf.h5ad"),
    ],
)
def test_a_plain_name_gets_its_suffix(typed, name):
    assert checked_name(typed, "h5ad") == name


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "   ",
        ".",
        "..",
        ".hidden",
        "/etc/passwd",
        "a/b",
        "../up",
        "a\\b",
        "C:\\x",
        "a\0b",
        "a\nb",
        "tab\tbed",
        "right\u202eleft",
        "\ud800",
        "x" * 201,
        "细" * 67,
    ],
    ids=ascii,
)
def test_a_name_that_is_no_plain_file_name_is_refused(typed):
    with pytest.raises(ExportError, match=r"is not a plain file name; write one such as subset\.h5mu"):
        checked_name(typed, "h5mu")


@pytest.mark.parametrize(
    ("typed", "suffix"), [("cells.h5mu", "h5ad"), ("cells.csv", "h5ad"), ("a.b.h5ad", "csv"), ("cells.H5AD", "h5ad")]
)
def test_the_suffix_of_another_format_is_refused_with_what_to_write(typed, suffix):
    stem, _, other = typed.rpartition(".")
    with pytest.raises(ExportError, match=rf"{typed} ends in \.{other}, .*; write {stem}\.{suffix}, or choose another"):
        checked_name(typed, suffix)


@pytest.mark.parametrize("typed", ["x" * 200, "细" * 66], ids=["ascii", "three_bytes"])
def test_the_longest_name_can_be_written(explorer, folder, typed):
    choose(explorer)
    say(explorer, "export", name=typed)
    assert finish(explorer)["state"] == "done"
    assert [path.name for path in folder.iterdir()] == [f"{typed}.h5ad"]


def test_a_proposed_name_is_free(tmp_path):
    assert free_name(tmp_path, "cells", "h5ad") == "cells_subset.h5ad"
    for name in ("cells_subset.h5ad", "cells_subset_2.h5ad", "cells_subset_4.h5ad"):
        (tmp_path / name).touch()
    assert free_name(tmp_path, "cells", "h5ad") == "cells_subset_3.h5ad"
    assert free_name(tmp_path, "cells", "h5mu") == "cells_subset.h5mu"


# -- composition --------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["ordered", "gaps", "numbered", "bool", "maybe_bool"])
def test_the_composition_is_pandas_value_counts(explorer, plain, column):
    panel, obs = explorer.selecting.panel, plain.oracle.obs
    mask = choose(explorer, recipe=WhereRecipe("int8 > -60"))
    say(explorer, "composition", value=column)
    assert panel.column == column
    counts = obs.loc[mask, column].value_counts(dropna=False)
    whole = obs[column].value_counts(dropna=False)
    expected = {"no value" if pd.isna(value) else str(value): (n, whole[value]) for value, n in counts.items() if n}
    until(lambda: {row["label"]: (row["n"], row["total"]) for row in panel.rows} == expected)
    named = [row["n"] for row in panel.rows if row["label"] != "no value"]
    assert named == sorted(named, reverse=True)
    assert [row["label"] for row in panel.rows].count("no value") == ("no value" in expected)
    assert sum(row["n"] for row in panel.rows) == mask.sum() == panel.n_selected


def test_without_a_selection_there_is_no_composition(explorer):
    panel = explorer.selecting.panel
    choose(explorer)
    until(lambda: panel.rows)
    say(explorer, "clear")
    until(lambda: panel.n_selected is None)
    assert panel.rows == []


def test_a_column_that_is_not_offered_is_not_taken(explorer):
    before = explorer.session.composition_by
    for name in ("float32", "no_such", ""):
        say(explorer, "composition", value=name)
    assert explorer.session.composition_by == before


def test_invert_selects_the_others(explorer):
    mask = choose(explorer)
    say(explorer, "invert")
    until(lambda: explorer.selecting.panel.n_selected == (~mask).sum())
    np.testing.assert_array_equal(explorer.session.selection.mask, ~mask)
    assert explorer.selecting.panel.n_selected == (~mask).sum()


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"type": "export"},
        {"type": "export", "name": 3},
        {"type": "composition", "value": ["ordered"]},
        {"type": "download", "offset": "0"},
        {"type": "download", "offset": None},
        {"type": "unheard of"},
    ],
    ids=repr,
)
def test_a_message_of_another_form_does_nothing(explorer, folder, pieces, message):
    choose(explorer)
    before = state(explorer)
    explorer.selecting.receive(message)
    assert state(explorer) == before
    assert not list(folder.iterdir())
    assert not pieces


# -- export -------------------------------------------------------------------------------------------


def test_an_export_is_the_selected_cells_and_carries_the_recipe(explorer, folder, plain):
    hi = choose(explorer)
    low = choose(explorer, "add", WhereRecipe("int8 < 0"))
    say(explorer, "export", name="subset")
    found = finish(explorer)
    assert found == {
        "state": "done",
        "n": int((hi | low).sum()),
        "path": str(folder / "subset.h5ad"),
        "number": 0,
        "left_out": [],
    }
    written = read(folder / "subset.h5ad")
    assert list(written.obs_names) == list(plain.oracle.obs_names[hi | low])
    np.testing.assert_array_equal(written.X.toarray(), plain.oracle.X[hi | low].toarray())
    recipe = cellasso.selection.recipe.load(written.uns["cellasso"]["recipe"])
    assert recipe == Combined("add", HI, WhereRecipe("int8 < 0"))


def test_nothing_is_exported_without_a_selection(explorer, folder):
    say(explorer, "export", name="subset")
    assert state(explorer)["state"] == "idle"
    assert not list(folder.iterdir())


@pytest.mark.parametrize("name", ["../escape", "", ".hidden"])
def test_a_bad_name_is_refused_with_a_sentence(explorer, folder, name):
    choose(explorer)
    say(explorer, "export", name=name)
    assert state(explorer)["state"] == "failed"
    assert "is not a plain file name" in state(explorer)["message"]
    assert not list(folder.iterdir())
    assert not (folder.parent / "escape.h5ad").exists()


def test_a_file_that_exists_is_left_as_it_is_and_a_free_name_proposed(explorer, folder):
    (folder / "subset.h5ad").write_bytes(b"precious")
    choose(explorer)
    say(explorer, "export", name="subset")
    assert state(explorer) == {"state": "exists", "name": "subset.h5ad"}
    say(explorer, "keep")
    assert state(explorer)["state"] == "idle"
    say(explorer, "replace")  # nothing is asked now
    assert state(explorer)["state"] == "idle"
    assert (folder / "subset.h5ad").read_bytes() == b"precious"
    assert [path.name for path in folder.iterdir()] == ["subset.h5ad"]
    say(explorer, "export", name="other")
    until(lambda: state(explorer)["state"] == "done")


@pytest.mark.parametrize("suffix", ["h5ad", "csv", "txt"])
def test_a_file_that_exists_is_replaced_when_the_user_says_so(explorer, folder, suffix):
    (folder / f"subset.{suffix}").write_bytes(b"old")
    mask = choose(explorer)
    say(explorer, "format", value=suffix, name="subset.h5ad")
    say(explorer, "export", name=f"subset.{suffix}")
    assert state(explorer) == {"state": "exists", "name": f"subset.{suffix}"}
    say(explorer, "replace")
    assert finish(explorer)["n"] == mask.sum()
    assert (folder / f"subset.{suffix}").read_bytes() != b"old"
    assert [path.name for path in folder.iterdir()] == [f"subset.{suffix}"]


def test_another_selection_takes_the_question_back(explorer, folder):
    (folder / "subset.h5ad").write_bytes(b"precious")
    choose(explorer)
    say(explorer, "export", name="subset")
    choose(explorer, recipe=LO)
    assert state(explorer)["state"] == "idle"
    say(explorer, "replace")
    assert (folder / "subset.h5ad").read_bytes() == b"precious"


def test_the_open_file_is_never_replaced(dataset, pieces):
    explorer = Explorer(dataset, export_dir=dataset.file_path.parent)
    before = dataset.file_path.read_bytes()
    choose(explorer)
    say(explorer, "export", name=dataset.file_path.name)
    assert "is the file that is open" in finish(explorer)["message"]
    assert dataset.file_path.read_bytes() == before
    until(lambda: not explorer.views.active.bar.busy)


def test_the_next_selection_clears_the_outcome_and_proposes_a_free_name(explorer, folder):
    panel = explorer.selecting.panel
    assert panel.file_name == "plain_subset.h5ad"
    choose(explorer)
    say(explorer, "export", name=panel.file_name)
    assert finish(explorer)["state"] == "done"
    choose(explorer, recipe=LO)
    assert state(explorer) == {"state": "idle", "folder": str(folder)}
    assert panel.file_name == "plain_subset_2.h5ad"


def test_what_the_panel_shows_decides_nothing(explorer, folder):
    """As if somebody had set its parameters, who speaks to the server past the page."""
    panel, outside = explorer.selecting.panel, folder.parent / "outside.h5ad"
    outside.write_bytes(b"precious")
    mask = choose(explorer)
    panel.param.update(
        format="zarr/../../outside.h5ad",
        formats=[{"value": "zarr/../../outside.h5ad", "label": ""}],
        file_name="../outside.h5ad",
        export={"state": "exists", "name": "../outside.h5ad"},
        n_selected=0,
    )
    for kind in ("replace", "keep"):
        say(explorer, kind)
    say(explorer, "format", value="zarr/../../outside.h5ad", name="x")
    say(explorer, "export", name="x")
    panel.export = {"state": "idle"}
    assert finish(explorer)["path"] == str(folder / "x.h5ad")
    assert state(explorer)["n"] == mask.sum()
    assert outside.read_bytes() == b"precious"
    assert [path.name for path in folder.iterdir()] == ["x.h5ad"]


@pytest.mark.parametrize("suffix", ["h5ad", "csv"])
def test_a_link_that_leads_out_of_the_folder_is_not_followed(explorer, folder, suffix):
    outside = folder.parent / f"outside.{suffix}"
    outside.write_bytes(b"precious")
    (folder / f"link.{suffix}").symlink_to(outside)
    (folder / f"nowhere.{suffix}").symlink_to(folder.parent / "not_there")
    choose(explorer)
    say(explorer, "format", value=suffix, name="")
    for name in ("link", "nowhere"):
        say(explorer, "export", name=name)
        say(explorer, "replace")
        found = finish(explorer)
        assert found["state"] == "failed"
        assert found["message"] == (
            f"'{name}.{suffix}' lies outside of the folder for exports, {folder}; choose another name."
        )
        say(explorer, "keep")
    assert outside.read_bytes() == b"precious"
    assert not (folder.parent / "not_there").exists()
    assert len(list(folder.iterdir())) == 2


def test_the_folder_itself_may_be_a_link(dataset, tmp_path, pieces):
    (tmp_path / "real").mkdir()
    (tmp_path / "shown").symlink_to(tmp_path / "real")
    explorer = Explorer(dataset, export_dir=tmp_path / "shown")
    choose(explorer)
    say(explorer, "export", name="x")
    assert finish(explorer)["state"] == "done"
    assert (tmp_path / "real" / "x.h5ad").is_file()
    until(lambda: not explorer.views.active.bar.busy)


def test_a_folder_that_is_gone_is_said_so(explorer, folder):
    choose(explorer)
    folder.rmdir()
    say(explorer, "export", name="x")
    assert f"The folder {folder} for exports cannot be reached" in finish(explorer)["message"]


def test_what_became_a_link_out_of_the_folder_is_not_downloaded(explorer, folder, pieces):
    choose(explorer)
    say(explorer, "export", name="x")
    assert finish(explorer)["state"] == "done"
    secret = folder.parent / "secret"
    secret.write_bytes(b"secret")
    (folder / "x.h5ad").unlink()
    (folder / "x.h5ad").symlink_to(secret)
    say(explorer, "download", number=0, offset=0)
    until(lambda: state(explorer)["state"] == "failed")
    assert "lies outside of the folder for exports" in state(explorer)["message"]
    assert pieces == []


def test_a_long_name_is_refused_in_a_short_sentence(explorer, folder):
    choose(explorer)
    say(explorer, "export", name="x" * 20_000)
    assert "is not a plain file name" in state(explorer)["message"]
    assert len(state(explorer)["message"]) < 300
    assert not list(folder.iterdir())


# -- tables -------------------------------------------------------------------------------------------


def test_the_formats_are_the_files_own_and_the_tables(explorer):
    panel = explorer.selecting.panel
    assert [offered["value"] for offered in panel.formats] == ["h5ad", "csv", "parquet", "txt"]
    assert panel.format == "h5ad"


def test_parquet_is_offered_only_where_it_can_be_written(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("cellasso_app.panels.selection.controller.find_spec", lambda name: None)
    explorer = Explorer(dataset, export_dir=tmp_path)
    assert [offered["value"] for offered in explorer.selecting.panel.formats] == ["h5ad", "csv", "txt"]
    say(explorer, "format", value="parquet", name="x")
    assert explorer.selecting.panel.format == "h5ad"
    until(lambda: not explorer.views.active.bar.busy)


@pytest.mark.parametrize(
    ("typed", "value", "name"),
    [
        ("cells.h5ad", "csv", "cells.csv"),
        ("my.cells", "txt", "my.cells.txt"),
        ("cells.csv", "parquet", "cells.parquet"),
        (" a.CSV ", "h5ad", "a.h5ad"),
    ],
)
def test_another_format_gives_the_name_another_suffix(explorer, typed, value, name):
    say(explorer, "format", value=value, name=typed)
    assert (explorer.selecting.panel.format, explorer.selecting.panel.file_name) == (value, name)


def test_a_format_that_is_not_offered_is_not_taken(explorer):
    say(explorer, "format", value="exe", name="x.exe")
    assert explorer.selecting.panel.format == "h5ad"


def test_the_panel_says_what_a_table_will_hold(explorer):
    session, panel = explorer.session, explorer.selecting.panel
    assert panel.contents == "Every element, as stored"
    say(explorer, "format", value="txt", name="x")
    assert panel.contents == "Names of the cells"
    say(explorer, "format", value="csv", name="x")
    assert panel.contents == "obs; genes that you choose above join it"
    session.add_gene("g1")
    assert panel.contents == "obs and 1 gene from X"
    session.add_gene("g3")
    session.matrix = "counts"
    assert panel.contents == "obs and 2 genes from counts"
    session.remove_gene("g1")
    assert panel.contents == "obs and 1 gene from counts"


@pytest.mark.parametrize("matrix", ["X", "counts", "raw"])
def test_a_table_holds_obs_and_the_chosen_genes_of_the_chosen_matrix(explorer, folder, plain, matrix):
    explorer.session.matrix = matrix
    for gene in ("g5", "g1"):
        explorer.session.add_gene(gene)
    mask = choose(explorer)
    say(explorer, "format", value="csv", name="table")
    say(explorer, "export", name="table.csv")
    assert finish(explorer)["n"] == mask.sum()
    found = pd.read_csv(folder / "table.csv", index_col="obs_names")
    oracle = plain.oracle
    frame = oracle.raw.to_adata() if matrix == "raw" else oracle
    values = frame.to_df(layer="counts" if matrix == "counts" else None)
    assert list(found.index) == list(oracle.obs_names[mask])
    assert list(found) == [*oracle.obs, "g5", "g1"]
    for gene in ("g5", "g1"):
        np.testing.assert_allclose(found[gene], values.loc[mask, gene], rtol=1e-6)


def test_genes_of_modalities_without_the_chosen_matrix_come_from_their_own(multimodal, tmp_path):
    with cellasso.open(multimodal.path) as dataset:
        explorer = Explorer(dataset, export_dir=tmp_path)
        session = explorer.session
        genes = {f"{m.name}:{m.var.names[0]}": m for m in dataset.modalities.values() if m.matrices}
        assert len(genes) > 1
        for gene in genes:
            session.add_gene(gene)
        session.matrix = next(name for name in session.current.matrices if name != "X")
        explorer.selecting.receive({"type": "format", "value": "parquet", "name": "t"})
        session.select("replace", LO, np.arange(dataset.n_obs) % 3 == 0)
        say(explorer, "export", name="t.parquet")
        assert finish(explorer)["state"] == "done"
        found = pd.read_parquet(tmp_path / "t.parquet")
        for gene in genes:
            expected = dataset.read_feature(gene, session.layer_of(gene))[::3]
            np.testing.assert_array_equal(found[gene], expected)
        until(lambda: not explorer.views.active.bar.busy)


def test_names_are_written_one_a_line_and_downloaded(explorer, folder, plain, pieces):
    mask = choose(explorer)
    say(explorer, "format", value="txt", name="names.h5ad")
    say(explorer, "export", name="names.txt")
    finish(explorer)
    expected = list(plain.oracle.obs_names[mask])
    assert (folder / "names.txt").read_text().splitlines() == expected
    assert download(explorer, pieces).decode().splitlines() == expected


def test_a_cancelled_table_leaves_nothing_behind(explorer, folder, monkeypatch):
    reading, go = threading.Event(), threading.Event()
    dataset = explorer.session.dataset
    read_features = dataset.read_features

    def slow(*arguments, **options):
        reading.set()
        assert go.wait(PATIENCE)
        return read_features(*arguments, **options)

    explorer.session.add_gene("g1")
    until(lambda: not explorer.views.active.bar.busy and not explorer.plots.bar.busy)
    monkeypatch.setattr(dataset, "read_features", slow)
    choose(explorer)
    say(explorer, "format", value="csv", name="x")
    say(explorer, "export", name="x.csv")
    assert reading.wait(PATIENCE)
    say(explorer, "cancel_export")
    go.set()
    until(lambda: not explorer.selecting.is_busy)
    assert state(explorer)["message"] == "Cancelled; nothing was written."
    assert not list(folder.iterdir())


class Slow:
    """An export that writes until it is told to end, or stopped by `progress`."""

    def __init__(self) -> None:
        self.started, self.end, self.stopped = threading.Event(), threading.Event(), threading.Event()
        self.calls = 0

    def __call__(self, job: Any, part: Partial, progress: Callable[[float], None]) -> list[str]:
        self.calls += 1
        job.target.write_bytes(b"half")
        progress(0.4)
        self.started.set()
        try:
            while not self.end.wait(0.005):
                progress(0.5)
        except BaseException:
            self.stopped.set()
            raise
        raise ExportError("The disk is full.")


@pytest.fixture
def slow(monkeypatch) -> Iterator[Slow]:
    made = Slow()
    monkeypatch.setattr(exporting, "_run", made)
    yield made
    made.end.set()


def test_a_running_export_shows_its_progress_and_takes_no_second_one(explorer, slow):
    choose(explorer)
    say(explorer, "export", name="subset")
    assert slow.started.wait(PATIENCE)
    until(lambda: state(explorer)["fraction"] == 0.5)
    assert state(explorer)["state"] == "running"
    assert state(explorer)["n"] == explorer.session.selection.n
    say(explorer, "export", name="second")
    assert explorer.selecting.panel.file_name == "subset.h5ad"
    slow.end.set()
    finish(explorer)
    assert slow.calls == 1


def test_a_cancelled_export_leaves_nothing_behind_and_another_can_follow(explorer, folder, slow, monkeypatch):
    choose(explorer)
    say(explorer, "export", name="subset")
    assert slow.started.wait(PATIENCE)
    assert list(folder.iterdir())
    say(explorer, "cancel_export")
    assert state(explorer) == {"state": "failed", "message": "Cancelled; nothing was written."}
    assert slow.stopped.wait(PATIENCE)
    until(lambda: not list(folder.iterdir()))
    monkeypatch.undo()
    say(explorer, "export", name="subset")
    assert finish(explorer)["state"] == "done"
    assert (folder / "subset.h5ad").exists()


def test_a_selection_drawn_while_exporting_does_not_disturb_it(explorer, slow):
    mask = choose(explorer)
    say(explorer, "export", name="subset")
    assert slow.started.wait(PATIENCE)
    choose(explorer, recipe=LO)
    say(explorer, "clear")
    assert state(explorer)["state"] == "running"
    assert state(explorer)["n"] == mask.sum()


def test_what_is_refused_does_not_stand_in_for_an_export_that_runs(explorer, slow):
    choose(explorer)
    panel = explorer.selecting.panel
    say(explorer, "export", name="x")
    assert slow.started.wait(PATIENCE)
    panel.receive({"type": "export", "name": 1})
    assert state(explorer)["state"] == "running"
    slow.end.set()
    assert finish(explorer)["message"] == "The disk is full."
    panel.receive({"type": "export", "name": 1})
    assert state(explorer) == {"state": "failed", "message": NOT_UNDERSTOOD}


def test_an_export_that_fails_says_why_and_leaves_nothing(explorer, folder, slow):
    choose(explorer)
    slow.end.set()
    say(explorer, "export", name="subset")
    assert finish(explorer) == {"state": "failed", "message": "The disk is full."}
    until(lambda: not list(folder.iterdir()))


def test_a_cancel_that_comes_before_or_after_an_export_changes_nothing(explorer, folder):
    choose(explorer)
    idle = state(explorer)
    say(explorer, "cancel_export")
    assert state(explorer) == idle
    say(explorer, "export", name="subset")
    done = finish(explorer)
    say(explorer, "cancel_export")
    assert state(explorer) == done
    assert (folder / "subset.h5ad").exists()


# -- download -----------------------------------------------------------------------------------------


def download(explorer: Explorer, pieces: list[dict[str, Any]]) -> bytes:
    """Ask for one piece after the other, as the browser does."""
    taken = b""
    while not pieces or len(taken) < pieces[-1]["size"]:
        before = len(pieces)
        say(explorer, "download", number=0, offset=len(taken))
        until(lambda before=before: len(pieces) > before)
        assert pieces[-1]["offset"] == len(taken)
        taken += pieces[-1]["bytes"]
    return taken


def test_a_download_is_the_exported_file_piece_by_piece(explorer, folder, pieces, monkeypatch):
    monkeypatch.setattr("cellasso_app.panels.selection.controller.PIECE", 10_000)
    choose(explorer)
    say(explorer, "export", name="subset")
    finish(explorer)
    expected = (folder / "subset.h5ad").read_bytes()
    assert download(explorer, pieces) == expected
    assert len(pieces) == -(-len(expected) // 10_000) > 1
    assert {piece["name"] for piece in pieces} == {"subset.h5ad"}
    assert {piece["type"] for piece in pieces} == {"piece"}


@pytest.mark.parametrize("offset", [0, -1])
def test_nothing_is_sent_before_an_export_or_from_before_its_start(explorer, pieces, offset):
    if offset < 0:
        choose(explorer)
        say(explorer, "export", name="subset")
        finish(explorer)
    before = state(explorer)
    say(explorer, "download", number=0, offset=offset)
    until(lambda: not explorer.selecting.is_busy)
    assert not pieces
    assert state(explorer) == before


def test_beyond_the_end_there_are_no_bytes(explorer, pieces):
    choose(explorer)
    say(explorer, "export", name="subset")
    finish(explorer)
    say(explorer, "download", number=0, offset=1 << 40)
    until(lambda: pieces)
    assert pieces[0]["bytes"] == b""


def test_a_file_that_is_gone_is_one_sentence(explorer, folder, pieces):
    choose(explorer)
    say(explorer, "export", name="subset")
    finish(explorer)
    (folder / "subset.h5ad").unlink()
    say(explorer, "download", number=0, offset=0)
    until(lambda: state(explorer)["state"] == "failed")
    assert "subset.h5ad can no longer be read (No such file or directory)" in state(explorer)["message"]
    assert not pieces


def test_each_session_downloads_only_its_own_export(explorer, dataset, folder, pieces):
    choose(explorer)
    say(explorer, "export", name="subset")
    finish(explorer)
    other = Explorer(dataset, export_dir=folder)
    say(other, "download", number=0, offset=0)
    until(lambda: not other.views.active.bar.busy)
    assert not pieces


def test_the_page_shows_the_size_of_the_selection_in_both_places(explorer):
    mask = choose(explorer)
    assert explorer.app_bar.n_selected == explorer.selecting.panel.n_selected == mask.sum()
    assert explorer.app_bar.can_undo
    explorer.app_bar.receive({"type": "undo"})
    until(lambda: explorer.app_bar.n_selected is None)
    assert (explorer.app_bar.can_undo, explorer.app_bar.can_redo) == (False, True)
    explorer.app_bar.receive({"type": "redo"})
    explorer.app_bar.receive({"type": "clear"})  # in turn: after the redo, however fast it comes
    until(lambda: explorer.session.can_undo and explorer.session.selection is None)


def test_what_the_panel_holds_is_plain_json(explorer):
    choose(explorer)
    until(lambda: explorer.selecting.panel.rows)
    say(explorer, "export", name="subset")
    finish(explorer)
    json.dumps([explorer.selecting.panel.rows, state(explorer), explorer.selecting.panel.columns])
