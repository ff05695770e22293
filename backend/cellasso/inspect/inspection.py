"""What a file holds and what it would cost to look at: its elements, their sizes, and what is wrong with them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cellasso.core.errors import CellassoError, ElementError
from cellasso.encodings import elements, registry, schema
from cellasso.encodings.sparse import PARTS, Sparse
from cellasso.inspect import sizes
from cellasso.inspect.costs import EXPORTED, Stored, Volume
from cellasso.inspect.forecast import Forecaster
from cellasso.inspect.report import Element, Report, Section, render_text, times, to_json
from cellasso.store.base import Array, Group

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping

    from cellasso.encodings.base import Encoding
    from cellasso.encodings.dataframe import Frame
    from cellasso.inspect.costs import Forecast
    from cellasso.matrix.base import Matrix
    from cellasso.model.container import Container
    from cellasso.model.modality import Modality
    from cellasso.store.base import Layout, Store

__all__ = ["inspect", "render_text", "to_json"]

ORDER = ("X", "raw", "raw.X", "raw.var", "layers", "obs", "var", "obsm", "varm", "obsp", "varp", "obsmap", "varmap")
"""Members of an AnnData or MuData in the order that people look for them; the others follow."""

MAX_NAMES = 100_000
"""Names up to which duplicates are looked for; reading that many takes 40 ms, a million a third of a second."""

MAX_ELEMENTS = 50_000
MAX_DEPTH = 32
"""Hard links can make a small file look endless; no real file came near either bound."""


def inspect(dataset: Container[Any]) -> Report:
    """Describe every element of a file, and forecast what it costs to look at.

    Reads headers, the names of cells and features if they are few, and of each matrix a piece to time it.
    """
    walk = _Walk(dataset.handle)
    parts = dataset.parts
    outer = {name.rpartition(":")[0] for name in dataset.modalities} | ({""} if dataset.format == "h5mu" else set())
    sections = tuple(walk.section(part, is_global=part.name in outer) for part in parts)
    walk.check_embeddings(dataset)
    forecast = walk.forecast(sections)
    return Report(
        file=dataset.handle.name,
        path=str(dataset.file_path),
        format=dataset.format,
        n_obs=sections[0].n_obs,
        n_vars=sections[0].n_vars,
        file_bytes=dataset.handle.fingerprint.size,
        sections=sections,
        forecast=forecast,
        problems=tuple(dict.fromkeys(walk.problems)),
        names_checked=walk.names_checked,
    )


class _Walk:
    """Goes through a file once and notes its problems; what is wrong with one element stops no other."""

    def __init__(self, handle: Store) -> None:
        self._handle = handle
        self._n_elements = 0
        self._matrices: dict[str, tuple[str, Matrix]] = {}  # by HDF5 path
        self.problems: list[str] = []
        self.names_checked = True

    def section(self, part: Modality, *, is_global: bool) -> Section:
        """Describe the file's own members, or a modality's."""
        root = self._handle.group(part.path or "/")
        names = [name for name in root if not (is_global and name == "mod")]
        names.sort(key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))
        lengths: dict[str, int] = {}
        for frame, axis in ((part.obs, "obs"), (part.var, "var")):
            with self._noting(frame.path):
                lengths[axis] = len(frame)
                self._check_names(frame)
        if not is_global:
            self._check_matrices(part, lengths)
        found = tuple(_with_joined_names(self._element(root, name, ())) for name in names)
        self._check_lengths(found, lengths)
        return Section(part.name, lengths.get("obs", 0), lengths.get("var", 0), found)

    def forecast(self, sections: Iterable[Section]) -> Forecast:
        """Time a piece of each matrix."""
        found = {element.path: element for section in sections for element in _flat(section.elements)}
        matrices = []
        for path, (name, matrix) in self._matrices.items():
            element = found.get(path)
            if element is None or element.problem:
                continue
            with self._noting(path):
                sizes = matrix.n_stored, element.chunks, element.memory_bytes, element.feature_bytes or 0
                matrices.append((Stored(name, matrix.storage, matrix.shape, *sizes), matrix))
        forecaster = Forecaster(self._handle)
        made = forecaster.forecast(matrices, _volume(sections))
        self.problems += forecaster.problems
        return made

    # -- elements ---------------------------------------------------------------------------------

    def _element(self, parent: Group, name: str, above: tuple[Hashable, ...]) -> Element:
        path = f"{(parent.name or '').rstrip('/')}/{name}"
        with self._noting(path):
            self._n_elements += 1
            if self._n_elements > MAX_ELEMENTS:
                raise ElementError(f"{self._handle.name} has more than {MAX_ELEMENTS:,} elements; not all are listed.")
            node = self._handle.child(parent, name)
            address = self._handle.key(node)
            if address in above or len(above) > MAX_DEPTH:
                raise ElementError(f"{self._handle.place(path)} is a group inside of itself, or nested too deep.")
            if isinstance(node, Array):
                return self._dataset(node, name, path)
            encoding = registry.find(node)
            if encoding is not None and not encoding.is_container:
                return self._whole(node, name, path, encoding)
            if encoding is None:
                self._note_encoding(path, schema.encoding(node))
            return self._container(node, name, path, (*above, address))
        return Element(name, path, problem=self.problems[-1])

    def _container(self, node: Group, name: str, path: str, above: tuple[Hashable, ...]) -> Element:
        children = []
        for member in _members(self._handle, node):
            if self._n_elements > MAX_ELEMENTS:
                break
            children.append(self._element(node, member, above))
        return Element(
            name,
            path,
            schema.encoding(node),
            shape=elements.shape(node),
            disk_bytes=sum(child.disk_bytes for child in children),
            memory_bytes=sum(child.memory_bytes for child in children),
            children=tuple(children),
        )

    def _dataset(self, node: Array, name: str, path: str) -> Element:
        encoding, shape = schema.encoding(node), elements.shape(node)
        if "categories" in node.attrs:  # anndata 0.7: codes that refer to their categories
            encoding = "categorical"
        elif registry.find(node) is None:
            self._note_encoding(path, encoding)
        layout = self._handle.layout(node)
        self._check_filters(layout, path)
        fields = {field: node.dtype[field] for field in node.dtype.names or ()}
        return Element(
            name,
            path,
            encoding,
            shape=shape,
            dtype=sizes.dtype(node.dtype),
            order=self._order(path, encoding, shape),
            layout=layout.kind,
            chunks=node.chunks,
            compression=layout.compression,
            disk_bytes=layout.disk_bytes,
            memory_bytes=sizes.memory_bytes(node),
            feature_bytes=sizes.dense_feature_bytes(node, layout.disk_bytes) if path in self._matrices else None,
            children=tuple(
                Element(field, path, "field", (*shape, *dtype.shape), sizes.dtype(dtype.base))
                for field, dtype in fields.items()
            ),
        )

    def _whole(self, node: Group, name: str, path: str, encoding: Encoding) -> Element:
        """Describe a group that is one value: the facts of its leading part, the sizes of all."""
        members = {member: self._handle.child(node, member) for member in node}
        parts = {member: part for member, part in members.items() if isinstance(part, Array)}
        layouts = {member: self._handle.layout(part) for member, part in parts.items()}
        for member, layout in layouts.items():
            self._check_filters(layout, f"{path}/{member}")
        leading, stated = encoding.leading, schema.encoding(node)
        values = parts.get(leading)
        described = parts.get("categories", values)
        return Element(
            name,
            path,
            stated,
            shape=elements.shape(node),
            dtype=sizes.dtype(described.dtype) if described is not None else "",
            order=self._order(path, stated, ()),
            layout=layouts[leading].kind if values is not None else "",
            chunks=values.chunks if values is not None else None,
            compression=layouts[leading].compression if values is not None else "",
            disk_bytes=sum(layout.disk_bytes for layout in layouts.values()),
            memory_bytes=sum(map(sizes.memory_bytes, parts.values())),
            feature_bytes=self._sparse_feature_bytes(parts, layouts, elements.shape(node), stated, path),
        )

    def _sparse_feature_bytes(
        self,
        parts: Mapping[str, Array],
        layouts: Mapping[str, Layout],
        shape: tuple[int, ...],
        encoding: str,
        path: str,
    ) -> int | None:
        if encoding not in Sparse.names:
            return None
        place, is_csr = self._handle.place(path), encoding == "csr_matrix"
        missing = [name for name in PARTS if name not in parts]
        if missing:
            raise ElementError(f"{place} has no {' and no '.join(missing)}; a sparse matrix has all three.")
        if len(shape) != 2:
            raise ElementError(f"{place} does not say its shape.")
        stored, indexed, pointers = (parts[name].size for name in PARTS)
        if stored != indexed:
            self.problems.append(f"{place} has {indexed:,} indices but {stored:,} values.")
        expected = shape[0 if is_csr else 1] + 1
        if pointers != expected:
            self.problems.append(f"{place}/indptr has {pointers:,} entries; {expected:,} were expected.")
        if path not in self._matrices:
            return None
        sized = {name: (parts[name], layouts[name].disk_bytes) for name in PARTS}
        return sizes.sparse_feature_bytes(sized, n_columns=None if is_csr else shape[1])

    def _order(self, path: str, encoding: str, shape: tuple[int, ...]) -> str:
        """Return in words what lies side by side."""
        is_feature_matrix = path in self._matrices
        if encoding in Sparse.names:
            rows, columns = ("cell", "gene") if is_feature_matrix else ("row", "column")
            line = rows if encoding == "csr_matrix" else columns
            return f"{line} by {line} ({encoding[:3].upper()})"
        if len(shape) < 2:
            return ""
        return "dense, row-major" if is_feature_matrix else "row-major"

    # -- problems ---------------------------------------------------------------------------------

    def check_embeddings(self, dataset: Container[Any]) -> None:
        """Note it when there is nothing to draw."""
        with self._noting("/obsm"):
            if not dataset.embeddings:
                self.problems.append(
                    f"{self._handle.name} has no embedding: no member of obsm has a row for each cell and two or"
                    " more columns, so the cells cannot be drawn."
                )

    def _check_matrices(self, part: Modality, lengths: Mapping[str, int]) -> None:
        place = self._handle.place(part.path or "/")
        if not part.matrices:
            self.problems.append(f"{place} has no X, no raw and no layers: there is no feature to colour by.")
        elif "X" not in part.matrices:
            self.problems.append(f"{place} has no X; features are read from {part.matrices[0]}.")
        for name in part.matrices:
            with self._noting(part.path or "/"):
                matrix = part.matrix(name).matrix
                self._matrices[matrix.path] = (f"{part.name}:{name}" if part.name else name, matrix)
                expected = (lengths.get("obs", matrix.shape[0]), len(part.features(name)))
                if matrix.shape != expected:
                    self.problems.append(
                        f"{matrix.place} has shape {times(matrix.shape)}; {times(expected)} was expected."
                    )

    def _check_lengths(self, found: tuple[Element, ...], lengths: Mapping[str, int]) -> None:
        """Note what runs along obs or var and has another length."""
        for group in found:
            axes = () if group.name in schema.MATRICES else schema.AXES.get(group.name, ())  # these are opened anyway
            expected = tuple(lengths[axis] for axis in axes if axis in lengths)
            for element in group.children:
                if element.shape and element.shape[: len(expected)] != expected:
                    self.problems.append(
                        f"{self._handle.place(element.path)} has shape {times(element.shape)};"
                        f" {times(expected)} was expected{'' if len(expected) > 1 else ' to begin it'}."
                    )

    def _check_names(self, frame: Frame) -> None:
        if len(frame) > MAX_NAMES:
            self.names_checked = False
            return
        repeated = len(frame) - len(set(self._stored_names(frame)))
        if repeated:
            self.problems.append(
                f"{self._handle.place(frame.path)} has names that occur more than once: {repeated:,} of"
                f" {len(frame):,} repeat an earlier one."
            )

    def _stored_names(self, frame: Frame) -> list[object]:
        """Read the index as it is stored: that suffices to see repetitions, and spares importing anndata."""
        node = self._handle.node(frame.path)
        stated = node.attrs.get("_index", "index")
        name = schema.text(stated)
        if isinstance(node, Array):
            return (
                list(self._handle.read(node, field=name))
                if name in (node.dtype.names or ())
                else list(range(len(frame)))
            )
        if name not in node:
            return list(range(len(frame)))
        index = self._handle.child(node, name)
        if isinstance(index, Group):
            index = self._handle.child_array(index, "codes" if "codes" in index else "values")
        return list(self._handle.read(index))

    def _check_filters(self, layout: Layout, path: str) -> None:
        missing = layout.missing_filter
        if missing:
            raise ElementError(
                f"{self._handle.place(path)} is compressed with {missing}, which this HDF5 cannot decompress."
            )

    def _note_encoding(self, path: str, encoding: str) -> None:
        self.problems.append(f"{self._handle.place(path)} has the encoding {encoding!r}, which is not known here.")

    @contextmanager
    def _noting(self, path: str) -> Iterator[None]:
        """Turn what is raised inside into a noted problem."""
        try:
            with self._handle.naming(path):
                yield
        except CellassoError as error:
            self.problems.append(str(error))


def _members(handle: Store, group: Group) -> list[str]:
    """Return the names in a group, a data frame's columns in the order that it states."""
    order = {name: at for at, name in enumerate(schema.names(group, "column-order"))}
    store = schema.category_store(handle, group)
    found = (name for name in group if store is None or name != schema.CATEGORIES)
    return sorted(found, key=lambda name: order.get(name, -1))


