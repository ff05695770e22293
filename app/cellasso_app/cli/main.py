"""The command `cellasso`: what it understands, and how it answers when something is wrong."""

from __future__ import annotations

import argparse
import difflib
import io
import ipaddress
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cellasso import __version__
from cellasso.core.errors import CellassoError, ExpressionError, NotFoundError
from cellasso_app.cli import index
from cellasso_app.render import compiling
from cellasso_app.server import token as token_cli
from cellasso_app.server.index_option import add_index_options, index_option

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from cellasso.core.progress import Progress
    from cellasso.dataset import Dataset
    from cellasso.selection.recipe import Recipe

# h5py, pandas and Panel are imported where a command needs them: `cellasso --help` answers at once.
# ruff: noqa: PLC0415

COMMANDS = ("serve", "demo", "inspect", "index", "cache", "export")
ANSWERS = {"-h", "--help", "--version"}
"""Options of `cellasso` itself; any other stands before the files to serve."""

INTERRUPTED, BROKEN_PIPE, TERMINATED, FAILED = 130, 141, 143, 2
MANY_CELLS = 100_000
"""Cells of the demo from which they come as pictures, and not as dots."""

N_NAMED = 5
"""How many names an error lists."""

DESCRIPTION = "Explore single-cell files (.h5ad, .h5mu) of any size in the browser. The file is never loaded."
WHO_GETS_IN = (
    "A browser is let in by the token that ends the printed address; outside of a terminal that address is written to a"
    " file that you alone can read, and the file is named."
)
EPILOG = """\
examples:
  cellasso cells.h5ad                  explore a file (the same as `cellasso serve cells.h5ad`)
  cellasso demo                        explore real cells that come with scanpy
  cellasso inspect cells.h5ad          what is in a file, and what it costs to look at
  cellasso export cells.h5ad t.h5ad --where "louvain in ['1', '3'] and CD3D > 1"
"""
EXPORT_EPILOG = """\
examples:
  cellasso export cells.h5ad t.h5ad --where "cell_type == 'T cell' and CD4 > 1"
  cellasso export new.h5ad t.h5ad --recipe earlier_export.h5ad
  cellasso export cells.h5mu few.h5mu --obs-names barcodes.txt
  cellasso export cells.h5ad t.csv --where "leiden == '3'" --genes CD4,CD8A --layer counts
"""


class UsageError(CellassoError, ValueError):
    """What was asked for on the command line cannot be done."""


