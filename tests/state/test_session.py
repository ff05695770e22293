"""A user's choices: what a modality offers, genes, and selections whose recipes always say what their masks are."""

from __future__ import annotations

import warnings

import mudata as md
import numpy as np
import pandas as pd
import pytest

import cellasso
from cellasso.core.errors import NotFoundError
from cellasso.model.vector import Vector
from cellasso.selection.recipe import Combined, Inverted, Lasso, WhereRecipe, dump, load
from cellasso_app.state.selection import MAX_HISTORY, Selection
from cellasso_app.state.session import MAX_GENES, Session
from conftest import make_adata, write

HI, BOOL, NEAR = (
    WhereRecipe("ordered == 'hi'"),
    WhereRecipe("bool"),
    Lasso("X_umap", ((-1.0, -1.0), (1.0, -1.0), (0.0, 1.5))),
)


@pytest.fixture
def session(dataset) -> Session:
    return Session(dataset)


@pytest.fixture
def multi(multimodal):
    with cellasso.open(multimodal.path) as dataset:
        yield Session(dataset)


@pytest.fixture
def apart(tmp_path):
    """An h5mu whose global obs repeats no column of its modalities."""
    protein = make_adata("dense", seed=1, n_obs=40, prefix="p", full=False)
    protein.obs = pd.DataFrame({"kind": pd.Categorical(["a", "b"] * 20)}, index=protein.obs_names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = write(md.MuData({"rna": make_adata(prefix="r"), "protein": protein}), tmp_path / "apart.h5mu")
    with cellasso.open(path) as dataset:
        yield Session(dataset)


def select(session: Session, operation: str, recipe: WhereRecipe | Lasso) -> None:
    session.select(operation, recipe, recipe.mask(session.dataset))


def with_obs(tmp_path, columns: dict[str, object]):
    adata = make_adata(n_obs=6, full=False)
    adata.obs = pd.DataFrame(columns, index=adata.obs_names)
    return cellasso.open(write(adata, tmp_path / "columns.h5ad"))


# -- what is offered ----------------------------------------------------------------------------------


def test_an_h5ad_starts_with_its_umap_its_x_and_its_first_categories(session):
    assert (session.modalities, session.modality) == ([], "")
    assert session.view.embedding == "X_umap"
    assert session.matrix == "X"
    assert session.view.color == Vector("obs", "ordered")
    assert session.group_by == session.composition_by == "ordered"
    assert (session.genes, session.selection) == ([], None)


def test_grouping_columns_are_categories_and_truths(session, plain):
    obs = plain.oracle.obs
    expected = [
        name
        for name in obs
        if isinstance(obs[name].dtype, pd.CategoricalDtype) or pd.api.types.is_bool_dtype(obs[name].dtype)
    ]
    assert session.category_columns() == expected
    assert [column["name"] for column in session.columns()] == list(obs)


@pytest.mark.parametrize(
    ("columns", "best"),
    [
        (["leiden", "batch", "cell_type"], "cell_type"),
        (["batch", "Louvain", "leiden"], "leiden"),
        (["batch", "Cell_Type"], "Cell_Type"),
        (["sample", "batch"], "sample"),
    ],
)
def test_the_column_that_names_cells_is_preferred(tmp_path, columns, best):
    with with_obs(tmp_path, {name: pd.Categorical(list("ababab")) for name in columns}) as dataset:
        assert Session(dataset).group_by == best


def test_without_categories_nothing_is_grouped_or_coloured(tmp_path):
    with with_obs(tmp_path, {"n_counts": np.arange(6.0)}) as dataset:
        session = Session(dataset)
        assert session.category_columns() == []
        assert (session.group_by, session.composition_by, session.view.color) == ("", "", None)
        assert session.view.embedding == ""  # nor has it an obsm
        session.add_gene("g1")
        session.remove_gene("g1")
        assert session.view.color is None


# -- modalities ---------------------------------------------------------------------------------------


def test_an_h5mu_starts_with_its_first_modality_over_all_cells(multi):
    assert multi.modalities == ["rna", "protein", "atac"]
    assert multi.modality == "rna"
    assert multi.view.embedding == "rna:X_umap"
    assert multi.matrix == "X"
    assert multi.group_by in multi.category_columns()
    for column in multi.columns():
        assert len(multi.dataset.read_obs(column["name"])) == multi.dataset.n_obs
    assert len({column["name"] for column in multi.columns()}) == len(multi.columns())


def test_a_modality_without_an_embedding_leaves_the_one_on_the_screen(multi):
    multi.choose_modality("protein")
    assert multi.modality == "protein"
    assert multi.current is multi.dataset["protein"]
    assert multi.view.embedding == "rna:X_umap"


def test_a_modality_with_embeddings_shows_its_own(multi):
    multi.change_view(embedding="X_joint")
    multi.choose_modality("protein")
    assert multi.view.embedding == "X_joint"
    multi.choose_modality("rna")
    assert multi.view.embedding == "rna:X_umap"


def test_the_matrix_is_one_that_the_modality_has(multi):
    multi.matrix = "counts"
    multi.choose_modality("protein")
    assert multi.matrix == multi.dataset["protein"].matrices[0]


def test_a_colour_and_grouping_stay_where_the_modality_offers_them_too(multi):
    shared = multi.dataset.obs.columns[0]
    multi.change_view(color=Vector("obs", shared))
    multi.param.update(group_by="site", composition_by="site")
    multi.choose_modality("protein")
    assert multi.view.color == Vector("obs", shared)
    assert (multi.group_by, multi.composition_by) == ("site", "site")


def test_a_colour_and_grouping_of_another_modality_make_way(apart):
    own = "rna:ordered"
    assert own in apart.category_columns()
    apart.change_view(color=Vector("obs", "ordered", "rna"))
    apart.param.update(group_by=own, composition_by=own)
    apart.choose_modality("protein")
    assert apart.category_columns() == ["protein:kind"]
    assert apart.view.color == Vector("obs", "kind", "protein")
    assert (apart.group_by, apart.composition_by) == ("protein:kind", "protein:kind")


def test_columns_of_a_modality_cover_all_cells(apart):
    for name in apart.modalities:
        apart.choose_modality(name)
        for column in apart.columns():
            assert column["name"].startswith(f"{name}:")
            assert len(apart.dataset.read_obs(column["name"])) == apart.dataset.n_obs


def test_a_gene_keeps_colouring_through_a_change_of_modality(multi):
    multi.add_gene("rna:rg3")
    multi.choose_modality("protein")
    assert multi.view.color == Vector("gene", "rg3", "rna")
    assert multi.genes == ["rna:rg3"]


def test_a_gene_is_read_from_the_chosen_matrix_only_where_its_modality_has_it(multi):
    multi.matrix = "counts"
    assert multi.layer_of("rna:rg3") == "counts"
    assert multi.layer_of("protein:pg1") == multi.dataset["protein"].matrices[0]


def test_an_unknown_modality_is_refused_and_changes_nothing(multi):
    with pytest.raises(NotFoundError, match="no modality 'rma'"):
        multi.choose_modality("rma")
    assert multi.modality == "rna"


def test_a_change_of_modality_reaches_a_watcher_once(multi):
    seen: list[tuple[str, str, str]] = []
    multi.param.watch(
        lambda *events: seen.append((multi.modality, multi.matrix, multi.group_by)), ["modality", "matrix", "group_by"]
    )
    multi.matrix = "counts"
    seen.clear()
    multi.choose_modality("protein")
    assert seen == [("protein", multi.matrix, multi.group_by)]


# -- genes --------------------------------------------------------------------------------------------


def test_a_gene_is_listed_once_in_the_order_of_choice_and_colours(session):
    for gene in ("g3", "g1", "g3"):
        session.add_gene(gene)
        assert session.view.color == Vector("gene", gene)
    assert session.genes == ["g3", "g1"]


def test_a_gene_that_does_not_colour_leaves_the_colour_when_removed(session):
    session.add_gene("g3")
    session.add_gene("g1")
    session.remove_gene("g3")
    assert session.genes == ["g1"]
    assert session.view.color == Vector("gene", "g1")
    session.remove_gene("g1")
    assert session.view.color == Vector("obs", session.group_by)
    session.remove_gene("never listed")
    assert session.genes == []


def test_the_list_holds_the_latest_genes(session):
    for i in range(MAX_GENES + 3):
        session.add_gene(f"g{i}")
    assert session.genes == [f"g{i}" for i in range(3, MAX_GENES + 3)]


def test_a_gene_is_called_by_its_label_else_by_its_name(session):
    session.add_gene("g1", "SYM1")
    session.add_gene("g2")
    assert [session.label(gene) for gene in ("g1", "g2", "g3")] == ["SYM1", "g2", "g3"]


def test_choosing_a_gene_reaches_a_watcher_once(session):
    seen: list[tuple[list[str], Vector]] = []
    session.param.watch(lambda *_: seen.append((session.genes, session.view.color)), ["genes", "views"])
    session.add_gene("g1")
    assert seen == [(["g1"], Vector("gene", "g1"))]
    session.remove_gene("g1")
    assert seen[1:] == [([], Vector("obs", "ordered"))]


# -- selecting ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 1000])
def test_a_packed_mask_comes_back_and_takes_an_eighth(n):
    mask = np.random.default_rng(n).random(n) < 0.4
    selection = Selection.of(HI, mask)
    np.testing.assert_array_equal(selection.mask, mask, strict=True)
    assert (selection.n, selection.n_obs) == (mask.sum(), n)
    assert selection.packed.nbytes == (n + 7) // 8


def test_the_caller_may_change_its_mask_afterwards():
    mask = np.ones(9, dtype=bool)
    selection = Selection.of(HI, mask)
    mask[:] = False
    selection.mask[:] = False
    assert selection.mask.all()


@pytest.mark.parametrize("operation", ["replace", "add", "intersect"])
def test_with_nothing_selected_the_first_cells_are_the_selection(session, operation):
    select(session, operation, HI)
    assert session.selection.recipe == HI
    np.testing.assert_array_equal(session.selection.mask, HI.mask(session.dataset))


def test_with_nothing_selected_there_is_nothing_to_subtract_invert_or_clear(session):
    select(session, "subtract", HI)
    session.invert()
    session.clear()
    assert session.selection is None
    assert not session.can_undo


@pytest.mark.parametrize("operation", ["add", "subtract", "intersect"])
def test_an_operation_combines_mask_and_recipe(session, operation):
    select(session, "replace", HI)
    select(session, operation, BOOL)
    hi, truth = HI.mask(session.dataset), BOOL.mask(session.dataset)
    expected = {"add": hi | truth, "subtract": hi & ~truth, "intersect": hi & truth}[operation]
    np.testing.assert_array_equal(session.selection.mask, expected)
    assert session.selection.recipe == Combined(operation, HI, BOOL)
    assert session.selection.n == expected.sum()


def test_replace_forgets_what_was_selected(session):
    select(session, "replace", HI)
    select(session, "replace", BOOL)
    assert session.selection.recipe == BOOL


def test_inverting_twice_is_the_recipe_before(session):
    select(session, "replace", NEAR)
    session.invert()
    assert session.selection.recipe == Inverted(NEAR)
    np.testing.assert_array_equal(session.selection.mask, ~NEAR.mask(session.dataset))
    session.invert()
    assert session.selection.recipe == NEAR
    np.testing.assert_array_equal(session.selection.mask, NEAR.mask(session.dataset))


NOTHING, ALL = Lasso("X_umap", ((90.0, 90.0), (91.0, 90.0), (90.0, 91.0))), WhereRecipe("bool or not bool")


@pytest.mark.parametrize("operation", ["replace", "add", "subtract", "intersect"])
@pytest.mark.parametrize("first", [None, HI], ids=["none_selected", "some_selected"])
def test_a_step_that_finds_no_cells_changes_nothing_and_says_so(session, operation, first):
    if first is not None:
        select(session, "replace", first)
    select(session, "replace", BOOL)
    session.undo()
    before = session.selection
    select(session, operation, NOTHING)
    assert session.selection is before
    assert session.can_undo == (first is not None)
    assert session.can_redo
    assert session.said == ("No cells there." if first is None else "No cells there; the selection stays.")


@pytest.mark.parametrize(
    ("operation", "first", "then", "said"),
    [
        ("subtract", None, HI, "Nothing is selected that could be taken away."),
        ("add", BOOL, BOOL, "Those cells are selected already."),
        ("subtract", BOOL, WhereRecipe("not bool"), "No selected cells there; the selection stays."),
        ("intersect", BOOL, WhereRecipe("not bool"), "No selected cells there; the selection stays."),
        ("intersect", HI, ALL, "All selected cells are there."),
    ],
)
def test_a_step_that_leaves_the_same_cells_is_none_and_says_why(session, operation, first, then, said):
    if first is not None:
        select(session, "replace", first)
    before = session.selection
    select(session, operation, then)
    assert session.selection is before
    assert session.said == said
    session.undo()
    assert session.selection is None
    assert not session.can_undo


def test_what_of_a_category_is_not_shown_is_said_by_its_name(session):
    session.select("replace", NOTHING, NOTHING.mask(session.dataset), where="of B are shown")
    assert session.said == "No cells of B are shown."


def test_subtracting_the_last_selected_cell_clears_and_can_be_undone(session):
    select(session, "replace", HI)
    before = session.selection
    select(session, "subtract", ALL)
    assert session.selection is None
    assert not session.said
    session.undo()
    assert session.selection is before
    session.redo()
    assert session.selection is None


@pytest.mark.parametrize("among", [False, True])
def test_of_all_cells_there_are_no_others_to_invert_to(session, among):
    select(session, "replace", ALL)
    before, n_obs = session.selection, session.dataset.n_obs
    assert before.n == n_obs
    session.invert((HI, HI.mask(session.dataset)) if among else None)
    assert session.selection is before
    assert session.said == f"All {'shown ' if among else ''}cells are selected; there are no others."


def test_what_was_said_goes_with_the_next_step_and_with_what_is_shown_anew(session):
    for then in (
        lambda: select(session, "replace", BOOL),
        session.undo,
        session.clear,
        lambda: session.hide("ordered", ["hi"], hidden=True),
        lambda: session.choose_embedding("X_pca"),
        lambda: session.add_gene("g1"),
    ):
        select(session, "replace", HI)
        select(session, "replace", NOTHING)
        assert session.said
        then()
        assert not session.said


def test_undo_and_redo_walk_through_the_selections(session):
    steps = [None]
    for act in (
        lambda: select(session, "replace", HI),
        lambda: select(session, "add", BOOL),
        session.invert,
        session.clear,
        lambda: select(session, "replace", NEAR),
    ):
        act()
        steps.append(session.selection)
    assert steps[4] is None
    for step in reversed(steps[:-1]):
        assert session.can_undo
        session.undo()
        assert session.selection is step
    assert not session.can_undo
    session.undo()
    assert session.selection is None
    for step in steps[1:]:
        assert session.can_redo
        session.redo()
        assert session.selection is step
    assert not session.can_redo
    session.redo()
    assert session.selection is steps[-1]


def test_a_new_selection_ends_what_could_be_redone(session):
    select(session, "replace", HI)
    select(session, "add", BOOL)
    session.undo()
    session.invert()
    assert not session.can_redo
    session.undo()
    assert session.selection.recipe == HI


def test_what_did_not_change_the_selection_leaves_redo(session):
    select(session, "replace", HI)
    session.undo()
    session.clear()
    select(session, "subtract", BOOL)
    assert session.can_redo


def test_the_history_is_bounded(session):
    for _ in range(MAX_HISTORY + 20):
        select(session, "replace", HI)
    undone = 0
    while session.can_undo:
        session.undo()
        undone += 1
    assert undone == MAX_HISTORY
    redone = 0
    while session.can_redo:
        session.redo()
        redone += 1
    assert redone == MAX_HISTORY


def combined(before: np.ndarray | None, fresh: np.ndarray, operation: str) -> np.ndarray | None:
    """What is selected after a step, by NumPy; `before` itself where it is none."""
    if not fresh.any() or (before is None and operation == "subtract"):
        return before
    if before is None or operation == "replace":
        return fresh
    after = {"add": before | fresh, "subtract": before & ~fresh, "intersect": before & fresh}[operation]
    if after.any() and (after != before).any():
        return after
    return None if operation == "subtract" and not after.any() else before


@pytest.mark.more
@pytest.mark.parametrize("seed", range(12))
def test_after_any_sequence_of_operations_the_recipe_replays_to_the_mask(session, seed):
    """The mask is also followed in NumPy, so that mask and recipe cannot be wrong together."""
    rng = np.random.default_rng(seed)
    dataset = session.dataset
    points, depth = dataset.read_embedding("X_umap"), dataset.read_obs("float32").to_numpy()
    timeline: list[np.ndarray | None] = [None]
    now = 0
    for _ in range(40):
        act = rng.choice(["select", "select", "select", "invert", "clear", "undo", "redo"])
        before = timeline[now]
        after = before
        if act == "select":
            operation = str(rng.choice(["replace", "add", "subtract", "intersect"]))
            if rng.random() < 0.5:
                x, y, size = (*rng.normal(size=2), rng.random() * 2)
                recipe = Lasso("X_umap", ((x, y), (x + size, y), (x + size, y + size), (x, y + size)))
                with np.errstate(invalid="ignore"):
                    low = points.astype("f8") - (x, y)
                    fresh = ((low > 0) & (low < size)).all(axis=1)
            else:
                bound = rng.random()
                recipe = WhereRecipe(f"float32 > {bound}")
                fresh = depth > np.float32(bound)
            session.select(operation, recipe, recipe.mask(dataset))
            after = combined(before, fresh, operation)
        elif act in {"undo", "redo"}:
            getattr(session, act)()
            now = max(now - 1, 0) if act == "undo" else min(now + 1, len(timeline) - 1)
            after = timeline[now]
        else:
            getattr(session, act)()
            after = None if act == "clear" or before is None else ~before if not before.all() else before
        if act not in {"undo", "redo"} and after is not before:
            timeline = [*timeline[: now + 1], after]
            now += 1
        if after is None:
            assert session.selection is None
            continue
        np.testing.assert_array_equal(session.selection.mask, after)
        assert session.selection.n == after.sum()
        np.testing.assert_array_equal(session.selection.recipe.mask(dataset), after)
        np.testing.assert_array_equal(load(dump(session.selection.recipe)).mask(dataset), after)
