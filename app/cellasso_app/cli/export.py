"""The command `cellasso export`: which cells, and into what."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cellasso.core.errors import NotFoundError
from cellasso_app.cli.errors import UsageError
from cellasso_app.cli.progress import shown_progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cellasso.dataset import Dataset
    from cellasso.selection.recipe import Recipe

# h5py, pandas and Panel are imported where a command needs them: `cellasso --help` answers at once.
# ruff: noqa: PLC0415

SIGNATURE = b"\x89HDF\r\n\x1a\n"
"""Of an HDF5 file."""

N_NAMED = 5
"""How many names an error lists."""

EXPORT_EPILOG = """\
examples:
  cellasso export cells.h5ad t.h5ad --where "cell_type == 'T cell' and CD4 > 1"
  cellasso export new.h5ad t.h5ad --recipe earlier_export.h5ad
  cellasso export cells.h5mu few.h5mu --obs-names barcodes.txt
  cellasso export cells.h5ad t.csv --where "leiden == '3'" --genes CD4,CD8A --layer counts
"""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `export` to the commands."""
    text = "Write some of a file's cells to a new file, every element included, or to a table of obs."
    parser = commands.add_parser(
        "export",
        help=text,
        description=text,
        epilog=EXPORT_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="an .h5ad or .h5mu file")
    parser.add_argument(
        "out", type=Path, metavar="OUT", help="the new file: of the same format, or .csv, .parquet (obs), .txt (names)"
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--where", metavar="EXPR", help="cells for which an expression over obs and genes is true")
    which.add_argument(
        "--recipe", type=Path, metavar="FILE", help="cells that a recipe selects: JSON, or a file that was exported"
    )
    which.add_argument("--obs-names", type=Path, metavar="FILE", help="cells named in a text file, one a line")
    parser.add_argument(
        "--genes", type=_names, default=[], metavar="A,B", help="genes to put into a table, after the columns of obs"
    )
    parser.add_argument("--layer", metavar="L", help="matrix to read them from: a layer or raw (default: X)")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    parser.set_defaults(run=_export)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _export(options: argparse.Namespace) -> None:
    import cellasso
    from cellasso.write.table import SUFFIXES, write_table

    with cellasso.open(options.file) as dataset:
        mask, recipe = _selected(dataset, options)
        n_selected = int(mask.sum())
        if not n_selected:
            raise UsageError(f"No cell of {options.file} is selected; nothing was written.")
        if options.out.suffix in SUFFIXES:
            with shown_progress(f"writing {n_selected:,} cells") as progress:
                path = write_table(
                    dataset,
                    mask,
                    options.out,
                    features=options.genes,
                    layer=options.layer,
                    overwrite=options.overwrite,
                    progress=progress,
                )
            print(f"{path}: {n_selected:,} of {dataset.n_obs:,} cells")
            return
        with shown_progress(f"exporting {n_selected:,} cells") as progress:
            exported = dataset.export(mask, options.out, recipe=recipe, overwrite=options.overwrite, progress=progress)
        for sentence in exported.left_out:
            print(f"cellasso: left out: {sentence}", file=sys.stderr)
        print(f"{exported.path}: {n_selected:,} of {dataset.n_obs:,} cells")


def _selected(dataset: Dataset, options: argparse.Namespace) -> tuple[NDArray[np.bool_], Recipe | None]:
    """Return the mask `(n_obs,)` that the options ask for, and the recipe for it if there is one."""
    from cellasso.selection.recipe import WhereRecipe

    if options.obs_names is not None:
        return _named(dataset, options.obs_names), None
    recipe = WhereRecipe(options.where) if options.where is not None else _read_recipe(options.recipe)
    return recipe.mask(dataset), recipe


def _read_recipe(path: Path) -> Recipe:
    from cellasso.selection.recipe import RecipeError, load

    text = _read_exported_recipe(path) if _is_hdf5(path) else _read_text(path)
    try:
        return load(text)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from error


def _is_hdf5(path: Path) -> bool:
    """Whether a file has HDF5's signature: at its start, or after a block of 512 bytes, 1,024, and so on."""
    try:
        with path.open("rb") as file:
            at, size = 0, file.seek(0, os.SEEK_END)
            while at < size:
                file.seek(at)
                if file.read(len(SIGNATURE)) == SIGNATURE:
                    return True
                at = 2 * at or 512
    except OSError:  # reading it as a text says why
        pass
    return False


def _read_exported_recipe(path: Path) -> str:
    """Read the recipe that an export keeps in `uns["cellasso"]["recipe"]`."""
    from cellasso.encodings.elements import read
    from cellasso.store.registry import open_store

    with open_store(path) as handle:
        try:
            text = str(read(handle, handle.node("/uns/cellasso/recipe")))
        except NotFoundError:
            text = ""
    if not text:
        raise UsageError(f"{path} holds no recipe; name a file that cellasso exported from a selection, or JSON.")
    return text


def _named(dataset: Dataset, path: Path) -> NDArray[np.bool_]:
    """Return the mask `(n_obs,)` of the cells whose names a text file lists."""
    import numpy as np

    listed = dict.fromkeys(filter(None, _read_text(path).splitlines()))
    names = dataset.obs_names
    known = set(names)
    unknown = [name for name in listed if name not in known]
    if unknown:
        more = ", …" if len(unknown) > N_NAMED else ""
        raise UsageError(
            f"{len(unknown):,} of the {len(listed):,} names in {path} are no cells of {dataset.file_path}:"
            f" {', '.join(unknown[:N_NAMED])}{more}; its cells are called like {names[0] if len(names) else 'nothing'}."
        )
    return np.fromiter((name in listed for name in names), dtype=bool, count=len(names))


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not a text file in UTF-8.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}).") from error
