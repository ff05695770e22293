"""What a file holds, in the few lines that a console or a notebook shows of it; reads headers alone."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from cellasso.core.errors import CellassoError
from cellasso.encodings import elements, schema
from cellasso.inspect.report import human_bytes, printable
from cellasso.store.base import Array, Group, members

if TYPE_CHECKING:
    from cellasso.model.container import Container
    from cellasso.model.modality import Modality
    from cellasso.store.base import Node, Store

PARTS = ("obs", "var", "uns", "obsm", "varm", "layers", "obsp", "varp")
"""Members of an AnnData in the order in which anndata lists them."""

TIMES = "\N{MULTIPLICATION SIGN}"

MAX_NAMES = 60
"""Names of a part that are listed; the number of the others is said."""


@dataclass(frozen=True)
class Part:
    """One line: a member of an AnnData and what is in it.

    Attributes
    ----------
    names
        What is in it, as anndata names it.
    notes
        Shape, type and size of each, as far as its header says it; as many as names, or none.
    note
        The same of the member itself, where it is one element.
    """

    label: str
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Summary:
    """An AnnData or MuData.

    Attributes
    ----------
    title
        What it is, and how large.
    modalities
        Of a MuData, by name.
    """

    title: str
    parts: tuple[Part, ...]
    modalities: tuple[tuple[str, Summary], ...] = ()


def summarise_file(dataset: Container[Any]) -> Summary:
    """Return what a file holds.

    Parameters
    ----------
    dataset
        The file; of a closed one that is all that is said.
    """
    handle = dataset.handle
    if not handle.is_open:
        return Summary(f"{printable(handle.name)}, closed", ())
    kind = "MuData" if dataset.format == "h5mu" else "AnnData"
    size = human_bytes(handle.fingerprint.size)
    title = f"{kind} {_shape(dataset.root)}, read from {printable(handle.name)} ({size})"
    modalities = tuple((name, summarise_modality(part)) for name, part in dataset.modalities.items())
    return Summary(title, _parts(dataset.root), modalities)


def summarise_modality(modality: Modality) -> Summary:
    """Return what one modality holds.

    Parameters
    ----------
    modality
        One of an open file.
    """
    if not modality.handle.is_open:
        return Summary(f"{printable(modality.name or modality.handle.name)}, closed", ())
    return Summary(f"AnnData {_shape(modality)}", _parts(modality))


def text(summary: Summary, indent: str = "") -> str:
    """Return a summary as lines of text, as anndata shows an object.

    Parameters
    ----------
    summary
        What a file or a modality holds.
    indent
        Before every line.
    """
    lines = [f"{indent}{summary.title}"]
    for part in summary.parts:
        shown = [f"'{printable(name)}'" for name in part.names[:MAX_NAMES]]
        if part.notes:
            shown = [f"{name} ({note})" if note else name for name, note in zip(shown, part.notes, strict=False)]
        more = f", … ({len(part.names):,})" if len(part.names) > MAX_NAMES else ""
        lines.append(f"{indent}    {part.label}: {part.note}{', '.join(shown)}{more}")
    for name, inner in summary.modalities:
        lines.append(f"{indent}    {printable(name)}:")
        lines.append(text(inner, f"{indent}        "))
    return "\n".join(lines)


def html(summary: Summary) -> str:
    """Return a summary for a notebook; every text of the file is escaped, colours are those of the page."""
    return f'<div style="font-size:0.92em;line-height:1.5;max-width:72em">{_block(summary)}</div>'


CELL = "text-align:left;vertical-align:top;padding:1px 16px 1px 0;background:none"
TABLE = "border:none;margin:2px 0 6px 0;color:inherit;background:none"
FAINT = "opacity:0.65"


def _block(summary: Summary) -> str:
    rows = [
        f'<tr><th style="{CELL};font-weight:600">{escape(part.label)}</th><td style="{CELL}">{_names(part)}</td></tr>'
        for part in summary.parts
    ]
    table = f'<table style="{TABLE}">{"".join(rows)}</table>' if rows else ""
    inner = [
        f'<details open style="margin-left:1em"><summary style="cursor:pointer"><b>{escape(printable(name))}</b>'
        f"</summary>{_block(each)}</details>"
        for name, each in summary.modalities
    ]
    return f"<div><b>{escape(summary.title)}</b></div>{table}{''.join(inner)}"


def _names(part: Part) -> str:
    def faint(text: str) -> str:
        return f'<span style="{FAINT}">{escape(text)}</span>' if text else ""

    names = [escape(printable(name)) for name in part.names[:MAX_NAMES]]
    notes = part.notes[:MAX_NAMES] or ("",) * len(names)
    shown = [f"{name} {faint(note)}".strip() for name, note in zip(names, notes, strict=True)]
    n_more = len(part.names) - MAX_NAMES
    more = [faint(f"and {n_more:,} more")] if n_more > 0 else []
    return faint(part.note) + " · ".join(shown + more)


def _shape(modality: Modality) -> str:
    try:
        n_obs, n_vars = modality.n_obs, modality.n_vars
    except CellassoError:
        return "whose obs or var is damaged"
    return f"n_obs {TIMES} n_vars = {n_obs:,} {TIMES} {n_vars:,}"


def _parts(modality: Modality) -> tuple[Part, ...]:
    handle, path = modality.handle, modality.path
    found = []
    matrices = [(name, stored) for name, stored in (("X", "X"), ("raw", "raw/X"), ("raw", "raw.X"))]
    for name, stored in matrices:
        note = _note(handle, f"{path}/{stored}")
        if note:
            found.append(Part(name, (), note=note))
    for name in PARTS:
        own = Part(name, *_listed(handle, f"{path}/{name}", is_frame=name in {"obs", "var"}))
        if own.names:
            found.append(own)
    return tuple(found)


def _listed(handle: Store, path: str, *, is_frame: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of what is in a member, and for other members than frames and uns what each is."""
    try:
        node = handle.node(path)
        if isinstance(node, Array):
            return tuple(node.dtype.names or ()), ()
        if is_frame:
            columns = schema.names(node, "column-order")
            return tuple(columns or [name for name in members(node) if not name.startswith("_")]), ()
        if path.endswith("/uns"):
            return tuple(members(node)), ()
        named = [(name, each) for name, each in schema.below(handle, node)]
    except CellassoError:
        return (), ()
    notes = ["damaged" if isinstance(each, Exception) else _said(handle, each) for _, each in named]
    return tuple(name for name, _ in named), tuple(notes)


def _note(handle: Store, path: str) -> str:
    try:
        return _said(handle, handle.node(path))
    except CellassoError:
        return ""


def _said(handle: Store, node: Node) -> str:
    """Return shape, type and size of an element, as far as its headers say them."""
    shape = f" {TIMES} ".join(f"{length:,}" for length in elements.shape(node))
    kind = schema.encoding(node).removesuffix("_matrix")
    if isinstance(node, Group):
        data = node.get("data") if "data" in node else None
        arrays = [each for each in (node.get(name) for name in members(node)) if isinstance(each, Array)]
        dtype = str(data.dtype) if isinstance(data, Array) else ""
    else:
        arrays, dtype, kind = [node], str(node.dtype) if not node.dtype.names else "", ""
    size = human_bytes(sum(handle.disk_bytes(each) for each in arrays)) if arrays else ""
    return ", ".join(each for each in (shape, " ".join(filter(None, (kind, dtype))), size) if each)
