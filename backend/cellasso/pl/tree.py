"""The dendrogram of a plot's groups: found in the file, or of the groups' means in a representation of the cells."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cellasso.column_index.indexed_matrix import IndexedMatrix
from cellasso.core.errors import ElementError, NotFoundError
from cellasso.core.text import nearest
from cellasso.dataset import Dataset
from cellasso.encodings import elements
from cellasso.matrix.open import open_matrix
from cellasso.pl.features import FeatureGroup, choose_features
from cellasso.pl.groups import groupby_vector
from cellasso.stats.dendrogram import cluster_groups, dendrogram_of
from cellasso.stats.group_summary import summarise_groups
from cellasso.stats.principal_components import components, read_rows
from cellasso.stats.summarise import summarise_matrix

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import NDArray

    from cellasso.dataset import Modality
    from cellasso.pl.features import Features, VarNames
    from cellasso.pl.groups import Groups
    from cellasso.stats.dendrogram import CorrelationMethod, Dendrogram

N_PCS = 50
"""Components of a PCA; a matrix of so many features is used as it is (scanpy's `settings.N_PCS`)."""

PCA = "X_pca"

PCA_BYTES = 512 << 20
"""Values that are read into memory for a PCA that the file does not have."""

VALUE_BYTES = 12
"""Of a value in a CSR matrix: float64, and its column."""


def plot_tree(
    dataset: Dataset | Modality, groupby: str | Sequence[str], groups: Groups, asked: bool | str
) -> Dendrogram | None:
    """Return the dendrogram that stands beside a plot, or `None` where none is asked for or there are not three groups.

    Parameters
    ----------
    dataset
        The file, or a modality of it.
    groupby
        As of `read_groups`.
    groups
        What that has read.
    asked
        Scanpy's argument `dendrogram`: whether there is one, or the name in `uns` of one that `scanpy.tl.dendrogram`
        has made. With `True` that one is taken which is called as scanpy does, if it is of these groups; else it is
        computed with the defaults of `read_tree`.

    Raises
    ------
    NotFoundError
        There is no dendrogram of that name.
    ElementError
        It is of other groups; or as `read_tree`.
    """
    if not asked or len(groups) < 3:
        return None
    if isinstance(asked, str):
        return _stored(dataset, asked, groups)
    try:
        return _stored(dataset, f"dendrogram_{groups.name}", groups)
    except (NotFoundError, ElementError):
        return read_tree(dataset, groupby, groups)


def read_tree(
    dataset: Dataset | Modality,
    groupby: str | Sequence[str],
    groups: Groups,
    *,
    n_pcs: int | None = None,
    use_rep: str | None = None,
    var_names: VarNames | None = None,
    use_raw: bool | None = None,
    cor_method: CorrelationMethod = "pearson",
    linkage_method: str = "complete",
    optimal_ordering: bool = False,
) -> Dendrogram:
    """Return the dendrogram of groups by their means, as `scanpy.tl.dendrogram` computes it.

    Means are those of `var_names`; else of an element of obsm; else of X, where that has 50 features at most; else of
    the PCA in obsm; else of one that is computed in memory.

    Parameters
    ----------
    dataset, groupby, groups
        As of `plot_tree`. Of an h5mu the modality of the column `groupby` is meant, or the one that has a PCA.
    n_pcs
        How many components count; all by default.
    use_rep
        Name in obsm (`"rna:X_pca"` in an h5mu), or `"X"`.
    var_names, use_raw
        Features, as of `choose_features`.
    cor_method, linkage_method, optimal_ordering
        As of `cluster_groups`.

    Raises
    ------
    NotFoundError
        There is no such representation or feature.
    ElementError
        A PCA would take too much memory; or as `cluster_groups`.
    """
    if var_names is not None:
        chosen = choose_features(dataset, var_names, use_raw=use_raw)
        means = dataset.summarise(chosen.names, groups.codes, len(groups), layer=chosen.layer).mean
    else:
        means = _Representation(dataset, groupby, groups).means(use_rep, n_pcs)
    return cluster_groups(
        means, cor_method=cor_method, linkage_method=linkage_method, optimal_ordering=optimal_ordering
    )


def in_order_of(tree: Dendrogram | None, groups: Groups, features: Features) -> tuple[Groups, Features]:
    """Return groups in the order of a tree's leaves; and features, where each of their labels is that of a group.

    Parameters
    ----------
    tree
        `None`: all stay as they are.
    groups, features
        Those of the plot.
    """
    if tree is None:
        return groups, features
    groups = groups.ordered(tree.order)
    by_label = {each.label: each for each in features.groups}
    if len(by_label) < len(features.groups) or set(by_label) != set(groups.labels):
        return groups, features
    names: list[str] = []
    parts = []
    for label in groups.labels:
        own = features.names[by_label[label].first : by_label[label].last + 1]
        parts.append(FeatureGroup(label, len(names), len(names) + len(own) - 1))
        names += own
    return groups, replace(features, names=tuple(names), groups=tuple(parts))


def _stored(dataset: Dataset | Modality, key: str, groups: Groups) -> Dendrogram:
    """Return a dendrogram of `uns`, of the same groups in the same order."""
    part = dataset.root if isinstance(dataset, Dataset) else dataset
    node = part.handle.node(f"{part.path}/uns/{key}")
    place = part.handle.place(f"{part.path}/uns/{key}")
    try:
        ordered = elements.read_strings(part.handle, part.handle.child(node, "categories_ordered"))
        found = dendrogram_of(np.asarray(elements.read(part.handle, part.handle.child(node, "linkage"))))
    except (NotFoundError, TypeError):
        raise ElementError(f"{place} is no dendrogram as scanpy.tl.dendrogram writes it.") from None
    if len(found.order) != len(groups) or [groups.labels[leaf] for leaf in found.order] != [
        str(each) for each in ordered
    ]:
        raise ElementError(f"{place} is a dendrogram of other groups than those of {groups.name}.")
    return found


class _Representation:
    """What of the cells of a modality is averaged over groups."""

    def __init__(self, dataset: Dataset | Modality, groupby: str | Sequence[str], groups: Groups) -> None:
        self._dataset, self._groups = dataset, groups
        self._first = groupby if isinstance(groupby, str) else groupby[0]

    def means(self, use_rep: str | None, n_pcs: int | None) -> NDArray[np.float64]:
        if use_rep is None and n_pcs == 0:
            use_rep = "X"
        if use_rep is not None and use_rep != "X":
            part, key = self._named(use_rep)
            return self._of_obsm(part, key, n_pcs)
        part = self._usual()
        if use_rep == "X" or part.n_vars <= N_PCS:
            return part.summarise(None, self._codes(part), len(self._groups)).mean
        if PCA in part.obsm:
            return self._of_obsm(part, PCA, n_pcs)
        return self._of_new_pca(part, n_pcs or N_PCS)

    def _codes(self, part: Modality) -> NDArray[np.integer[Any]]:
        dataset, codes = self._dataset, self._groups.codes
        return dataset.alignment(dataset.name_of(part)).codes(codes) if isinstance(dataset, Dataset) else codes

    def _named(self, use_rep: str) -> tuple[Modality, str]:
        dataset = self._dataset
        part, key = dataset.owner(use_rep, own=dataset.obsm) if isinstance(dataset, Dataset) else (dataset, use_rep)
        if key not in part.obsm:
            place = part.handle.place(f"{part.path}/obsm")
            raise NotFoundError(f"{place} has no {key!r}{nearest(key, part.obsm)} Or use_rep='X'.")
        return part, key

    def _usual(self) -> Modality:
        """Return the modality whose PCA or X counts where no representation is named."""
        dataset = self._dataset
        if not isinstance(dataset, Dataset):
            return dataset
        if dataset.format == "h5ad" or PCA in dataset.root.obsm:
            return dataset.root
        own = dataset[groupby_vector(dataset, self._first).modality]
        having = [part for part in dataset.modalities.values() if PCA in part.obsm]
        if own is not dataset.root:
            return own
        if len(having) == 1:
            return having[0]
        ways = " or ".join(f"use_rep='{part.name}:{PCA}'" for part in having) or "use_rep= with an element of obsm"
        raise ElementError(f"{dataset.handle.name} has several modalities: say {ways}, or var_names=.")

    def _of_obsm(self, part: Modality, key: str, n_pcs: int | None) -> NDArray[np.float64]:
        n_dims = part.obsm[key][-1]
        if n_pcs is not None and n_pcs > n_dims:
            raise ElementError(
                f"{part.handle.place(f'{part.path}/obsm/{key}')} has {n_dims} dimensions; n_pcs={n_pcs}."
            )
        codes, n_groups = self._codes(part), len(self._groups)
        try:
            matrix = IndexedMatrix(open_matrix(part.handle, f"{part.path}/obsm/{key}"), None)
        except (ElementError, NotFoundError):  # a data frame, or a field of a compound dataset
            dims = part.drawable_dims(key)[:n_pcs]
            return summarise_groups((part.read_embedding(key, (dim, dim))[:, 0] for dim in dims), codes, n_groups).mean
        if matrix.shape[0] != part.n_obs:
            raise ElementError(f"{matrix.place} has {matrix.shape[0]:,} rows; there are {part.n_obs:,} cells.")
        return summarise_matrix(matrix, None, codes, n_groups).mean[:, :n_pcs]

    def _of_new_pca(self, part: Modality, n_comps: int) -> NDArray[np.float64]:
        matrix = part.fitting_matrix()
        columns = _variable_columns(part)
        n_values = matrix.shape[0] * len(columns)
        n_bytes = VALUE_BYTES * (n_values if matrix.storage == "dense" else min(n_values, matrix.n_stored))
        if n_bytes > PCA_BYTES:
            raise ElementError(
                f"{part.handle.name} has no {PCA}, and one of {matrix.shape[0]:,} cells would take "
                f"{n_bytes >> 20:,} MB (at most {PCA_BYTES >> 20} are taken). Say use_rep=, an element of obsm or 'X', "
                "or var_names=, some features."
            )
        values = read_rows(matrix.matrix, columns.tolist())
        loadings, centre = components(values, min(n_comps, *(n - 1 for n in values.shape)))
        codes, n_groups = self._codes(part), len(self._groups)
        sums = np.zeros((n_groups, len(columns)))
        for group in range(n_groups):
            sums[group] = np.asarray(values[codes == group].sum(axis=0)).ravel()
        n_cells = np.bincount(codes[codes >= 0], minlength=n_groups)[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):  # a group that the modality lacks: NaN, which is refused
            means: NDArray[np.float64] = (sums / n_cells - centre) @ loadings
        return means


def _variable_columns(part: Modality) -> NDArray[np.int64]:
    """Return the features that are marked as highly variable, as scanpy's PCA takes them; all without such marks."""
    if "highly_variable" in part.var:
        marks = part.var.read("highly_variable").to_numpy(dtype=bool, na_value=False)
        if marks.any():
            return np.flatnonzero(marks)
    return np.arange(part.n_vars)
