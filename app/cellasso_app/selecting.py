"""The selection at the bottom right: how many cells, which ones, and their export."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from cellasso.errors import ExportError
from cellasso.export import Exported
from cellasso.summarise import count_groups
from cellasso.table import write_table
from cellasso_app.coloring import MISSING_COLOR, Categories, color_by_obs
from cellasso_app.components import SelectionPanel
from cellasso_app.work import Lane

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from cellasso.dataset import Dataset
    from cellasso.matrix import Progress
    from cellasso_app.picking import Picking
    from cellasso_app.session import Selection, Session

MAX_NAME = 200
"""Bytes of a file name: file systems take 255, and a partial file's name is a little longer."""

TABLES = {"csv": ".csv", "parquet": ".parquet", "txt": ".txt names"}
"""What tables are called in the list of formats, by the suffix of their names."""

SUFFIXES = ("h5ad", "h5mu", *TABLES)

PIECE = 4 << 20
"""Bytes of a download sent at once: large enough for 100 MB/s, small enough to share the connection."""


class SelectionView:
    """Size and composition of the selection, export and download.

    Parameters
    ----------
    session
        Whose selection this is.
    export_dir
        The one folder into which exports are written.
    picking
        What strokes and clicks select through.
    """

    def __init__(
        self,
        session: Session,
        export_dir: Path,
        *,
        picking: Picking,
    ) -> None:
        self._session = session
        self._picking = picking
        self._export_dir = export_dir
        self._exports: list[Path] = []
        source = session.dataset.format
        self._breakdown: Lane[list[dict[str, Any]]] = Lane(self._show_rows, self._fail)
        self._exporting: Lane[Exported] = Lane(
            self._show_exported, self._fail_export, self._show_progress, outlives_session=True
        )
        self._downloading: Lane[dict[str, Any]] = Lane(self._show_piece, self._fail_export)
        self.panel = SelectionPanel(
            on_message=self._on_message,
            n_obs=session.dataset.n_obs,
            formats=[{"value": source, "label": f".{source}"}, *_tables()],
            format=source,
            sizing_mode="stretch_width",
            margin=0,
            styles={"flex": "none", "height": "var(--selection)"},
        )
        session.param.watch(self._refresh, ["selection", "composition_by", "modality", "as_categories", "recolored"])
        session.param.watch(self._tell_contents, ["genes", "matrix"])
        self._refresh()
        self._idle()

    def _refresh(self, *_events: object) -> None:
        session = self._session
        selection: Selection | None = session.selection
        self.panel.param.update(
            n_selected=selection.n if selection is not None else None,
            columns=session.category_columns(),
            column=session.composition_by,
        )
        if selection is None or not session.composition_by:
            self._breakdown.cancel()
            self.panel.rows = []
        else:
            dataset, column = session.dataset, session.composition_by
            chosen = session.recolored.get(column, {})
            self._breakdown.submit(lambda _: _compose(dataset, column, selection, chosen))
        if self.panel.export["state"] in {"done", "failed", "exists"}:
            self._idle()

    def _show_rows(self, rows: list[dict[str, Any]]) -> None:
        self.panel.rows = rows

    def _fail(self, sentence: str) -> None:
        self.panel.param.update(rows=[], export={"state": "failed", "message": sentence})

    # -- export -----------------------------------------------------------------------------------------

    def _on_message(self, message: dict[str, Any]) -> None:
        session = self._session
        match message:
            case {"type": "composition", "value": str(name)} if name in session.category_columns():
                session.composition_by = name
            case {"type": "invert"}:
                self._picking.invert()
            case {"type": "clear"}:
                self._picking.in_turn(session.clear)
            case {"type": "format", "value": str(suffix), "name": str(name)}:
                self._choose_format(suffix, name)
            case {"type": "export", "name": str(name)}:
                self._export(name)
            case {"type": "replace"} if self.panel.export["state"] == "exists":
                self._export(self.panel.export["name"], overwrite=True)
            case {"type": "keep"} if self.panel.export["state"] == "exists":
                self.panel.export = self._idle_export()
            case {"type": "cancel_export"}:
                self._cancel()
            case {"type": "download", "number": int(number), "offset": int(offset)}:
                self._send_piece(number, offset)

    def _choose_format(self, suffix: str, name: str) -> None:
        """Offer another format, and the name that was typed with its suffix."""
        known = [offered["value"] for offered in self.panel.formats]
        if suffix not in known or self.panel.export["state"] == "running":
            return
        stem, dot, typed = name.strip().rpartition(".")
        stem = stem if dot and typed.lower() in SUFFIXES else name.strip()
        self.panel.param.update(format=suffix, file_name=f"{stem}.{suffix}", export=self._idle_export())
        self._tell_contents()

    def _tell_contents(self, *_events: object) -> None:
        self.panel.contents = contents(self._session, self.panel.format)

    def _export(self, name: str, *, overwrite: bool = False) -> None:
        selection: Selection | None = self._session.selection
        if selection is None or self.panel.export["state"] == "running":
            return
        try:
            path = self._export_dir / checked_name(name, self.panel.format)
        except ExportError as error:
            self._fail_export(str(error))
            return
        if not overwrite and path.is_file() and not path.samefile(self._session.dataset.file_path):
            self.panel.param.update(file_name=path.name, export={"state": "exists", "name": path.name})
            return
        self.panel.param.update(file_name=path.name, export={"state": "running", "fraction": 0.0, "n": selection.n})
        self._exporting.submit(self._job(selection, path, overwrite=overwrite), long=True)

    def _job(self, selection: Selection, path: Path, *, overwrite: bool) -> Callable[[Progress], Exported]:
        session, dataset = self._session, self._session.dataset
        if self.panel.format not in TABLES:
            return lambda progress: dataset.export(
                selection.mask, path, recipe=selection.recipe, overwrite=overwrite, progress=progress
            )
        genes = tuple(session.genes)
        layers = {gene: session.layer_of(gene) for gene in genes}

        def job(progress: Progress) -> Exported:
            written = write_table(
                dataset, selection.mask, path, features=genes, layer=layers, overwrite=overwrite, progress=progress
            )
            return Exported(written, selection.n, ())

        return job

    def _show_progress(self, fraction: float) -> None:
        if self.panel.export["state"] == "running":
            self.panel.export = {**self.panel.export, "fraction": fraction}

    def _show_exported(self, exported: Exported) -> None:
        self._exports.append(exported.path)
        self.panel.export = {
            "state": "done",
            "n": exported.n_obs,
            "path": str(exported.path),
            "number": len(self._exports) - 1,
            "left_out": list(exported.left_out),
        }

    def _fail_export(self, sentence: str) -> None:
        self.panel.export = {"state": "failed", "message": sentence}

    def _cancel(self) -> None:
        if self.panel.export["state"] != "running":
            return  # it ended while the click was on its way
        self._exporting.cancel()
        self.panel.export = {"state": "failed", "message": "Cancelled; nothing was written."}

    def _idle(self) -> None:
        stem = self._session.dataset.file_path.stem
        self.panel.param.update(
            file_name=free_name(self._export_dir, stem, self.panel.format), export=self._idle_export()
        )
        self._tell_contents()

    def _idle_export(self) -> dict[str, Any]:
        return {"state": "idle", "folder": str(self._export_dir)}

    def _show_piece(self, piece: dict[str, Any]) -> None:
        self.panel.send(piece)

    def _send_piece(self, number: int, offset: int) -> None:
        """Send a piece of a file that this session exported, and of no other."""
        if not 0 <= number < len(self._exports) or offset < 0:
            return
        path = self._exports[number]

        def job(_progress: Progress) -> dict[str, Any]:
            try:
                with path.open("rb") as file:
                    size = file.seek(0, 2)
                    file.seek(offset)
                    piece = file.read(PIECE)
            except OSError as error:
                raise ExportError(f"{path} can no longer be read ({error.strerror}).") from error
            about = {"type": "piece", "number": number, "name": path.name, "offset": offset, "size": size}
            return {**about, "bytes": piece}

        self._downloading.submit(job)