def _with_joined_names(element: Element) -> Element:
    """Return columns, layers and the like with the names by which they are asked for.

    HDF5 has made a group of what stood before a slash in their names.
    """
    if element.name not in schema.AXES:
        return element
    return replace(element, children=tuple(_joined(element.children)))


def _joined(found: Iterable[Element], above: str = "") -> Iterator[Element]:
    for element in found:
        name = f"{above}{element.name}"
        if element.encoding == "dict" and element.children:
            yield from _joined(element.children, f"{name}/")
        else:
            yield replace(element, name=name)


def _flat(found: Iterable[Element]) -> Iterator[Element]:
    for element in found:
        yield element
        yield from _flat(element.children)


def _volume(sections: Iterable[Section]) -> Volume:
    """Add up all elements, and what a tenth of the cells keeps of them."""
    disk = memory = 0
    kept = 0.0
    for section in sections:
        for element in section.elements:
            disk += element.disk_bytes
            memory += element.memory_bytes
            parts = element.children if element.name == "raw" else (element,)
            kept += sum(part.disk_bytes * _kept_fraction(part.name) for part in parts)
    return Volume(disk, memory, int(kept))


def _kept_fraction(name: str) -> float:
    axes = schema.AXES.get(name, ()).count("obs")
    return float(EXPORTED**axes)
