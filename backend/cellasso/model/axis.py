"""A number of each cell by which it stands along an axis: a column of obs, a feature, or a sum of its counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np
import pandas as pd

from cellasso.core.errors import ElementError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellasso.dataset import Dataset
    from cellasso.matrix.matrix import Progress

AxisKind: TypeAlias = Literal["obs", "feature", "total", "n_nonzero"]


class Axis(NamedTuple):
    """What stands along an axis.

    Attributes
    ----------
    kind
        A column of obs, a feature, or of each cell the total or the number of its values other than 0.
    name
        Of the column or feature, as `Dataset.read_obs` and `read_feature` take it; of a sum its modality.
    layer, normalised
        Of a feature or sum: its matrix; of a feature whether its counts are log-normalised.
    """

    kind: AxisKind
    name: str
    layer: str | None = None
    normalised: bool = False

    def read(self, dataset: Dataset, *, progress: Progress | None = None) -> NDArray[np.float32]:
        """Read the numbers, `(n_obs,)`; NaN for a cell that has none.

        Raises
        ------
        NotFoundError, ElementError
            There is no such column or feature, or it holds no numbers.
        """
        with np.errstate(over="ignore"):  # beyond float32: infinite, and so without a place
            return self._read(dataset, progress).astype(np.float32)

    def _read(self, dataset: Dataset, progress: Progress | None) -> NDArray[Any]:
        if self.kind == "feature":
            features = dataset.read_features([self.name], self.layer, normalised=self.normalised, progress=progress)
            values = features[0]
        elif self.kind == "obs":
            column = dataset.read_obs(self.name)
            if pd.api.types.is_numeric_dtype(column.dtype):
                return column.to_numpy(dtype=np.float64, na_value=np.nan)
            raise ElementError(f"{self.name} holds {column.dtype}; numbers were expected along an axis.")
        else:
            sums = dataset[self.name].read_cell_sums(self.layer, progress=progress)
            values = dataset.spread(sums.totals if self.kind == "total" else sums.n_nonzero, self.name)
        if values.dtype.kind not in "biuf":
            raise ElementError(f"{self.name} holds {values.dtype}; numbers were expected along an axis.")
        return values
