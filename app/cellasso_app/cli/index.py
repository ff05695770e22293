"""The command `cellasso index`."""

from __future__ import annotations

import argparse
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cellasso.core.errors import CellassoError
from cellasso_app.cli.cache import megabytes
from cellasso_app.cli.progress import shown_progress
from cellasso_app.server.index_option import add_index_dir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

    from cellasso.dataset import Dataset, Modality

# h5py and numba are imported where a command needs them: `cellasso --help` answers at once.
# ruff: noqa: PLC0415

INDEX_EPILOG = """\
A gene of a matrix that is stored cell by cell is found by reading all of the matrix; with an index it takes
milliseconds. The explorer builds it in the background; this builds it ahead. A build that was stopped goes on.

examples:
  cellasso index cells.h5ad
  cellasso index cells.h5mu --modality rna --layer counts
  cellasso index cells.h5ad --index-dir /shared/index --scheduler tcp://head:8786
"""


class ClusterError(CellassoError, OSError):
    """The Dask cluster cannot be reached, or Dask is not installed."""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `index` to the commands."""
    text = "Build the column index of a file ahead of time, so that every gene takes milliseconds."
    parser = commands.add_parser(
        "index",
        help=text,
        description=text,
        epilog=INDEX_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="an .h5ad or .h5mu file")
    parser.add_argument("--layer", metavar="L", help="matrix to index: a layer or raw (default: X)")
    parser.add_argument("--modality", metavar="M", help="of an .h5mu (default: all)")
    add_index_dir(parser)
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="build on a Dask cluster whose workers reach the file and DIR"
    )
    parser.set_defaults(run=_index)


def _index(options: argparse.Namespace) -> None:
    import cellasso

    index = True if options.index_dir is None else options.index_dir
    with cellasso.open(options.file, index=index) as dataset, _executor(options.scheduler) as executor:
        for modality in _modalities(dataset, options.modality):
            _index_matrix(modality, options.layer, executor)


def _modalities(dataset: Dataset, name: str | None) -> list[Modality]:
    if name is not None:
        return [dataset[name]]
    return list(dataset.modalities.values()) or [dataset.root]


def _index_matrix(modality: Modality, layer: str | None, executor: Executor | None) -> None:
    matrix = modality.matrix(layer)
    if matrix.storage == "csc":
        print(f"{matrix.place} is stored feature by feature and needs no index.")
        return
    with shown_progress(f"indexing {matrix.place}") as progress:
        index = modality.build_index(layer, check=True, executor=executor, progress=progress)
    n_bytes = sum(path.stat().st_size for path in index.folder.iterdir())
    print(f"{matrix.place}: indexed, {megabytes(n_bytes)} in {index.folder}")


@contextmanager
def _executor(address: str | None) -> Iterator[Executor | None]:
    """Connect to a Dask cluster, if its scheduler's address is given."""
    if address is None:
        yield None
        return
    try:
        from distributed import Client
    except ImportError:
        raise ClusterError("--scheduler needs Dask: pip install 'cellasso[dask]'") from None
    try:
        client = Client(address)
    except (OSError, ValueError) as error:
        raise ClusterError(f"No Dask scheduler answers at {address} ({error}).") from error
    with client:
        yield client.get_executor()
