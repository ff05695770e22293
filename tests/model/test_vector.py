"""Vectors and their text: printed and read back, by generated names, and the references of anndata."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest

from cellasso.model.vector import OBS_NAMES, SUMS, Vector, VectorError

ALPHABET = ["a", "B", "é", "0", "1", ":", "/", "`", " ", "-", "obs", "gene", "sum", "lognorm", "raw", "X", "\n", "数"]


def names(rng: random.Random, *, least: int = 1) -> str:
    return "".join(rng.choices(ALPHABET, k=rng.randint(least, 4)))


def generated(seed: int) -> Vector:
    rng = random.Random(seed)
    modality = rng.choice(["", names(rng)])
    layer = rng.choice([None, "raw", "X", names(rng)])
    return rng.choice(
        [
            Vector("obs", names(rng), modality),
            Vector("gene", names(rng), modality, layer, normalised=rng.random() < 0.5),
            Vector("sum", rng.choice(SUMS), modality, layer),
            Vector("obsm", names(rng), modality, dim=rng.randrange(100)),
        ]
    )


def test_what_is_printed_is_read_back_and_different_vectors_print_differently():
    vectors = [generated(seed) for seed in range(5_000)]
    texts = list(map(str, vectors))
    assert [Vector.parse(text) for text in texts] == vectors
    assert len(set(texts)) == len(set(vectors)) > 2_000


@pytest.mark.parametrize(
    ("text", "vector"),
    [
        ("obs:leiden", Vector("obs", "leiden")),
        ("gene:CD4", Vector("gene", "CD4")),
        ("counts/CD4", Vector("gene", "CD4", layer="counts")),
        ("raw/HLA-A", Vector("gene", "HLA-A", layer="raw")),
        ("gene:counts/CD4", Vector("gene", "CD4", layer="counts")),
        ("lognorm:CD4", Vector("gene", "CD4", normalised=True)),
        ("lognorm:counts/CD4", Vector("gene", "CD4", layer="counts", normalised=True)),
        ("sum:total", Vector("sum", "total")),
        ("sum:raw/n_nonzero", Vector("sum", "n_nonzero", layer="raw")),
        ("X_umap:0", Vector("obsm", "X_umap")),
        ("rna:X_umap:1", Vector("obsm", "X_umap", "rna", dim=1)),
        ("rna:gene:CD4", Vector("gene", "CD4", "rna")),
        ("rna:raw:gene:CD4", Vector("gene", "CD4", "rna:raw")),
        ("rna:raw/CD4", Vector("gene", "CD4", "rna", "raw")),
        ("gene:`chr1:100-200`", Vector("gene", "chr1:100-200")),
        ("`a``b`/`c/d`", Vector("gene", "c/d", layer="a`b")),
        ("`obs`:0", Vector("obsm", "obs")),
        ("obs:0", Vector("obs", "0")),
        ("obs:gene", Vector("obs", "gene")),
    ],
)
def test_texts(text, vector):
    assert Vector.parse(text) == vector
    assert Vector.parse(str(vector)) == vector


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("CD4", "does not say what it is"),
        ("", "empty"),
        ("obs:", "lacks a name at its end"),
        ("obs::x", "lacks a name at character 5"),
        ("gene:`CD4", "not closed"),
        ("a/b/c", "two slashes"),
        ("obs:a/b", "backticks"),
        ("sum:mean", "total and n_nonzero"),
        ("`a`b", "lacks a colon or slash"),
        ("X_umap:`0`", "does not say what it is"),
    ],
)
def test_what_is_no_vector_is_refused_in_a_sentence(text, reason):
    with pytest.raises(VectorError, match=reason):
        Vector.parse(text)


def test_references_of_anndata_are_understood_by_shape():
    def reference(idx: object, **acc: object) -> SimpleNamespace:
        return SimpleNamespace(acc=SimpleNamespace(**acc), idx=idx)

    every = slice(None)
    assert Vector.of(reference((every, "CD4"), k=None)) == Vector("gene", "CD4")
    assert Vector.of(reference((every, "CD4"), k="counts")) == Vector("gene", "CD4", layer="counts")
    assert Vector.of(reference("leiden", dim="obs"), modality="rna") == Vector("obs", "leiden", "rna")
    assert Vector.of(reference(None, dim="obs")) == Vector("obs", OBS_NAMES)
    assert Vector.of(reference(1, dim="obs", k="X_umap")) == Vector("obsm", "X_umap", dim=1)
    for other in (
        reference(("AAAC", every), k=None),  # one value per feature
        reference("symbol", dim="var"),
        reference(0, dim="var", k="PCs"),
        reference((every, "AAAC"), dim="obs", k="connectivities"),
        "leiden",
    ):
        with pytest.raises(VectorError, match="no single value of each cell"):
            Vector.of(other)


def test_references_of_the_installed_anndata():
    acc = pytest.importorskip("anndata.acc", reason="comes with anndata 0.13")
    assert Vector.of(acc.A.X[:, "CD4"]) == Vector("gene", "CD4")
    assert Vector.of(acc.A.layers["counts"][:, "CD4"]) == Vector("gene", "CD4", layer="counts")
    assert Vector.of(acc.A.obs["leiden"]) == Vector("obs", "leiden")
    assert Vector.of(acc.A.obs.index) == Vector("obs", OBS_NAMES)
    assert Vector.of(acc.A.obsm["X_umap"][:, 1]) == Vector("obsm", "X_umap", dim=1)
    with pytest.raises(VectorError):
        Vector.of(acc.A.varm["PCs"][:, 0])
