"""The selection at the bottom right: how many cells, which ones, and their export."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from cellasso.color.coloring import MISSING_COLOR, Categories
from cellasso.core.errors import ExportError
from cellasso.stats.group_summary import count_groups
from cellasso.write.export import Exported
from cellasso.write.table import write_table
from cellasso_app.panels.selection.component import SelectionPanel
from cellasso_app.render.cell_values import obs_vector, read_cell_values
from cellasso_app.runtime.jobs import LatestJob

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from cellasso.core.progress import Progress
    from cellasso.dataset import Dataset
    from cellasso_app.state.selection import Selection
    from cellasso_app.state.session import Session
    from cellasso_app.views.embedding.picking import Picking

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

    Attributes
    ----------
    export_dir
        As given.
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
        self.export_dir = export_dir
        self._exports: list[Path] = []
        # what is decided by lives here; the panel's parameters only show it
        self._suffixes = [session.dataset.format, *_tables()]
        self._suffix: str = session.dataset.format
        self._state: dict[str, Any] = {"state": "idle"}
        self._breakdown: LatestJob[list[dict[str, Any]]] = LatestJob(
            self._show_rows, self._fail, urgency=session.urgency
        )
        self._exporting: LatestJob[Exported] = LatestJob(
            self._show_exported, self._fail_export, self._show_progress, outlives_session=True
        )
        self._downloading: LatestJob[dict[str, Any]] = LatestJob(self._show_piece, self._fail_export)
        self.panel = SelectionPanel(
            on_message=self.receive,
            on_refused=self._complain,
            n_obs=session.dataset.n_obs,
            formats=[{"value": suffix, "label": TABLES.get(suffix, f".{suffix}")} for suffix in self._suffixes],
            format=self._suffix,
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
            self._breakdown.submit(lambda _: _compose(dataset, column, selection, chosen), priority="when_idle")
        if self._state["state"] in {"done", "failed", "exists"}:
            self._idle()

    def _show_rows(self, rows: list[dict[str, Any]]) -> None:
        self.panel.rows = rows

    def _fail(self, sentence: str) -> None:
        self.panel.rows = []
        self._complain(sentence)

    def _complain(self, sentence: str) -> None:
        """Say what went wrong beside the export, unless one is running."""
        if self._state["state"] != "running":
            self._fail_export(sentence)

    # -- export -----------------------------------------------------------------------------------------

    @property
    def is_busy(self) -> bool:
        """Whether a file is being written, or a piece of one read."""
        return self._exporting.is_busy or self._downloading.is_busy

    def receive(self, message: dict[str, Any]) -> None:
        """Do what the browser asks of the selection."""
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
            case {"type": "replace"} if self._state["state"] == "exists":
                self._export(self._state["name"], overwrite=True)
            case {"type": "keep"} if self._state["state"] == "exists":
                self._be_idle()
            case {"type": "cancel_export"}:
                self._cancel()
            case {"type": "download", "number": int(number), "offset": int(offset)}:
                self._send_piece(number, offset)

    def _be(self, state: str, **about: Any) -> None:
        """Come to another state of the export, and show it."""
        self._state = {"state": state, **about}
        self.panel.export = self._state

    def _choose_format(self, suffix: str, name: str) -> None:
        """Offer another format, and the name that was typed with its suffix."""
        if suffix not in self._suffixes or self._state["state"] == "running":
            return
        self._suffix = suffix
        stem, dot, typed = name[:MAX_NAME].strip().rpartition(".")
        stem = stem if dot and typed.lower() in SUFFIXES else name[:MAX_NAME].strip()
        self.panel.param.update(format=suffix, file_name=f"{stem}.{suffix}")
        self._be_idle()
        self._tell_contents()

    def _tell_contents(self, *_events: object) -> None:
        self.panel.contents = contents(self._session, self._suffix)

    def _export(self, name: str, *, overwrite: bool = False) -> None:
        selection: Selection | None = self._session.selection
        if selection is None or self._state["state"] == "running":
            return
        try:
            path = self.export_dir / checked_name(name, self._suffix)
        except ExportError as error:
            self._fail_export(str(error))
            return
        self.panel.file_name = path.name
        if not overwrite and path.is_file() and not path.samefile(self._session.dataset.file_path):
            self._be("exists", name=path.name)
            return
        self._be("running", fraction=0.0, n=selection.n)
        self._exporting.submit(self._job(selection, path, overwrite=overwrite), long=True)

    def _job(self, selection: Selection, path: Path, *, overwrite: bool) -> Callable[[Progress], Exported]:
        session, dataset = self._session, self._session.dataset
        if self._suffix not in TABLES:

            def export(progress: Progress) -> Exported:
                target = inside(self.export_dir, path)
                return dataset.export(
                    selection.mask, target, recipe=selection.recipe, overwrite=overwrite, progress=progress
                )

            return export
        genes = tuple(session.genes)
        layers = {gene: session.layer_of(gene) for gene in genes}

        def job(progress: Progress) -> Exported:
            target = inside(self.export_dir, path)
            written = write_table(
                dataset, selection.mask, target, features=genes, layer=layers, overwrite=overwrite, progress=progress
            )
            return Exported(written, selection.n, ())

        return job

    def _show_progress(self, fraction: float) -> None:
        if self._state["state"] == "running":
            self._be(**{**self._state, "fraction": fraction})

    def _show_exported(self, exported: Exported) -> None:
        self._exports.append(exported.path)
        self._be(
            "done",
            n=exported.n_obs,
            path=str(exported.path),
            number=len(self._exports) - 1,
            left_out=list(exported.left_out),
        )

    def _fail_export(self, sentence: str) -> None:
        self._be("failed", message=sentence)

    def _cancel(self) -> None:
        if self._state["state"] != "running":
            return  # it ended while the click was on its way
        self._exporting.cancel()
        self._fail_export("Cancelled; nothing was written.")

    def _idle(self) -> None:
        stem = self._session.dataset.file_path.stem
        self.panel.file_name = free_name(self.export_dir, stem, self._suffix)
        self._be_idle()
        self._tell_contents()

    def _be_idle(self) -> None:
        self._be("idle", folder=str(self.export_dir))

    def _show_piece(self, piece: dict[str, Any]) -> None:
        self.panel.send(piece)

    def _send_piece(self, number: int, offset: int) -> None:
        """Send a piece of a file that this session exported, and of no other."""
        if not 0 <= number < len(self._exports) or offset < 0:
            return
        path = self._exports[number]

        def job(_progress: Progress) -> dict[str, Any]:
            target = inside(self.export_dir, path)
            try:
                with target.open("rb") as file:
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


def _tables() -> list[str]:
    """Return the suffixes of tables that can be written here."""
    left_out = set() if find_spec("pyarrow") is not None else {"parquet"}
    return [suffix for suffix in TABLES if suffix not in left_out]


def inside(folder: Path, path: Path) -> Path:
    """Return a path that lies directly in a folder, as both are found on the disk now.

    Raises
    ------
    ExportError
        It does not, or is a link that leads out of there.
    """
    try:
        if path.resolve().parent == folder.resolve(strict=True):
            return path
    except (OSError, RuntimeError) as error:  # the folder is gone; a link that leads in circles
        raise ExportError(f"The folder {folder} for exports cannot be reached ({error}).") from error
    raise ExportError(f"{path.name!r} lies outside of the folder for exports, {folder}; choose another name.")


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
        shown = name if len(name) <= MAX_NAME else f"{name[:40]}…"
        raise ExportError(f"{shown!r} is not a plain file name; write one such as subset.{file_format}.")
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
    categories = read_cell_values(dataset, obs_vector(dataset, column), as_categories=True).coloring
    if not isinstance(categories, Categories):
        return []
    counts = count_groups(categories.codes, len(categories.labels), selection.mask)
    rows: list[dict[str, Any]] = [
        {"label": label, "color": chosen.get(label, color), "n": int(n), "total": int(total)}
        for label, color, n, total in zip(categories.labels, categories.colors, counts, categories.counts, strict=True)
        if n
    ]
    rows.sort(key=lambda row: -row["n"])
    without = selection.n - int(counts.sum())
    if without:
        rows.append({"label": "no value", "color": MISSING_COLOR, "n": without, "total": categories.n_missing})
    return rows
