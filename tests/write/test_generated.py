"""Many generated files in the layouts of many writers: read, and exported, as anndata and mudata have it."""

from __future__ import annotations

import numpy as np
import pytest

import cellasso
import generated
import oracle
from inprocess import masks, write

N_FILES = {"today": 20, "filtered": 10, "by_r": 14, "as_07": 20, "as_06": 20, "h5mu": 8}
N_FIRST = 5
"""Files of each layout that are enough with the oldest versions of the libraries."""

FILES = [
    pytest.param(layout, seed, id=f"{layout}-{seed}", marks=[pytest.mark.more] if seed >= N_FIRST else [])
    for layout, n in N_FILES.items()
    for seed in range(n)
]

pytestmark = [
    # what anndata and mudata remark on old files, repeated names and their own future
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::anndata.OldFormatWarning"),
    pytest.mark.filterwarnings("ignore::anndata.ExperimentalFeatureWarning"),
]


@pytest.mark.parametrize(("layout", "seed"), FILES)
def test_reads_and_exports_of_every_mask_equal_the_oracles(tmp_path, layout, seed):
    path = generated.make(layout, seed, tmp_path)
    with cellasso.open(path) as dataset:
        for ours, theirs in oracle.parts(dataset, oracle.read_once(path)):
            oracle.assert_obs_read(ours, theirs)
            oracle.assert_features_read(ours, theirs)
            oracle.assert_embeddings_read(ours, theirs)
        for which, mask in masks(dataset.n_obs, seed).items():
            target = tmp_path / f"{which}{path.suffix}"
            assert write(dataset, mask, target) == []
            oracle.assert_same(oracle.read(target), oracle.subset(path, mask), which)


@pytest.mark.parametrize(
    ("layout", "which"),
    [
        ("today", "random"),
        *[pytest.param("today", which, marks=pytest.mark.more) for which in ("empty", "full", "one")],
        # mudata turns the float columns of an empty obs to int64 when it writes them: not the oracle of "empty"
        ("h5mu", "random"),
        *[pytest.param("h5mu", which, marks=pytest.mark.more) for which in ("full", "one")],
    ],
)
def test_the_file_itself_equals_the_one_that_the_oracle_writes(tmp_path, layout, which):
    """Paths, attributes such as encoding-type, dtypes and shapes, not only what a reader makes of them."""
    for seed in range(100, 106 if layout == "today" else 102):
        path = generated.make(layout, seed, tmp_path)
        target, right = tmp_path / f"target{path.suffix}", tmp_path / f"right{path.suffix}"
        with cellasso.open(path) as dataset:
            mask = masks(dataset.n_obs, seed)[which]
            write(dataset, mask, target)
        generated.write(oracle.subset(path, mask), right)
        assert oracle.tree(target) == oracle.tree(right), seed
        target.unlink()


@pytest.mark.parametrize("layout", N_FILES)
def test_an_empty_selection_keeps_every_dtype_and_encoding(tmp_path, layout):
    """Where anndata and mudata themselves may change them, the file's own stay."""
    path = generated.make(layout, 200, tmp_path)
    target = tmp_path / f"target{path.suffix}"
    with cellasso.open(path) as dataset:
        write(dataset, np.zeros(dataset.n_obs, dtype=bool), target)
    kept, written = (
        {name: facts for name, facts in oracle.storage(file).items() if not name.startswith("uns/cellasso")}
        for file in (path, target)
    )
    assert {name: written.get(name) for name in kept if not name.endswith("_colors")} == {
        name: facts for name, facts in kept.items() if not name.endswith("_colors")
    }
