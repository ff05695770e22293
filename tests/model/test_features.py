"""Finding features by name, by alias, and while typing."""

from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import cellasso
from cellasso.core.errors import NotFoundError
from cellasso.model.genomic_intervals import _REGION, GenomicRange, Intervals
from cellasso.model.name_index import NameIndex

NAMES = ["CD4", "CD44", "SCD4", "cd8a", "CD8A", "ACTB", "7SK"]
VAR = pd.DataFrame(
    {
        "gene_ids": [f"ENSG{i}" for i in range(7)],
        "gene_symbols": pd.Categorical([None, "Hermes", "CD4", None, None, "beta-actin", None]),
        "gene_name": [1, 2, 3, 4, 5, 6, 7],
    },
    index=NAMES,
)


def write_var(path, var):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # duplicates
        ad.AnnData(np.eye(len(var), dtype="f4"), var=var).write_h5ad(path, convert_strings_to_categoricals=False)
    return path


@pytest.fixture
def features(tmp_path):
    with cellasso.open(write_var(tmp_path / "x.h5ad", VAR)) as dataset:
        yield dataset.features()


def found(features, text, **options):
    return [suggestion.name for suggestion in features.search(text, **options)]


@pytest.mark.parametrize(
    ("name", "position"),
    [("CD4", 0), ("CD8A", 4), ("cd8a", 3), ("Cd8a", 3), ("ENSG5", 5), ("ensg5", 5), ("Hermes", 1), ("BETA-ACTIN", 5)],
)
def test_exact_names_come_before_aliases_and_aliases_before_case(features, name, position):
    assert features.position(name) == position


@pytest.mark.parametrize("name", ["nan", "NaN", "None", "", "<NA>", "1"])
def test_a_missing_alias_is_no_name_and_numbers_are_no_aliases(features, name):
    with pytest.raises(NotFoundError, match=f"/var of 7 features has no {name!r}"):
        features.position(name)


def test_an_unknown_name_is_answered_with_the_nearest(features):
    with pytest.raises(NotFoundError, match=r"no 'CD4X'; nearest: .*CD4"):
        features.position("CD4X")


def test_search_puts_equal_first_then_beginnings_by_length_then_the_rest(features):
    assert found(features, "cd4") == ["CD4", "SCD4", "CD44"]  # SCD4's symbol is CD4
    assert found(features, "hermes") == ["CD44"]
    assert found(features, " act ") == ["ACTB"]
    assert found(features, "tb") == ["ACTB"]
    assert found(features, "nothing like it") == []
    assert found(features, "") == NAMES
    assert found(features, "c", limit=2) == ["CD4", "CD44"]


def test_names_are_made_unique_as_anndata_does(tmp_path):
    names = ["TBCE", "A", "TBCE", "TBCE-1", "A", "A"]
    path = write_var(tmp_path / "x.h5ad", pd.DataFrame(index=names))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = ad.read_h5ad(path)
        expected.var_names_make_unique()
    with cellasso.open(path) as dataset:
        assert list(dataset.features()) == list(expected.var_names)
        for position, name in enumerate(expected.var_names):
            assert dataset.read_feature(name)[position] == 1


def test_a_damaged_alias_leaves_the_names_findable(damaged):
    def change(file):
        file["var/gene_symbols"].attrs["encoding-type"] = "from-the-future"

    features = damaged(change).features()
    assert found(features, "G1") == ["g1", *(f"g{i}" for i in range(10, 17))]
    with pytest.raises(NotFoundError, match="has no 'SYM3'"):
        features.position("SYM3")


def test_raw_has_features_of_its_own(dataset, plain):
    assert len(dataset.features()) == plain.oracle.n_vars
    assert list(dataset.features("raw")) == list(plain.oracle.raw.var_names)
    assert dataset.features("counts") is dataset.features()


def test_names_are_searched_across_the_border_of_two_names_never(tmp_path):
    index = NameIndex(["ab", "cd", "", "b\nc"])
    assert index.search("b") == [(1, 3), (2, 0)]
    assert index.search("bc") == []
    assert index.search("ab") == [(0, 0)]
    assert NameIndex([]).search("a") == []


def test_search_of_random_names_equals_a_plain_scan():
    rng = np.random.default_rng(5)
    names = ["".join(rng.choice(list("aBcDé."), rng.integers(1, 7))) for _ in range(500)]
    index = NameIndex(names)
    for wanted in ["a", "b", "cd", "é.", "..", "abc", "dd"]:
        folded = [name.casefold() for name in names]
        expected = sorted(
            (0 if name == wanted else 1 if name.startswith(wanted) else 2, i)
            for i, name in enumerate(folded)
            if wanted in name
        )
        assert index.search(wanted) == expected


CELLXGENE = pd.DataFrame(
    {
        "feature_name": pd.Categorical(["TP53", "CD4", "TBCE", "TBCE"]),
        "feature_type": pd.Categorical(["protein_coding"] * 4),
    },
    index=["ENSG00000141510.17", "ENSG00000010610", "ENSG00000285053", "ENSG00000116957"],
)


