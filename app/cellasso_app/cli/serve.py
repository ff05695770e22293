"""The command `cellasso serve`, and what all commands that serve have in common."""

from __future__ import annotations

import argparse
import ipaddress
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cellasso.core.errors import CellassoError
from cellasso_app.cli.errors import UsageError, complain
from cellasso_app.render import compiling
from cellasso_app.server import token as token_cli
from cellasso_app.server.index_option import add_index_options, index_option

if TYPE_CHECKING:
    from collections.abc import Sequence

# h5py, pandas and Panel are imported where a command needs them: `cellasso --help` answers at once.
# ruff: noqa: PLC0415

WHO_GETS_IN = (
    "A browser is let in by the token that ends the printed address; outside of a terminal that address is written to a"
    " file that you alone can read, and the file is named."
)


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `serve` to the commands."""
    text = "Explore files in the browser."
    parser = commands.add_parser("serve", help=text, description=f"{text} {WHO_GETS_IN}")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="an .h5ad or .h5mu file")
    add_serve_options(parser)
    parser.set_defaults(run=_serve)


def add_serve_options(parser: argparse.ArgumentParser) -> None:
    """Add what the commands that serve have in common."""
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


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 1 << 16:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; a number from 1 to 65535 was expected")
    return int(text)


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
        complain(problem)
    serve_files(options.files, options)


def serve_files(paths: Sequence[Path], options: argparse.Namespace) -> None:
    """Serve files as the options of a command say."""
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
