"""What every encoding has to keep: subclass it beside a new one, and say what anndata writes so."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import cellasso
import oracle
from cellasso.encodings import elements, registry, schema
from cellasso.inspect.inspection import inspect
from inprocess import masks, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cellasso.dataset import Dataset
    from cellasso.store.base import Node

N_OBS = 40


class EncodingContract(ABC):
    """Each test writes `values` as anndata does, in `place`, under the name "it".

    Attributes
    ----------
    encoding
        What anndata writes as its `encoding-type`.
    place
        `"obs"`, or a mapping whose elements have a row for each cell.
    kind
        What sort of values a column has that is written so; `None`: it is no column.
    """

    encoding: ClassVar[str]
    place: ClassVar[str] = "obs"
    kind: ClassVar[str | None] = None

    @abstractmethod
    def values(self, rng: np.random.Generator) -> Any:
        """Return an element of `N_OBS` rows."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        adata = ad.AnnData(np.ones((N_OBS, 3), "f4"), obs=pd.DataFrame(index=[f"c{i}" for i in range(N_OBS)]))
        getattr(adata, self.place)["it"] = self.values(np.random.default_rng(0))
        path = tmp_path / "cells.h5ad"
        with ad.settings.override(allow_write_nullable_strings=True):
            adata.write_h5ad(path, convert_strings_to_categoricals=False)
        return path

    @pytest.fixture
    def dataset(self, path: Path) -> Iterator[Dataset]:
        with cellasso.open(path) as dataset:
            yield dataset

    @pytest.fixture
    def node(self, dataset: Dataset) -> Node:
        return dataset.handle.node(f"/{self.place}/it")

    def test_it_is_found(self, node):
        assert schema.encoding(node) == self.encoding
        found = registry.find(node)
        assert found is not None
        assert found.covers(self.encoding)
        if self.kind is not None:
            assert found.kind(node) == self.kind

    def test_its_shape_is_known_without_its_values(self, dataset, node):
        expected = np.shape(self.values(np.random.default_rng(0)))
        shape = elements.shape(node)
        assert shape[:1] == (N_OBS,)
        assert shape == expected[: len(shape)]

    def test_it_is_read_as_anndata_reads_it(self, path, dataset, node):
        expected = getattr(oracle.read(path), self.place)["it"]
        if self.place == "obs":
            pd.testing.assert_series_equal(dataset.read_obs("it"), expected.reset_index(drop=True))
        else:
            oracle.assert_elements_same(elements.read(dataset.handle, node), expected, "it")

    def test_its_parts_are_there_and_have_its_rows(self, dataset, node):
        for part, has_rows in registry.find(node).parts.items():
            stored = dataset.handle.child(node, part)
            assert not has_rows or elements.shape(stored) == (N_OBS,)

    @pytest.mark.parametrize("which", ["random", "empty", "full", "one"])
    def test_its_rows_are_exported_as_anndata_copies_them(self, path, dataset, tmp_path, which):
        mask = masks(N_OBS)[which]
        assert write(dataset, mask, tmp_path / "export.h5ad") == []
        oracle.assert_same(oracle.read(tmp_path / "export.h5ad"), oracle.subset(path, mask), which)

    def test_inspect_lists_it_as_one_element(self, dataset):
        report = inspect(dataset)
        assert not [problem for problem in report.problems if "encoding" in problem]
        members = next(each for each in report.sections[0].elements if each.name == self.place).children
        found = next(each for each in members if each.name == "it")
        assert (found.encoding, found.shape[:1]) == (self.encoding, (N_OBS,))
        assert found.disk_bytes > 0
