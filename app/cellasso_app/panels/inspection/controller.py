"""What is in the file, as the page shows it: the report as plain data, cut where a table would grow endless."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cellasso.inspect.inspection import inspect, render_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cellasso.dataset import Dataset
    from cellasso.inspect.report import Element

MAX_ROWS = 1_500
"""Elements listed; `uns` may hold tens of thousands, which no one reads and a browser draws slowly."""

MAX_DEPTH = 6
"""Levels listed; what is deeper is counted in its group."""

SHOWN = ("path", "name", "encoding", "shape", "dtype", "order", "layout", "chunks", "compression", "problem")


def describe(dataset: Dataset) -> dict[str, Any]:
    """Inspect a file and return the report for the page: JSON types only, and the text for the clipboard."""
    report = inspect(dataset)
    sections = [
        {"name": section.name, "n_obs": section.n_obs, "n_vars": section.n_vars, "rows": list(_rows(section.elements))}
        for section in report.sections
    ]
    return {
        "file": report.file,
        "format": report.format,
        "n_obs": report.n_obs,
        "n_vars": report.n_vars,
        "file_bytes": report.file_bytes,
        "problems": list(report.problems),
        "names_checked": report.names_checked,
        "threads": report.forecast.threads,
        "costs": [asdict(cost) for cost in report.forecast.costs],
        "sections": sections,
        "n_cut": _cut(sections),
        "text": render_text(report),
    }


def _rows(found: tuple[Element, ...], depth: int = 0) -> Iterator[dict[str, Any]]:
    """Yield elements in the order of the tree, each before its members."""
    for element in found:
        if element.encoding == "dict" and not element.children:
            continue
        row: dict[str, Any] = {name: getattr(element, name) for name in SHOWN}
        row["shape"], row["chunks"] = list(element.shape), list(element.chunks or ())
        is_field = element.encoding == "field"
        row["disk"], row["memory"] = (None, None) if is_field else (element.disk_bytes, element.memory_bytes)
        row["depth"], row["n_members"] = depth, len(element.children) if depth < MAX_DEPTH else 0
        yield row
        if depth < MAX_DEPTH:
            yield from _rows(element.children, depth + 1)


def _cut(sections: list[dict[str, Any]]) -> int:
    """Cut the lists to `MAX_ROWS` altogether, deepest elements first, and return how many went."""
    depths = sorted(row["depth"] for section in sections for row in section["rows"])
    if len(depths) <= MAX_ROWS:
        return 0
    room = MAX_ROWS
    deepest = depths[MAX_ROWS]
    n_before = sum(len(section["rows"]) for section in sections)
    for section in sections:
        kept = [row for row in section["rows"] if row["depth"] < deepest or row["depth"] == 0]
        section["rows"] = kept[:room]
        room -= len(section["rows"])
    return n_before - sum(len(section["rows"]) for section in sections)
