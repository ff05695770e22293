"""Tables of the selected cells, read back by pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import cellasso
from cellasso.core.errors import Cancelled, ExportError, FileChangedError, NotFoundError
from cellasso.write.table import write_table


@pytest.fixture
def chosen(dataset):
    return np.random.default_rng(2).random(dataset.n_obs) < 0.4


def test_csv_holds_obs_and_features_of_the_selected_cells(dataset, plain, chosen, tmp_path):
    path = write_table(dataset, chosen, tmp_path / "cells.csv", features=["g3", "g1"])
    found = pd.read_csv(path, index_col=0)
    expected = plain.oracle[chosen]
    assert list(found.index) == list(expected.obs_names)
    assert list(found) == [*expected.obs, "g3", "g1"]
    for gene in ("g3", "g1"):
        np.testing.assert_allclose(found[gene], expected[:, gene].X.toarray().ravel().astype(float), rtol=1e-6)
    for column in expected.obs.select_dtypes("category"):
        written = ["" if pd.isna(value) else str(value) for value in found[column]]
        assert written == ["" if pd.isna(value) else str(value) for value in expected.obs[column]]


def test_parquet_keeps_dtypes(dataset, plain, chosen, tmp_path):
    found = pd.read_parquet(write_table(dataset, chosen, tmp_path / "cells.parquet"))
    expected = plain.oracle[chosen].obs
    assert list(found.index) == list(expected.index)
    for column in expected.select_dtypes(["number", "bool"]):
        pd.testing.assert_series_equal(found[column], expected[column], check_names=False, check_index=False)


def test_txt_holds_one_name_a_line(dataset, chosen, tmp_path):
    path = write_table(dataset, chosen, tmp_path / "cells.txt")
    assert path.read_text().splitlines() == list(dataset.obs_names[chosen])


def test_text_that_a_spreadsheet_would_run_is_made_harmless(tmp_path):
    import anndata as ad

    obs = pd.DataFrame(
        {"@note": pd.Categorical(["=1+1", "+2", "-x", "plain"]), "delta": [-1.5, 2.0, -3.0, 4.0]},
        index=["@a", "b", "=c", "d"],
    )
    ad.AnnData(np.ones((4, 1), "f4"), obs=obs).write_h5ad(tmp_path / "x.h5ad")
    with cellasso.open(tmp_path / "x.h5ad") as dataset:
        lines = write_table(dataset, np.ones(4, bool), tmp_path / "x.csv").read_text().splitlines()
    assert lines == ["obs_names,'@note,delta", "'@a,'=1+1,-1.5", "b,'+2,2.0", "'=c,'-x,-3.0", "d,plain,4.0"]


def test_an_existing_file_another_suffix_and_an_unknown_feature_are_refused(dataset, chosen, tmp_path):
    (tmp_path / "taken.csv").write_text("mine")
    with pytest.raises(ExportError, match="exists already"):
        write_table(dataset, chosen, tmp_path / "taken.csv")
    with pytest.raises(ExportError, match=r"has to end in \.txt, \.csv, \.parquet"):
        write_table(dataset, chosen, tmp_path / "cells.xlsx")
    with pytest.raises(NotFoundError, match="no 'nosuch'"):
        write_table(dataset, chosen, tmp_path / "cells.csv", features=["nosuch"])
    with pytest.raises(ExportError, match="was not written"):
        write_table(dataset, chosen, tmp_path / "missing" / "cells.csv")
    assert [entry.name for entry in tmp_path.iterdir()] == ["taken.csv"]
    assert write_table(dataset, chosen, tmp_path / "taken.csv", overwrite=True).read_text() != "mine"


def test_each_feature_may_come_from_a_matrix_of_its_own(dataset, plain, chosen, tmp_path):
    layers = {"g3": "counts", "g1": None, "g2": "counts"}
    path = write_table(dataset, chosen, tmp_path / "cells.csv", features=list(layers), layer=layers)
    found = pd.read_csv(path, index_col=0)
    assert list(found)[-3:] == ["g3", "g1", "g2"]
    for gene, layer in layers.items():
        expected = plain.oracle[chosen].to_df(layer=layer)[gene]
        np.testing.assert_allclose(found[gene], expected, rtol=1e-6)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "txt"])
@pytest.mark.parametrize("features", [[], ["g1", "g2"]], ids=["obs", "genes"])
def test_progress_rises_to_one_and_may_stop_it_to_the_last(dataset, chosen, tmp_path, suffix, features):
    told = []
    write_table(dataset, chosen, tmp_path / f"a.{suffix}", features=features, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0

    def stop(fraction):
        if fraction == 1.0:
            raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        write_table(dataset, chosen, tmp_path / f"b.{suffix}", features=features, progress=stop)
    assert [entry.name for entry in tmp_path.iterdir()] == [f"a.{suffix}"]


def test_what_parquet_cannot_hold_is_a_sentence(dataset, chosen, tmp_path, monkeypatch):
    def refuse(*_arguments):
        raise TypeError("a mixture")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", refuse)
    with pytest.raises(ExportError, match=r"obs cannot be written as Parquet \(a mixture\); choose \.csv"):
        write_table(dataset, chosen, tmp_path / "x.parquet")
    assert not list(tmp_path.iterdir())


def test_a_source_that_changed_is_that_error(dataset, chosen, tmp_path, monkeypatch):
    def changed(_column):
        raise FileChangedError("it was changed")

    monkeypatch.setattr(dataset, "read_obs", changed)
    with pytest.raises(FileChangedError, match=r"^it was changed$"):
        write_table(dataset, chosen, tmp_path / "x.csv")