def contents(session: Session, suffix: str) -> str:
    """Return in words what goes into an export of a format."""
    if suffix not in TABLES:
        return "Every element, as stored"
    if suffix == "txt":
        return "Names of the cells"
    genes = session.genes
    if not genes:
        return "obs; genes that you choose above join it"
    layers = dict.fromkeys(session.layer_of(gene) or "" for gene in genes)
    return f"obs and {len(genes)} gene{'' if len(genes) == 1 else 's'} from {' and '.join(layers)}"


def _tables() -> list[dict[str, str]]:
    """Return the formats of tables that can be written here."""
    left_out = set() if find_spec("pyarrow") is not None else {"parquet"}
    return [{"value": suffix, "label": label} for suffix, label in TABLES.items() if suffix not in left_out]


def checked_name(name: str, file_format: str) -> str:
    """Return the file name for an export, with its suffix.

    Raises
    ------
    ExportError
        It is empty, hidden, reaches out of the folder, or has the suffix of another format.
    """
    name = name.strip()
    if (
        not name
        or name.startswith(".")
        or "/" in name
        or "\\" in name
        or not name.isprintable()
        or len(name.encode()) > MAX_NAME
    ):
        raise ExportError(f"{name!r} is not a plain file name; write one such as subset.{file_format}.")
    stem, _, suffix = name.rpartition(".")
    if stem and suffix.lower() in SUFFIXES and suffix != file_format:
        raise ExportError(
            f"{name} ends in .{suffix}, but .{file_format} is what will be written; write {stem}.{file_format},"
            " or choose another format."
        )
    return name if suffix == file_format and stem else f"{name}.{file_format}"


def free_name(folder: Path, stem: str, file_format: str) -> str:
    """Return a name for a subset that the folder does not have yet."""
    name, number = f"{stem}_subset.{file_format}", 1
    while (folder / name).exists():
        number += 1
        name = f"{stem}_subset_{number}.{file_format}"
    return name


def _compose(dataset: Dataset, column: str, selection: Selection, chosen: Mapping[str, str]) -> list[dict[str, Any]]:
    """Count the selected cells of each category, largest part first; only those that occur."""
    categories = color_by_obs(dataset, column, as_categories=True)
    if not isinstance(categories, Categories):
        return []
    counts = count_groups(categories.codes, len(categories.labels), selection.mask)
    rows = [
        {"label": label, "color": chosen.get(label, color), "n": int(n), "total": int(total)}
        for label, color, n, total in zip(categories.labels, categories.colors, counts, categories.counts, strict=True)
        if n
    ]
    rows.sort(key=lambda row: -row["n"])
    without = selection.n - int(counts.sum())
    if without:
        rows.append({"label": "no value", "color": MISSING_COLOR, "n": without, "total": categories.n_missing})
    return rows
