"""How loops over cells are run: compiled once on a machine, without the GIL; few cells by Python until then.

Compiling takes seconds, and all loops of a first session together some 20 s. Python takes a microsecond or two for a
cell and step, so that up to some ten thousand cells are drawn and selected by it before the first loop is compiled.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import cached_property, update_wrapper
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, overload

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Function = TypeVar("Function", bound="Callable[..., Any]")

FEW = 1 << 16
"""Values in each of the arrays up to which Python runs a loop that has not been compiled: 0.1 to 0.5 s a loop."""


class Loop(Generic[Function]):
    """A function that numba compiles when it is first called, other loops within it too.

    Its result is kept on the disk, where numba finds a place for it: beside the source, in the user's cache, or in
    `NUMBA_CACHE_DIR`. Where none of them can be written to, as in some containers, numba refuses to keep anything at
    all: then each process compiles for itself.
    """

    def __init__(self, function: Function, inline: str = "never", *, by_python: bool = False) -> None:
        update_wrapper(self, function)
        self._function = function
        self._inline = inline
        self._by_python = by_python

    def __call__(self, *values: Any) -> Any:
        """Run it, compiled or not."""
        if self._by_python and is_awaited.is_set() and self._is_left_to_python(values):
            with np.errstate(all="ignore"):  # the compiled loop gives no warnings either
                return self._function(*values)
        return self.compiled(*values)

    def _is_left_to_python(self, values: tuple[Any, ...]) -> bool:
        if self.is_ready or getattr(_here, "compiles", False):
            return False
        return all(value.size <= FEW for value in values if isinstance(value, np.ndarray))

    def __reduce__(self) -> str:
        return str(self._function.__qualname__)  # pickled as the function would be, by its name

    @cached_property
    def compiled(self) -> Any:
        """What numba makes of the function; it compiles when that is first called."""
        import numba  # noqa: PLC0415 - takes a second
        from numba.core import types  # noqa: PLC0415
        from numba.extending import typeof_impl  # noqa: PLC0415

        if Loop not in typeof_impl.registry:  # tells numba what a loop is that another one calls
            typeof_impl.register(Loop)(lambda loop, _: types.Dispatcher(loop.compiled))
        compiler: Any = numba.njit
        try:
            return compiler(nogil=True, cache=True, inline=self._inline)(self._function)
        except RuntimeError:
            return compiler(nogil=True, inline=self._inline)(self._function)

    @property
    def is_ready(self) -> bool:
        """Whether it has been compiled, or read from the disk."""
        return "compiled" in self.__dict__ and bool(getattr(self.compiled, "signatures", True))

    @property
    def folder(self) -> str:
        """Where on the disk it is kept; empty where nothing can be."""
        stats: Any = getattr(self.compiled, "stats", None)
        return (stats and stats.cache_path) or ""


def njit(function: Function) -> Function:
    """Make a `Loop` of a function."""
    return cast("Function", Loop(function))


@overload
def njit_or_python(function: Function) -> Function:  # noqa: D418 - editors show it for this way of calling
    """Make a `Loop` of a function: `@njit_or_python`."""


@overload
def njit_or_python(*, inline: str) -> Callable[[Function], Function]:  # noqa: D418 - editors show it, too
    """Return what makes a `Loop` of a function: `@njit_or_python(inline="always")`."""


def njit_or_python(
    function: Function | None = None, *, inline: str = "never"
) -> Function | Callable[[Function], Function]:
    """Make a `Loop` of a function that Python may run while it is being compiled.

    It has to give the same there, to the last bit, and with the oldest NumPy: integers of NumPy that meet Python's may
    become floats or overflow, which they do not in numba. Tests show it for each.

    Parameters
    ----------
    function
        The loop; `None` when it is given options, and returns a decorator.
    inline
        As for `numba.njit`.
    """
    if function is None:
        return lambda function: cast("Function", Loop(function, inline, by_python=True))
    return cast("Function", Loop(function, inline, by_python=True))


is_awaited = threading.Event()
"""Whether another process is compiling the loops, so that Python runs them meanwhile where there are few cells."""

_here = threading.local()


@contextmanager
def compiling() -> Iterator[None]:
    """Let this thread compile what it calls, or read it from the disk, however few its cells are."""
    _here.compiles = True
    try:
        yield
    finally:
        _here.compiles = False
