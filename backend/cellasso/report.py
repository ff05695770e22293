"""The report of an inspection: its values, and how it is shown as text and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CONTAINERS = {"dict", "dataframe", "raw", "anndata", "MuData"}
"""Encodings of groups whose members are elements of their own."""

HEADINGS = ("element", "kind", "shape", "type", "on disk", "in memory", "stored", "one gene reads")
NUMBERS = {"on disk", "in memory", "one gene reads"}
LISTED = {"obs", "var", "layers", "obsm", "varm", "obsp", "varp", "raw", "obsmap", "varmap", "uns"}
"""Groups whose members are listed; what is deeper is counted in them."""


@dataclass(frozen=True)
class Element:
    """One element of the file, or a group of them.

    Attributes
    ----------
    path
        Its HDF5 path; the field of a compound dataset has the dataset's.
    encoding
        Its `encoding-type`, in today's words also where the file is older.
    dtype
        Of its values; for a categorical, of its categories.
    layout
        `"chunked"`, `"contiguous"` or `"compact"`; `""` for a group of elements.
    chunks, compression
        Of its values (the `data` of a sparse matrix); the filters by name, such as `"shuffle gzip-4"`.
    disk_bytes
        Stored values of all its parts and members. Text of variable length is not counted: HDF5 keeps it
        apart from the element.
    memory_bytes
        What the values would take in memory, a sparse matrix as a sparse one.
    feature_bytes
        Stored bytes that reading one feature takes: all of a CSR matrix, the chunks of an average column of
        a CSC one, a column of chunks of a dense one; `None` for what is no matrix of features.
    problem
        Why it cannot be read; `""` if nothing is known against it.
    """

    name: str
    path: str
    encoding: str = ""
    shape: tuple[int, ...] = ()
    dtype: str = ""
    layout: str = ""
    chunks: tuple[int, ...] | None = None
    compression: str = ""
    disk_bytes: int = 0
    memory_bytes: int = 0
    feature_bytes: int | None = None
    children: tuple[Element, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Section:
    """The file itself (name `""`), or one modality of an h5mu."""

    name: str
    n_obs: int
    n_vars: int
    elements: tuple[Element, ...]


@dataclass(frozen=True)
class Report:
    """What `inspect` found.

    Attributes
    ----------
    problems
        Sentences about what is missing, damaged or contradictory.
    names_checked
        Whether duplicates were looked for among all names; the long lists of large files are left out.
    """

    file: str
    path: str
    format: str
    n_obs: int
    n_vars: int
    file_bytes: int
    sections: tuple[Section, ...]
    problems: tuple[str, ...]
    names_checked: bool


def to_json(report: Report) -> str:
    """Return a report as JSON text, its fields called as here."""
    return json.dumps(asdict(report), indent=2)


def render_text(report: Report) -> str:
    """Return a report as a tree with aligned columns, for a terminal; nothing in it can steer the terminal."""
    shape = times((report.n_obs, report.n_vars))
    lines = [f"{report.file}  {report.format}  {shape}  {human_bytes(report.file_bytes)}", ""]
    rows: list[tuple[str, ...]] = [HEADINGS]
    for section in report.sections:
        if section.name:
            rows.append(("",) * len(HEADINGS))
        if report.format == "h5mu":
            rows.append((section.name or "all modalities", "", times((section.n_obs, section.n_vars)), *[""] * 5))
        rows += _tree(section.elements)
    lines += _aligned(rows)
    if report.problems:
        lines += ["", f"{len(report.problems)} problem{'s' if len(report.problems) > 1 else ''}:"]
        lines += [f"- {problem}" for problem in report.problems]
    if not report.names_checked:
        lines += ["", "Names were not searched for duplicates: the file has too many to read them for it."]
    return "\n".join(printable(line) for line in lines)


def human_bytes(n: float) -> str:
    """Return a size as people read it: `512 B`, `1.9 MB`, `48 GB`."""
    if n < 999.5:
        return f"{n:.0f} B"
    step = next((step for step in range(1, 4) if n / 1000**step < 999.5), 4)
    scaled = n / 1000**step
    return f"{scaled:.{1 if scaled < 9.95 else 0}f} {'BkMGT'[step]}B"


def printable(text: str) -> str:
    """Return text with what is no printable character written as its escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def _tree(found: Sequence[Element], indent: str = "", *, deeper: bool = True) -> list[tuple[str, ...]]:
    shown = [element for element in found if element.children or element.encoding != "dict"]
    rows = []
    for at, element in enumerate(shown):
        is_last = at == len(shown) - 1
        rows.append((f"{indent}{'└── ' if is_last else '├── '}{element.name}", *_cells(element)))
        if deeper and element.name in LISTED:
            rows += _tree(element.children, indent + ("    " if is_last else "│   "), deeper=False)
    return rows


def _cells(element: Element) -> tuple[str, ...]:
    if element.problem:
        return ("unreadable", *[""] * 6)
    chunks = f"chunks {times(element.chunks)}" if element.chunks else element.layout
    is_container = element.encoding in CONTAINERS
    return (
        f"dict of {len(element.children):,}" if element.encoding == "dict" else element.encoding,
        times(element.shape),
        element.dtype,
        human_bytes(element.disk_bytes) if element.encoding != "field" else "",
        human_bytes(element.memory_bytes) if element.encoding != "field" else "",
        "" if is_container else f"{chunks} {element.compression}".strip(),
        human_bytes(element.feature_bytes) if element.feature_bytes is not None else "",
    )


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if heading in NUMBERS else cell.ljust(width)
            for cell, width, heading in zip(row, widths, HEADINGS, strict=True)
        ).rstrip()
        for row in rows
    ]


def times(shape: tuple[int, ...]) -> str:
    """Return a shape as people write it, with multiplication signs."""
    return " \N{MULTIPLICATION SIGN} ".join(f"{n:,}" for n in shape)