def test_accessions_are_shown_by_their_symbols_and_found_without_their_version(tmp_path):
    with cellasso.open(write_var(tmp_path / "x.h5ad", CELLXGENE)) as dataset:
        features = dataset.features()
        assert features.search("tp5") == [("ENSG00000141510.17", "TP53", "ENSG00000141510.17")]
        assert features.label("ENSG00000010610") == "CD4"
        for typed in ("ENSG00000141510", "ensg00000141510.3", "TP53", "tp53"):
            assert features.position(typed) == 0
        assert found(features, "ENSG00000010610.9") == ["ENSG00000010610"]
        # a symbol of two features: both are offered, told apart by their accession
        assert [suggestion[1:] for suggestion in features.search("tbce")] == [
            ("TBCE", "ENSG00000285053"),
            ("TBCE", "ENSG00000116957"),
        ]
        assert found(features, "protein_coding") == []


def test_repeated_names_are_counted(tmp_path):
    with cellasso.open(write_var(tmp_path / "x.h5ad", pd.DataFrame(index=["A", "B", "A", "A"]))) as dataset:
        assert dataset.features().n_duplicates == 2


@pytest.mark.parametrize("shape", ["chr{}:{}-{}", "{}:{}-{}", "chr{}-{}-{}", "chr{}_{}_{}"])
def test_region_finds_the_peaks_that_overlap_it_in_the_order_of_the_genome(tmp_path, shape):
    rng = np.random.default_rng(3)
    peaks = [
        (int(c), int(s), int(s) + 900)
        for c, s in zip(rng.integers(1, 4, 300), rng.integers(0, 10**6, 300), strict=True)
    ]
    names = [shape.format(*peak) for peak in peaks]
    with cellasso.open(write_var(tmp_path / "x.h5ad", pd.DataFrame(index=names))) as dataset:
        for typed, c, low, high in [("chr2:100,000-300,000", 2, 10**5, 3 * 10**5), ("CHR3:0-999", 3, 0, 999)]:
            expected = sorted((s, i) for i, (chrom, s, e) in enumerate(peaks) if chrom == c and s < high and e > low)
            assert found(dataset.features(), typed, limit=999) == [names[i] for _, i in expected]
        assert set(found(dataset.features(), names[7])) == {names[7]}
        assert found(dataset.features(), "chr9:1-2") == []


@pytest.mark.parametrize("text", ["chr1", "1:5-5", "chr1:9-3", "CD4", "", "chr1:", "HLA-A"])
def test_text_that_is_no_stretch_of_a_chromosome_is_none(text):
    region = GenomicRange.parse(text)
    assert region is None or (region.start, text) == (0, "chr1")


def test_intervals_are_read_from_names_as_the_expression_of_a_region_reads_them():
    rng = np.random.default_rng(5)
    pieces = ["chr1", "Chr2", "X", "chrUn_GL000-v1", "é", " ", "\t", ":", "-", "_", "..", "1,000", "7", ",", "chr1:5-9"]
    shapes = [["chromosome", ":", "number", "-", "number"], ["chromosome", "_", "number", " ", "..", "number"]]
    names = ["".join(rng.choice(pieces, rng.integers(1, 7))) for _ in range(15_000)]
    for shape in shapes:
        kinds = {"chromosome": ["chr1", "2", "é", "chrUn_GL000-v1"], "number": ["1,000", "7", "4050"]}
        names += [
            "".join(str(rng.choice(kinds.get(part, [part, part, "", " "]))) for part in shape) for _ in range(2_500)
        ]
    names += [f"chr{c}:{s}-{s + 9}" for c in (1, 2, 1) for s in range(0, 90_000, 10)]
    expected = []
    for name in names:
        found = _REGION.fullmatch(name)
        start, end = (int(found[n].replace(",", "") or -1) for n in (2, 3)) if found else (-1, -1)
        expected.append((found[1].casefold().removeprefix("chr") if min(start, end) >= 0 else None, start, end))
    intervals = Intervals.of_names(names[::-1])
    for chromosome in ("1", "2", "x", "é", "un_gl000-v1"):
        for low, high in ((4_000, 4_100), (0, 1 << 61)):
            found = intervals.overlapping(GenomicRange(chromosome, low, high)).tolist()
            assert sorted(len(names) - 1 - position for position in found) == [
                n for n, (its, start, end) in enumerate(expected) if its == chromosome and start < high and end > low
            ]
    assert sum(its is not None for its, *_ in expected[:20_000]) > 1_000


def test_names_with_newlines_and_of_other_scripts_are_found_where_they_are():
    names = ["a\nb", "Straße", "", "ΑΣ", "a b", "strasse", "ΑΣ"]
    index = NameIndex(names)
    assert index.search("strasse") == [(0, 1), (0, 5)]
    assert index.search("a b") == [(0, 0), (0, 4)]
    assert index.search("b") == [(2, 0), (2, 4)]
    assert index.exact == {"a\nb": 0, "Straße": 1, "ΑΣ": 3, "a b": 4, "strasse": 5}
    assert index.folded == {"a b": 0, "strasse": 1, "ας".casefold(): 3}
    assert NameIndex([]).search("a") == []
    assert NameIndex([]).folded == {}