def main(argv: list[str] | None = None, *, otherwise: str = "--help") -> int:
    """Run one command and return its exit status: 0, 2 for what went wrong, 130 when interrupted.

    Parameters
    ----------
    argv
        What stands after `cellasso` on the command line; that of this process by default.
    otherwise
        What is run where neither a command nor a file is named.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name from a file must not fail in a terminal
    try:
        with _cleaning_up_when_terminated():
            arguments = _with_command(sys.argv[1:] if argv is None else argv, otherwise)
            options = _parser().parse_args(arguments)
            options.run(options)
            sys.stdout.flush()
    except CellassoError as error:
        _complain(error)
        return FAILED
    except SystemExit as exit_:  # argparse has said what it has to say, or we were terminated
        return int(exit_.code or 0)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # the reader has gone; Python's own last flush must not complain about that
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return 0


def _complain(error: CellassoError) -> None:
    from cellasso.inspect.report import printable

    lines = [printable(line) for line in str(error).split("\n")]
    # the caret of an expression's message stands under the mistake
    prefix = "" if isinstance(error, ExpressionError) and len(lines) > 1 else "cellasso: "
    print(prefix + "\n".join(lines), file=sys.stderr)


# -- what the command line may say ----------------------------------------------------------------------


def _with_command(arguments: list[str], otherwise: str) -> list[str]:
    """Return the arguments with `serve` before files that stand alone, and `otherwise` before nothing but options."""
    if not arguments:
        return [otherwise]
    first = arguments[0]
    if first in COMMANDS or first in ANSWERS:
        return arguments
    if otherwise in COMMANDS and first.startswith("-"):
        _, unknown = _parser().parse_known_args([otherwise, *arguments])  # knows which options take a value
        if all(argument.startswith("-") for argument in unknown):
            return [otherwise, *arguments]
    if first.startswith("-") or Path(first).exists() or Path(first).suffix or len(Path(first).parts) > 1:
        return ["serve", *arguments]
    close = difflib.get_close_matches(first, COMMANDS, n=1)
    hint = f"did you mean {close[0]}?" if close else f"the commands are {', '.join(COMMANDS)}."
    raise UsageError(f"There is no file and no command {first!r}; {hint}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "cellasso", description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"cellasso {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_serve(commands)
    _add_demo(commands)
    _add_inspect(commands)
    index.add_commands(commands, shown_progress=_shown_progress)
    _add_export(commands)
    return parser


def _add_serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "Explore files in the browser."
    parser = commands.add_parser("serve", help=text, description=f"{text} {WHO_GETS_IN}")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="an .h5ad or .h5mu file")
    _add_serve_options(parser)
    parser.set_defaults(run=_serve)


def _add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "Explore demo data: 700 real blood cells, as .h5ad and .h5mu."
    parser = commands.add_parser("demo", help=text, description=f"{text} {WHO_GETS_IN}")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--cells", type=_count, metavar="N", help="N synthetic cells instead; kept in the cache for the next time"
    )
    which.add_argument("--h5mu", action="store_true", help="show the .h5mu file with two modalities first")
    _add_serve_options(parser)
    parser.set_defaults(run=_demo)


def _add_serve_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=_port, metavar="N", help="port to listen at (default: 5006, or a free one)")
    parser.add_argument(
        "--address", default="127.0.0.1", help="interface to listen at (default: %(default)s, this machine alone)"
    )
    parser.add_argument(
        "--export-dir", type=Path, default=Path(), metavar="DIR", help="folder for exports (default: the current one)"
    )
    parser.add_argument("--no-browser", action="store_true", help="do not open the page")
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME[:PORT]",
        help="another name of this server, as behind a proxy; with its port if that is not the usual one",
    )
    token_cli.add_token_options(parser)
    add_index_options(parser)


def _add_inspect(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "Show what is in a file, what it costs to look at, and what is wrong with it."
    parser = commands.add_parser(
        "inspect", help=text, description=text + " Reads no more of a matrix than a piece, to time it."
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="an .h5ad or .h5mu file")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_inspect)


def _add_export(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
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


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 1 << 16:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; a number from 1 to 65535 was expected")
    return int(text)


def _count(text: str) -> int:
    digits = text.replace(",", "").replace("_", "")
    if not digits.isdecimal() or int(digits) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of cells; one such as 1000000 was expected")
    return int(digits)


# -- the commands ---------------------------------------------------------------------------------------


def _serve(options: argparse.Namespace) -> None:
    compiling.begin(many=compiling.are_many(options.files))  # on another core, before anything else is imported
    import cellasso

    problems = []
    for path in options.files:
        try:
            cellasso.open(path).close()
        except CellassoError as error:
            problems.append(error)
    if len(problems) == len(options.files):
        raise problems[0]
    for problem in problems:  # the others are served, and the page says so, too
        _complain(problem)
    _serve_files(options.files, options)


def _demo(options: argparse.Namespace) -> None:
    compiling.begin(many=(options.cells or 0) >= MANY_CELLS)
    from cellasso_app.demo import files

    if options.cells is not None:
        with _shown_progress(f"making {options.cells:,} cells") as progress:
            path = files.write_synthetic(files.synthetic_folder(), options.cells, progress=progress)
        _serve_files([path], options)
        return
    with tempfile.TemporaryDirectory(prefix="cellasso-demo-") as folder:
        paths = files.write_demo(Path(folder))
        _serve_files(paths[::-1] if options.h5mu else paths, options)


def _inspect(options: argparse.Namespace) -> None:
    import cellasso
    from cellasso.inspect.inspection import inspect, render_text, to_json

    with cellasso.open(options.file) as dataset:
        report = inspect(dataset)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    print(to_json(report) if options.json else render_text(report, width=width))


def _export(options: argparse.Namespace) -> None:
    import cellasso
    from cellasso.write.table import SUFFIXES, write_table

    with cellasso.open(options.file) as dataset:
        mask, recipe = _selected(dataset, options)
        n_selected = int(mask.sum())
        if not n_selected:
            raise UsageError(f"No cell of {options.file} is selected; nothing was written.")
        if options.out.suffix in SUFFIXES:
            with _shown_progress(f"writing {n_selected:,} cells") as progress:
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
        with _shown_progress(f"exporting {n_selected:,} cells") as progress:
            exported = dataset.export(mask, options.out, recipe=recipe, overwrite=options.overwrite, progress=progress)
        for sentence in exported.left_out:
            print(f"cellasso: left out: {sentence}", file=sys.stderr)
        print(f"{exported.path}: {n_selected:,} of {dataset.n_obs:,} cells")


# -- serving ----------------------------------------------------------------------------------------------


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _serve_files(paths: Sequence[Path], options: argparse.Namespace) -> None:
    if not options.export_dir.is_dir():
        raise UsageError(f"The folder {options.export_dir} for exports does not exist; create it, or name another.")
    _check_address(options.address, options.port)
    token = token_cli.token_option(options)
    if not _is_loopback(options.address):
        has_it = "reaches this address" if token == "" else "has this address with its token"
        print(f"cellasso: whoever {has_it} can read these files.", file=sys.stderr)
    from cellasso_app.server.serve import serve

    serve(
        paths,
        port=options.port,
        address=options.address,
        export_dir=options.export_dir,
        open_browser=not options.no_browser,
        allow_hosts=options.allow_host,
        token=token,
        index=index_option(options),
    )


def _check_address(address: str, port: int | None) -> None:
    try:
        family, kind, _, _, place = socket.getaddrinfo(address, port or 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        where = f"{address}, port {port}" if port is not None else address
        raise UsageError(
            f"The server cannot listen at {where} ({error.strerror}); choose another --port or --address."
        ) from error


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


# -- selecting --------------------------------------------------------------------------------------------


def _selected(dataset: Dataset, options: argparse.Namespace) -> tuple[NDArray[np.bool_], Recipe | None]:
    """Return the mask `(n_obs,)` that the options ask for, and the recipe for it if there is one."""
    from cellasso.selection.recipe import WhereRecipe

    if options.obs_names is not None:
        return _named(dataset, options.obs_names), None
    recipe = WhereRecipe(options.where) if options.where is not None else _read_recipe(options.recipe)
    return recipe.mask(dataset), recipe


def _read_recipe(path: Path) -> Recipe:
    import h5py

    from cellasso.selection.recipe import RecipeError, load

    text = _read_exported_recipe(path) if h5py.is_hdf5(path) else _read_text(path)
    try:
        return load(text)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from error


def _read_exported_recipe(path: Path) -> str:
    """Read the recipe that an export keeps in `uns["cellasso"]["recipe"]`."""
    from cellasso.encodings.elements import read
    from cellasso.store.hdf5.handle import Hdf5Store

    with Hdf5Store(path) as handle:
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


# -- on the way -------------------------------------------------------------------------------------------


@contextmanager
def _cleaning_up_when_terminated() -> Iterator[None]:
    """Let SIGTERM unwind what runs, so that temporary files and half-written exports are removed."""
    if threading.current_thread() is not threading.main_thread():  # Python allows no handler elsewhere
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _shown_progress(label: str) -> Iterator[Progress | None]:
    """Show a percentage on stderr if that is a terminal, and wipe it in the end."""
    if not sys.stderr.isatty():
        yield None
        return
    try:
        yield lambda fraction: print(f"\r{label}: {fraction:.0%}", end="", file=sys.stderr, flush=True)
    finally:
        print("\r\033[K", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
