"""Groups of cells joined into a tree by how alike their means are, as `scanpy.tl.dendrogram` does it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from cellasso.core.errors import ElementError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    CorrelationMethod: TypeAlias = Literal["pearson", "kendall", "spearman"]

CORRELATIONS = ("pearson", "kendall", "spearman")
LINKAGES = ("single", "complete", "average", "weighted", "centroid", "median", "ward")


@dataclass(frozen=True)
class Dendrogram:
    """A tree whose leaves are groups.

    Attributes
    ----------
    linkage
        Which two clusters each merge joins, at which height, and how many groups they have, `(n_groups - 1, 4)`
        float64, as `scipy.cluster.hierarchy.linkage` returns it.
    order
        Which group each leaf is, from the first to the last.
    branches
        The four corners of each merge, `(n_groups - 1, 4, 2)`: along the leaves, where leaf i stands at i + 0.5, and
        the height (1 - correlation).
    correlation
        Of the groups' means, `(n_groups, n_groups)`; `None` where only the linkage is known.
    """

    linkage: NDArray[np.float64]
    order: tuple[int, ...]
    branches: NDArray[np.float64]
    correlation: NDArray[np.float64] | None = None

    @property
    def height(self) -> float:
        """Height of the highest merge."""
        return float(self.branches[..., 1].max())


def cluster_groups(
    means: NDArray[np.floating],
    *,
    cor_method: CorrelationMethod = "pearson",
    linkage_method: str = "complete",
    optimal_ordering: bool = False,
) -> Dendrogram:
    """Join groups into a tree; the distance of two is 1 - correlation of their means.

    Parameters
    ----------
    means
        Mean of each group in each feature or component, `(n_groups, n_features)`; at least two groups.
    cor_method
        One of `CORRELATIONS`.
    linkage_method, optimal_ordering
        As of `scipy.cluster.hierarchy.linkage`.

    Raises
    ------
    ElementError
        A method is not known, there is one group only, or the means of a group are missing or all the same, so that it
        correlates with nothing.
    """
    from scipy.cluster import hierarchy  # noqa: PLC0415 - a third of a second, where a tree is wanted
    from scipy.spatial.distance import squareform  # noqa: PLC0415

    if cor_method not in CORRELATIONS:
        raise ElementError(f"cor_method={cor_method!r} is not known; there are {', '.join(CORRELATIONS)}.")
    if linkage_method not in LINKAGES:
        raise ElementError(f"linkage_method={linkage_method!r} is not known; there are {', '.join(LINKAGES)}.")
    if len(means) < 2:
        raise ElementError(f"A dendrogram joins two groups or more; there is {len(means)}.")
    correlation = np.clip(_correlation(np.asarray(means, dtype=np.float64), cor_method), -1.0, 1.0)
    if not np.isfinite(correlation).all():
        at = int((~np.isfinite(correlation)).sum(axis=1).argmax())
        raise ElementError(
            f"Group number {at + 1} correlates with no other: its means are missing, or the same in all features. "
            "Choose other var_names=, or leave the group out with categories_order=."
        )
    distances = squareform(1.0 - correlation, checks=False)
    linkage = hierarchy.linkage(distances, method=linkage_method, optimal_ordering=optimal_ordering)
    return dendrogram_of(linkage, correlation)


def dendrogram_of(linkage: NDArray[np.float64], correlation: NDArray[np.float64] | None = None) -> Dendrogram:
    """Return the tree of a linkage.

    Parameters
    ----------
    linkage, correlation
        As of `Dendrogram`.

    Raises
    ------
    ElementError
        It is no linkage.
    """
    from scipy.cluster import hierarchy  # noqa: PLC0415 - see above

    linkage = np.asarray(linkage, dtype=np.float64)
    try:
        hierarchy.is_valid_linkage(linkage, throw=True)
    except (ValueError, TypeError) as error:
        raise ElementError(f"This is no linkage of groups: {error}") from None
    drawn: dict[str, Any] = hierarchy.dendrogram(linkage, no_plot=True)
    along = np.array(drawn["icoord"]) / 10  # SciPy puts the leaves at 5, 15, 25
    branches = np.stack([along, np.array(drawn["dcoord"])], axis=2)
    return Dendrogram(linkage, tuple(int(leaf) for leaf in drawn["leaves"]), branches, correlation)


def _correlation(means: NDArray[np.float64], method: CorrelationMethod) -> NDArray[np.float64]:
    if method == "kendall":
        return _kendall(means)
    if method == "spearman":
        from scipy.stats import rankdata  # noqa: PLC0415 - half a second

        means = np.where(np.isfinite(means), rankdata(means, axis=1), np.nan)
    centred = means - means.mean(axis=1, keepdims=True)
    # the same in all features, but for what rounding leaves of it
    flat = np.linalg.norm(centred, axis=1) <= 1e-12 * np.linalg.norm(means, axis=1)
    centred[flat] = np.nan
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    correlation: NDArray[np.float64] = unit @ unit.T
    return correlation


def _kendall(means: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.stats import kendalltau  # noqa: PLC0415 - half a second

    found = np.eye(len(means))
    for one in range(len(means)):
        for other in range(one):
            found[one, other] = found[other, one] = kendalltau(means[one], means[other]).statistic
    return found
