"""How loops over cells are compiled: once on a machine, without the GIL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

import numba

if TYPE_CHECKING:
    from collections.abc import Callable

Loop = TypeVar("Loop", bound="Callable[..., Any]")


@overload
def njit(function: Loop) -> Loop: ...
@overload
def njit(*, inline: str) -> Callable[[Loop], Loop]: ...
def njit(function: Loop | None = None, *, inline: str = "never") -> Loop | Callable[[Loop], Loop]:
    """Compile a function when it is first called, and keep the result on the disk, where numba finds a place for it.

    Beside the source, in the user's cache, or in `NUMBA_CACHE_DIR`. Where none of them can be written to, as in some
    containers, numba refuses to keep anything at all: then each process compiles for itself.

    Parameters
    ----------
    inline
        As for `numba.njit`.
    """
    if function is None:
        return lambda function: _compile(function, inline)
    return _compile(function, inline)


def _compile(function: Loop, inline: str) -> Loop:
    compiler: Any = numba.njit
    try:
        compiled: Loop = compiler(nogil=True, cache=True, inline=inline)(function)
    except RuntimeError:
        compiled = compiler(nogil=True, inline=inline)(function)
    return compiled


def is_kept(loop: Callable[..., Any]) -> bool:
    """Whether what is compiled of a function is kept on the disk."""
    stats: Any = getattr(loop, "stats", None)
    return bool(stats and stats.cache_path)
