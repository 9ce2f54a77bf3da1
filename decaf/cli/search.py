"""`decaf search`, and `decaf index build`, `add`, `info` and `measure`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from decaf.cli import border, options
from decaf.cli.from_records import with_records
from decaf.cli.helping import App
from decaf.records import Compute, Images, Search, SearchTest, numbers

app = App(help="Indexes of stores: made, grown, looked into, and compared.", no_args_is_help=True)

_Store = Annotated[Path, typer.Argument(help="A feature store (.h5).")]
_Folder = Annotated[Path, typer.Argument(help="An index.")]


@with_records
def search(
    store: _Store,
    queries: Annotated[
        list[str],
        typer.Argument(help="Images, folders of them, ids of the store, or another store (.h5)."),
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(help="A .csv or .html file; the answers are printed as CSV if not given."),
    ] = None,
    weights: options.ModelWeights = None,
    allow_code: options.AllowCode = False,
    images: Images,
    how: Search,
    compute: Compute,
) -> None:
    """Print or show the images of a store that are most like others, the nearest first."""
    from decaf import searching
    from decaf.analysis.thumbnails import image_files
    from decaf.report.hits_page import write_hits
    from decaf.store import FeatureStore
    from decaf.store.searched import answer_lines, write_answers
    from decaf.whole_files import require_output

    if out is not None:
        require_output(out, ".csv", ".html", inputs=[store, *queries])
    with FeatureStore(store) as opened:
        dataset = opened.provenance.dataset
    html = out is not None and out.suffix.lower() == ".html"
    files = image_files(dataset, images) if html else None
    found = searching.search(
        store, queries, how,
        weights=weights, allow_code=allow_code, compute=compute,
    )  # fmt: skip
    if out is None:
        border.say("\n".join(answer_lines(found)))
    elif html:
        border.say(write_hits(found, out, title=f"decaf search: {store.name}", files=files))
    else:
        border.say(write_answers(found, out))


@app.command()
@with_records
def build(
    store: _Store,
    *,
    out: Annotated[Path, typer.Option(help="The folder to make; new or empty.")],
    kind: Annotated[
        str,
        typer.Option(
            help="flat, hnsw, spherical, spherical:BITS, or a factory string of faiss, such as "
            "PCA128,IVF1024,PQ16."
        ),
    ] = "flat",
    recall: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Share of the 10 true neighbours to be found, measured on held-out rows; 0.95 of "
            "what is possible if not given.",
        ),
    ] = None,
    seed: options.Seed = 0,
    how: Search,
) -> None:
    """Make an index of a store's layer, and choose its effort by the recall that is asked."""
    from decaf.retrieval.index import Index
    from decaf.retrieval.index_files import MANIFEST
    from decaf.store import FeatureStore
    from decaf.whole_files import require_writable

    how.only("an index", "layer", "metric")
    require_writable(out.parent / f"{out.name}.{MANIFEST}")
    with FeatureStore(store) as opened:
        made = Index.build(opened, out, kind, how=how, recall=recall, seed=seed)
    border.say(json.dumps(made.manifest, indent=2))


@app.command()
def add(index: _Folder, store: _Store) -> None:
    """Add the images by which a store has grown since its index was made."""
    from decaf.retrieval.index import add_to_index
    from decaf.store import FeatureStore

    with FeatureStore(store) as opened:
        border.say(json.dumps(add_to_index(index, opened).manifest, indent=2))


@app.command()
def info(index: _Folder) -> None:
    """Print what an index is and how it was made, as JSON; exit with 1 where it is damaged."""
    from decaf.retrieval.index_files import index_info

    border.say(json.dumps(index_info(index), indent=2))


@app.command()
@with_records
def measure(
    store: _Store,
    *,
    out: Annotated[Path | None, typer.Option(help="CSV file of the table.")] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Accuracy against bytes a row: .png, .svg or .pdf.")
    ] = None,
    how: SearchTest,
) -> None:
    """Print how well images find their like, by layer, dimensions and code, and what it costs."""
    from decaf.report.drawing import check_output, save
    from decaf.report.search_table import pareto_figure, search_grid, write_scores
    from decaf.report.terminal import print_whole, terminal_grid
    from decaf.search_scores import evaluate_search
    from decaf.store import FeatureStore
    from decaf.whole_files import require_output

    if out is not None:
        require_output(out, ".csv", inputs=[store])
    if figure is not None:
        check_output(figure, [store])
    with FeatureStore(store) as opened:
        made = opened.provenance
    scores, floors = evaluate_search(store, how)
    title = f"{made.dataset} · {made.backbone}, weights {Path(made.weights).name} · {how.queries}"
    reduced = any(numbers("dims", how.dims))
    print_whole(terminal_grid(search_grid(scores, floors, title, reduced=reduced)))
    if out is not None:
        border.say(f" table: {write_scores(scores, out)}")
    if figure is not None:
        border.say(f" figure: {save(pareto_figure(scores), figure)}")
