"""Groups of a plot, against what scanpy's plots make of the same columns."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scanpy.plotting._anndata import _prepare_dataframe

from cellasso.core.errors import ElementError, NotFoundError
from cellasso.pl.groups import MAX_GROUPS, groupby_vector, read_groups


def scanpys(adata, groupby, num_categories=7):
    """Return the categories of scanpy, and each cell's."""
    _, frame = _prepare_dataframe(adata, ["CD3D"], groupby, num_categories=num_categories)
    return frame.index


@pytest.mark.parametrize("groupby", ["bulk_labels", "louvain", "gaps", ["phase", "louvain"], ["donor", "phase"]])
def test_groups_are_those_of_scanpy(pbmc, adata, groupby):
    if groupby == ["phase", "louvain"]:
        groupby = ["phase", "bulk_labels"]
    expected = scanpys(adata, groupby)
    groups = read_groups(pbmc, groupby)
    assert list(groups.labels) == [str(label) for label in expected.categories]
    np.testing.assert_array_equal(groups.codes, expected.codes)
    np.testing.assert_array_equal(groups.n_cells, [np.sum(expected == label) for label in expected.categories])
    assert groups.name == (groupby if isinstance(groupby, str) else "_".join(groupby))


@pytest.mark.parametrize("column", ["score", "rank", "n_counts"])
@pytest.mark.parametrize("n", [3, 7])
def test_numbers_are_cut_as_by_scanpy(pbmc, adata, column, n):
    expected = scanpys(adata, column, n)
    groups = read_groups(pbmc, column, num_categories=n)
    present = [str(label) for label in expected.categories if (expected == label).any()]
    assert list(groups.labels) == present
    assert [groups.labels[code] for code in groups.codes] == [str(label) for label in expected]


def test_categories_without_cells_are_left_out_and_colours_stay_with_theirs(pbmc):
    groups = read_groups(pbmc, "donor")  # b, none, a
    assert groups.labels == ("b", "a")
    assert groups.colors == ("#111111", "#333333")


def test_groups_in_the_order_that_is_wanted(pbmc, adata):
    groups = read_groups(pbmc, "phase", categories_order=["S", "G1"])
    phase = adata.obs["phase"].to_numpy()
    assert groups.labels == ("S", "G1")
    np.testing.assert_array_equal(groups.codes, np.select([phase == "S", phase == "G1"], [0, 1], -1))
    assert groups.n_cells.tolist() == [np.sum(phase == "S"), np.sum(phase == "G1")]


def test_booleans_and_texts_are_categories(dataset, plain):
    for column in ("bool", "maybe_bool", "text"):
        values = plain.oracle.obs[column].astype("category")
        groups = read_groups(dataset, column)
        assert list(groups.labels) == [str(label) for label in values.cat.categories]
        np.testing.assert_array_equal(groups.codes, values.cat.codes)


def test_missing_numbers_are_in_no_range(dataset, plain):
    groups = read_groups(dataset, "float32", num_categories=3)
    np.testing.assert_array_equal(groups.codes == -1, plain.oracle.obs["float32"].isna())
    nullable = read_groups(dataset, ["maybe_int"], num_categories=2)
    np.testing.assert_array_equal(nullable.codes == -1, plain.oracle.obs["maybe_int"].isna())


def test_infinite_numbers_are_in_no_range(damaged):
    def change(file):
        file["obs/float64"][:5] = [np.inf, -np.inf, 1, 2, 3]

    groups = read_groups(damaged(change), "float64", num_categories=2)
    assert groups.codes[:2].tolist() == [-1, -1]
    assert len(groups) == 2


def test_a_column_of_a_modality_is_found_and_aligned(pbmc_mu, pbmc_mudata):
    groups = read_groups(pbmc_mu, "protein:phase")
    its = pbmc_mudata.oracle["protein"].obs["phase"].reindex(pbmc_mudata.oracle.obs_names)
    assert [groups.labels[code] if code >= 0 else None for code in groups.codes] == [
        None if pd.isna(each) else each for each in its
    ]


def test_colours_of_a_modality(pbmc_mu, pbmc_mudata):
    stated = [color.lower() for color in pbmc_mudata.oracle["rna"].uns["bulk_labels_colors"]]
    assert list(read_groups(pbmc_mu, "rna:bulk_labels").colors) == stated
    assert list(read_groups(pbmc_mu["rna"], "bulk_labels").colors) == stated


def test_a_column_goes_before_a_feature_of_the_same_name(damaged):
    def change(file):
        file["obs/g1"] = np.array([b"x", b"y"] * 30)
        file["obs"].attrs["column-order"] = [*file["obs"].attrs["column-order"], "g1"]
        file["obs/g1"].attrs["encoding-type"], file["obs/g1"].attrs["encoding-version"] = "string-array", "0.2.0"

    dataset = damaged(change)
    assert groupby_vector(dataset, "g1").kind == "obs"
    assert read_groups(dataset, "g1").labels == ("x", "y")


def test_reordering_keeps_cells_of_no_group_out(dataset):
    groups = read_groups(dataset, "gaps")
    assert groups.labels == ("a",)
    assert (groups.ordered([0]).codes == groups.codes).all()
    assert (groups.codes == -1).any()
    ordered = read_groups(dataset, "ordered")
    turned = ordered.ordered([1, 0])
    assert turned.labels == ordered.labels[::-1]
    assert turned.n_cells.tolist() == ordered.n_cells.tolist()[::-1]
    assert (turned.codes == 1 - ordered.codes).all()


@pytest.mark.parametrize(
    ("groupby", "options", "error", "says"),
    [
        ("phaze", {}, NotFoundError, "phase"),
        ("phase", {"categories_order": ["G1", "S1"]}, NotFoundError, "no group 'S1'"),
        ("phase", {"categories_order": ["G1", "G1"]}, ElementError, "'G1' twice"),
        ([], {}, ElementError, "groupby is empty"),
    ],
)
def test_what_is_refused(pbmc, groupby, options, error, says):
    with pytest.raises(error, match=says):
        read_groups(pbmc, groupby, **options)


def test_names_of_cells_are_no_groups(pbmc, monkeypatch):
    monkeypatch.setattr("cellasso.pl.groups.MAX_GROUPS", 100)
    assert MAX_GROUPS > 100
    with pytest.raises(ElementError, match="700 different values"):
        read_groups(pbmc, "obs_names")


def test_combinations_that_read_alike_are_refused(damaged):
    def change(file):
        for name, values in (("one", [b"a", b"a_b"] * 30), ("two", [b"b_c", b"c"] * 30)):
            file[f"obs/{name}"] = np.array(values)
            file["obs"].attrs["column-order"] = [*file["obs"].attrs["column-order"], name]

    with pytest.raises(ElementError, match="'a_b_c'"):
        read_groups(damaged(change), ["one", "two"])
