"""The report of an inspection: its values, and how it is shown as text and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from cellasso.encodings.containers import Container, DataFrame

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellasso.inspect.costs import Forecast

HEADINGS = ("element", "kind", "shape", "type", "on disk", "in memory", "stored")
COST_HEADINGS = ("what it costs here", "", "reads", "writes", "takes", "how")
NUMBERS = {"on disk", "in memory", "reads", "writes", "takes"}
MIN_NAME = 20
"""Characters that a narrow terminal leaves of the tree and a name in it."""

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
    order
        What lies side by side: `"cell by cell (CSR)"`, `"gene by gene (CSC)"`, `"dense, row-major"`; `""` where
        there is one dimension only.
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
    order: str = ""
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
    forecast: Forecast
    problems: tuple[str, ...]
    names_checked: bool


def to_json(report: Report) -> str:
    """Return a report as JSON text, its fields called as here."""
    return json.dumps(asdict(report), indent=2)


def render_text(report: Report, *, width: int | None = None) -> str:
    """Return a report as a tree with aligned columns, for a terminal; nothing in it can steer the terminal.

    Parameters
    ----------
    report
        As `inspect` returns it.
    width
        Columns that the terminal has, into which it is fitted by shorter words; `None` for no limit.
    """
    shape = times((report.n_obs, report.n_vars))
    lines = [f"{report.file}  {report.format}  {shape}  {human_bytes(report.file_bytes)}", ""]
    lines += _fitted(report, width)
    lines += ["", *_costs(report.forecast, width)]
    if report.problems:
        lines += ["", f"{len(report.problems)} problem{'s' if len(report.problems) > 1 else ''}:"]
        lines += [f"- {problem}" for problem in report.problems]
    if not report.names_checked:
        lines += ["", "Names were not searched for duplicates: the file has too many to read them for it."]
    return "\n".join(printable(line) for line in lines)


def human_seconds(seconds: float) -> str:
    """Return a duration as people read it: `< 10 ms`, `40 ms`, `1.6 s`, `12 min`, `3 h`."""
    if seconds < 0.0095:
        return "< 10 ms"
    if seconds < 0.995:
        return f"{float(f'{1e3 * seconds:.2g}'):.0f} ms"
    if seconds < 99.5:
        return f"{seconds:.{1 if seconds < 9.95 else 0}f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.0f} h"


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


def _fitted(report: Report, width: int | None) -> list[str]:
    """Return the tree's lines in the longest words that `width` has room for."""
    rows = _rows(report, brief=False)
    if width is None or _width(rows) <= width:
        return _aligned(rows, HEADINGS)
    rows = _rows(report, brief=True)
    room = max(MIN_NAME, max(len(row[0]) for row in rows) - max(0, _width(rows) - width))
    return _aligned([(_shortened(row[0], room), *row[1:]) for row in rows], HEADINGS)


def _rows(report: Report, *, brief: bool) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [HEADINGS]
    for section in report.sections:
        if section.name:
            rows.append(("",) * len(HEADINGS))
        if report.format == "h5mu":
            rows.append((section.name or "all modalities", "", times((section.n_obs, section.n_vars)), *[""] * 4))
        rows += _tree(section.elements, brief=brief)
    return rows


def _costs(forecast: Forecast, width: int | None) -> list[str]:
    rows = [COST_HEADINGS]
    before = ""
    for cost in forecast.costs:
        what = "export 10% of the cells" if cost.task == "export" else f"colour by a gene of {cost.matrix}"
        rows.append(
            (
                what if what != before else "",
                {"now": "now", "index": "with an index"}[cost.way],
                human_bytes(cost.bytes_read),
                human_bytes(cost.bytes_written) if cost.bytes_written else "",
                human_seconds(cost.seconds) if cost.seconds is not None else "not timed",
                cost.method,
            )
        )
        before = what
    if width is not None and _width(rows) > width:
        rows = [(*row[:-1], "") for row in rows]
    cores = f"{forecast.threads} core{'' if forecast.threads == 1 else 's'}"
    basis = f"Forecast for {cores}, from a piece of each matrix that was timed just now."
    return [*_aligned(rows, COST_HEADINGS), basis]


def _tree(
    found: Sequence[Element], indent: str = "", *, deeper: bool = True, brief: bool = False
) -> list[tuple[str, ...]]:
    shown = [element for element in found if element.children or element.encoding != "dict"]
    rows = []
    for at, element in enumerate(shown):
        is_last = at == len(shown) - 1
        rows.append((f"{indent}{'└── ' if is_last else '├── '}{element.name}", *_cells(element, brief=brief)))
        if deeper and element.name in LISTED:
            rows += _tree(element.children, indent + ("    " if is_last else "│   "), deeper=False, brief=brief)
    return rows


def _cells(element: Element, *, brief: bool) -> tuple[str, ...]:
    if element.problem:
        return ("unreadable", *[""] * 5)
    is_field = element.encoding == "field"
    return (
        f"dict of {len(element.children):,}" if element.encoding == "dict" else element.encoding,
        times(element.shape),
        element.dtype,
        "" if is_field else human_bytes(element.disk_bytes),
        "" if is_field else human_bytes(element.memory_bytes),
        "" if element.encoding in Container.names | DataFrame.names else stored(element, brief=brief),
    )


def stored(element: Element, *, brief: bool = False) -> str:
    """Return in words how the values lie: storage order, chunks, compression.

    Parameters
    ----------
    element
        One that is no group of elements.
    brief
        For a narrow terminal: "CSR" in place of "cell by cell (CSR)", and chunks by their shape alone.
    """
    if brief:
        order = element.order.partition("(")[2].rstrip(")") or element.order.partition(",")[0].replace("row-major", "")
        return " ".join(filter(None, (order, times(element.chunks) if element.chunks else "", element.compression)))
    chunks = f"chunks {times(element.chunks)}" if element.chunks else element.layout
    return ", ".join(filter(None, (element.order, chunks, element.compression)))


def _aligned(rows: Sequence[tuple[str, ...]], headings: tuple[str, ...]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if heading in NUMBERS else cell.ljust(width)
            for cell, width, heading in zip(row, widths, headings, strict=True)
        ).rstrip()
        for row in rows
    ]


def _width(rows: Sequence[tuple[str, ...]]) -> int:
    return sum(max(map(len, column)) + 2 for column in zip(*rows, strict=True)) - 2


def _shortened(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: room - 1]}…"


def times(shape: tuple[int, ...]) -> str:
    """Return a shape as people write it, with multiplication signs."""
    return " \N{MULTIPLICATION SIGN} ".join(f"{n:,}" for n in shape)
