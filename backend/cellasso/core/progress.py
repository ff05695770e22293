"""How long work reports the fraction that is done, and previews of what it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

Progress: TypeAlias = "Callable[[float], None]"
"""Called between blocks with the fraction done, 0 to 1; what it raises (`Cancelled`) stops the work."""

Preview: TypeAlias = "Callable[[list[NDArray[np.float32]]], None]"
"""Called now and then while columns are read, with what is known of them: `(n_obs,)` each, NaN where unread."""


def report(progress: Progress | None, done: int, total: int) -> None:
    """Call `progress` with the fraction `done / total`; with 1 where `total` is 0, since nothing is left to do.

    Parameters
    ----------
    progress
        `None`: nothing is called. What it raises (`Cancelled`) is raised here.
    done, total
        In the same unit, such as blocks, rows or stored values; `done` is 0 to `total`.
    """
    if progress is not None:
        progress(done / total if total else 1.0)
