"""What every pass over a whole matrix has to keep: the same result, wherever its tasks run."""

from __future__ import annotations

import os
import pickle
from abc import ABC, abstractmethod
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import pytest

from cellasso.core.errors import Cancelled, FileChangedError
from cellasso.matrix import reference

if TYPE_CHECKING:
    import numpy as np


class Pickling(Executor):
    """Runs tasks at once, as another process would get them: pickled."""

    def __init__(self) -> None:
        self.n_tasks = 0

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.n_tasks += 1
        future: Future[Any] = Future()
        fn, args, kwargs = pickle.loads(pickle.dumps((fn, args, kwargs)))
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - as an executor does
            future.set_exception(error)
        return future


@pytest.fixture(scope="session")
def processes():
    """Two processes of their own, as those of a cluster's workers are."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        assert os.getpid() not in set(pool.map(_pid, range(4)))
        yield pool


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """The executor of a Dask cluster of two processes."""
    from distributed import Client, LocalCluster

    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    folder = str(tmp_path_factory.mktemp("dask"))
    with LocalCluster(**options, local_directory=folder) as started, Client(started) as client:
        assert os.getpid() not in set(client.run(os.getpid).values())
        yield client.get_executor()


def _pid(_: int) -> int:
    return os.getpid()


class PassContract(ABC):
    """Subclass it, and say how the pass is run."""

    @abstractmethod
    def run(self, source: Any, *, executor: Executor | None = None, progress: Any = None) -> list[np.ndarray]:
        """Run the pass over what the fixture `source` returns, in ten blocks or more."""

    def replaced(self, source: Any) -> None:
        """Change the file of the source behind the pass's back."""
        source.handle.path.write_bytes(source.handle.path.read_bytes() + b"\0")

    def assert_same(self, found: list[np.ndarray], expected: list[np.ndarray]) -> None:
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert one.dtype == other.dtype
            assert one.tobytes() == other.tobytes()

    def test_its_tasks_can_be_pickled(self, source):
        executor = Pickling()
        self.assert_same(self.run(source, executor=executor), self.run(source))
        assert executor.n_tasks >= 10

    @pytest.mark.filterwarnings("ignore")  # distributed remarks on the sockets it leaves
    @pytest.mark.parametrize(
        "where",
        ["threads", pytest.param("processes", marks=pytest.mark.more), pytest.param("cluster", marks=pytest.mark.more)],
    )
    def test_the_result_is_the_same_wherever_it_runs(self, source, where, request):
        here = self.run(source)
        if where == "threads":
            with ThreadPoolExecutor(3) as executor:
                found = self.run(source, executor=executor)
        else:
            found = self.run(source, executor=request.getfixturevalue(where))
        self.assert_same(found, here)

    def test_it_tells_how_far_it_is_and_can_be_cancelled(self, source):
        told: list[float] = []
        self.run(source, executor=Pickling(), progress=told.append)
        assert told == sorted(told)
        assert told[-1] == 1.0

        def cancel(fraction: float) -> None:
            raise Cancelled("enough")

        with pytest.raises(Cancelled):
            self.run(source, executor=Pickling(), progress=cancel)

    def test_it_leaves_no_file_open(self, source):
        self.run(source, executor=Pickling())
        assert not reference._opened.cache_info().currsize

    def test_a_file_that_has_changed_is_noticed_by_the_task(self, source):
        self.replaced(source)
        with pytest.raises(FileChangedError):
            self.run(source, executor=Pickling())
