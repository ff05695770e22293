"""Tables of the selected cells: names, or obs with chosen features, as text, CSV or Parquet."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from cellasso.errors import ExportError

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from cellasso.dataset import Dataset
    from cellasso.matrix import Progress

SUFFIXES = (".txt", ".csv", ".parquet")
"""What a table's name may end in: names of cells, one a line; obs and features as CSV; the same as Parquet."""

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Spreadsheets run text that begins so; it is written with an apostrophe before it."""


def write_table(
    dataset: Dataset,
    mask: NDArray[np.bool_],
    path: str | os.PathLike[str],
    *,
    features: Sequence[str] = (),
    layer: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write the cells of `mask` `(n_obs,)` as a table and return its path; complete or not at all.

    Parameters
    ----------
    path
        Its suffix says what is written, see `SUFFIXES`.
    features
        Features whose values become columns after those of obs, read as `Dataset.read_features` does.
    layer
        Which matrix they are read from.
    overwrite
        Whether a file that exists is replaced.

    Raises
    ------
    ExportError
        The name has another suffix, the file exists, or it cannot be written.
    NotFoundError
        There is no such feature.
    """
    target = Path(path).expanduser().absolute()
    if target.suffix not in SUFFIXES:
        raise ExportError(f"{target.name} is no table: its name has to end in {', '.join(SUFFIXES)}.")
    if target.exists() and not overwrite:
        raise ExportError(f"{target} exists already; choose another name, or allow to overwrite it.")
    if target.exists() and target.samefile(dataset.file_path):
        raise ExportError(f"{target} is the file that is open; choose another name for the table.")
    part = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.part")
    names = dataset.obs_names[mask]
    try:
        if target.suffix == ".txt":
            part.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
        else:
            table = _table(dataset, mask, features, layer, progress)
            _write(table, part, target.suffix)
        part.replace(target)
    except OSError as error:
        raise ExportError(f"{target} was not written ({error.strerror or error}).") from error
    finally:
        part.unlink(missing_ok=True)
    return target


def _table(
    dataset: Dataset, mask: NDArray[np.bool_], features: Sequence[str], layer: str | None, progress: Progress | None
) -> pd.DataFrame:
    import pandas as pd  # noqa: PLC0415

    columns = {column: dataset.read_obs(column)[mask].array for column in dataset.obs}
    values = dataset.read_features(features, layer, progress=progress) if features else []
    for feature, read in zip(features, values, strict=True):
        # a gene may be called like a column of obs
        columns[feature if feature not in columns else f"{feature} (feature)"] = pd.array(read[mask])
    return pd.DataFrame(columns, index=pd.Index(dataset.obs_names[mask], name="obs_names"))


def _write(table: pd.DataFrame, path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        try:
            table.to_parquet(path)
        except ImportError:
            raise ExportError("Parquet needs pyarrow: pip install 'cellasso[parquet]'; or choose .csv.") from None
        return
    safe = table.rename(index=_safe, columns=_safe)
    for position, column in enumerate(safe):
        values = safe.iloc[:, position]
        if values.dtype.kind not in "biufM":
            safe[column] = values.astype(object).map(_safe)
    safe.index.name = "obs_names"
    safe.to_csv(path, encoding="utf-8")


def _safe(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
