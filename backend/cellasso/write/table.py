"""Tables of the selected cells: names, or obs with chosen features, as text, CSV or Parquet."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellasso.core.atomic_file import Partial
from cellasso.core.errors import CellassoError, ExportError

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from cellasso.core.progress import Progress
    from cellasso.model.container import Container

SUFFIXES = (".txt", ".csv", ".parquet")
"""What a table's name may end in: names of cells, one a line; obs and features as CSV; the same as Parquet."""

OBS_SHARE, FEATURES_SHARE = 0.2, 0.7
"""Which part of the progress reading obs and reading features is; the rest is writing."""

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Spreadsheets run text that begins so; it is written with an apostrophe before it."""


def write_table(
    dataset: Container[Any],
    mask: NDArray[np.bool_],
    path: str | os.PathLike[str],
    *,
    features: Sequence[str] = (),
    layer: str | Mapping[str, str | None] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write the cells of `mask` `(n_obs,)` as a table and return its path; complete or not at all.

    Parameters
    ----------
    dataset
        The file that the cells are in.
    mask
        Which cells are written, `(n_obs,)` bool.
    path
        Its suffix says what is written, see `SUFFIXES`.
    features
        Features whose values become columns after those of obs, read as `Dataset.read_features` does.
    layer
        Which matrix they are read from: one for all, or one for each by its name.
    overwrite
        Whether a file that exists is replaced.
    progress
        Told the fraction done, the last time before the file appears; what it raises stops the writing.

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
    names = dataset.obs_names[mask]
    try:
        with Partial(target) as part:
            if target.suffix == ".txt":
                part.path.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
            else:
                table = _table(dataset, mask, features, layer, progress)
                _write(table, part.path, target.suffix)
            if progress is not None:
                progress(1.0)  # the last moment to stop it
            part.put(overwrite=overwrite)
    except CellassoError:  # some of them are an OSError too
        raise
    except OSError as error:
        raise ExportError(f"{target} was not written ({error.strerror or error}).") from error
    return target


def _table(
    dataset: Container[Any],
    mask: NDArray[np.bool_],
    features: Sequence[str],
    layer: str | Mapping[str, str | None] | None,
    progress: Progress | None,
) -> pd.DataFrame:
    import pandas as pd  # noqa: PLC0415

    names = list(dataset.obs)
    columns = {}
    for done, name in enumerate(names):
        if progress is not None:
            progress(OBS_SHARE * done / len(names))
        columns[name] = dataset.read_obs(name)[mask].array
    for feature, read in _read_features(dataset, features, layer, progress).items():
        # a gene may be called like a column of obs
        columns[feature if feature not in columns else f"{feature} (feature)"] = pd.array(read[mask])
    return pd.DataFrame(columns, index=pd.Index(dataset.obs_names[mask], name="obs_names"))


def _read_features(
    dataset: Container[Any],
    features: Sequence[str],
    layer: str | Mapping[str, str | None] | None,
    progress: Progress | None,
) -> dict[str, NDArray[np.generic]]:
    """Read features, all of one matrix in one pass, and return them in the order asked for."""
    layers = layer if isinstance(layer, Mapping) else dict.fromkeys(features, layer)
    read: dict[str, NDArray[np.generic]] = {}
    for done, one in enumerate(passes := list(dict.fromkeys(layers[feature] for feature in features))):
        names = [feature for feature in features if layers[feature] == one]
        start, share = OBS_SHARE + FEATURES_SHARE * done / len(passes), FEATURES_SHARE / len(passes)
        told = None if progress is None else partial(_tell_part, progress, start, share)
        read |= zip(names, dataset.read_features(names, one, progress=told), strict=True)
    return {feature: read[feature] for feature in features}


def _tell_part(progress: Progress, start: float, share: float, fraction: float) -> None:
    progress(start + share * fraction)


def _write(table: pd.DataFrame, path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        try:
            table.to_parquet(path)
        except ImportError:
            raise ExportError("Parquet needs pyarrow: pip install 'cellasso[parquet]'; or choose .csv.") from None
        except (ValueError, TypeError, NotImplementedError) as error:  # what pyarrow's errors are
            raise ExportError(f"obs cannot be written as Parquet ({error}); choose .csv.") from error
        return
    safe = table.rename(index=no_formula, columns=no_formula)
    for position, column in enumerate(safe):
        values = safe.iloc[:, position]
        if values.dtype.kind not in "biufM":
            safe[column] = values.astype(object).map(no_formula)
    safe.index.name = "obs_names"
    safe.to_csv(path, encoding="utf-8")


def no_formula(value: object) -> object:
    """Return a value as CSV has it: text that a spreadsheet would run has an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
