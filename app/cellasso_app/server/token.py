"""The token that browsers must show: what the command line and the environment say of it."""

from __future__ import annotations

import argparse
import os
import secrets

from cellasso.core.errors import CellassoError

MIN_TOKEN = 8
"""Characters of a token that people choose."""

VARIABLE = "CELLASSO_TOKEN"
"""Names the variable of the environment: unlike an option, other users of the machine do not see it."""

RULE = f"a token has {MIN_TOKEN} characters or more, without spaces, quotes, commas and semicolons"


class TokenError(CellassoError, ValueError):
    """A token that no browser could show."""


def add_token_options(parser: argparse.ArgumentParser) -> None:
    """Add `--token` and `--no-token` to a command that serves."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--token",
        type=_token,
        help="what browsers must show; other users of this machine can see it here"
        f" (default: ${VARIABLE}, which they cannot, or a new one at each start)",
    )
    which.add_argument("--no-token", action="store_true", help="let everybody in who reaches the server")


def token_option(options: argparse.Namespace) -> str | None:
    """Return the token that was chosen; empty for none, `None` if one has to be made up.

    Raises
    ------
    TokenError
        That of the environment is none.
    """
    if options.no_token:
        return ""
    chosen: str | None = options.token or os.environ.get(VARIABLE)
    if not chosen:
        return None
    if not _is_token(chosen):
        raise TokenError(f"${VARIABLE} does not do: {RULE}.")
    return chosen


def new_token() -> str:
    """Return a token of 256 random bits."""
    return secrets.token_urlsafe()


def _token(text: str) -> str:
    if not _is_token(text):
        raise argparse.ArgumentTypeError(RULE)
    return text


def _is_token(text: str) -> bool:
    return len(text) >= MIN_TOKEN and text.isascii() and text.isprintable() and not set(text) & set(' ",;\\')
