"""Which version this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("cellasso")
except PackageNotFoundError:  # run from a checkout
    __version__ = "0+unknown"
