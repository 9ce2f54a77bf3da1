"""`decaf detect train`, `run` and `evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from decaf.cli import border
from decaf.cli.from_records import with_records
from decaf.cli.helping import App
from decaf.detection_records import Applied, Detection
from decaf.records import Compute, Net, Source

app = App(
    help="Find objects in images, by features of regions as R-CNN does.", no_args_is_help=True
)

_Boxed = Annotated[
    str,
    typer.Option(
        "--dataset",
        help="voc2007; a folder with VOC's Annotations/*.xml; or a CSV of "
        "path,label,x1,y1,x2,y2[,difficult][,split].",
    ),
]
_Model = Annotated[Path, typer.Argument(help="A detector that decaf detect train wrote.")]


@app.command()
@with_records
def train(
    *,
    dataset: _Boxed,
    out: Annotated[Path, typer.Option(help="The detector (.safetensors).")] = Path(
        "detector.safetensors"
    ),
    net: Net,
    detection: Detection,
    source: Source,
    compute: Compute,
) -> None:
    """Train an SVM and a box regression a class on features of regions."""
    arguments = dict(locals())
    from decaf import detection as library

    border.say(library.train_detector(**arguments))


@app.command()
@with_records
def run(
    model: _Model,
    images: Annotated[
        list[str],
        typer.Argument(help="Images, folders, .csv files with a column path, .txt lists."),
    ],
    *,
    out: Annotated[
        Path, typer.Option(help="CSV file of path,class,score,x1,y1,x2,y2 (pixels from 0).")
    ] = Path("detections.csv"),
    draw: Annotated[
        Path | None, typer.Option(help="Folder for each image with its boxes drawn.")
    ] = None,
    applied: Applied,
    source: Source,
    compute: Compute,
) -> None:
    """Write the boxes of the objects in images."""
    arguments = dict(locals())
    folder = arguments.pop("draw")
    from decaf import detection
    from decaf.prediction import find_images
    from decaf.report.drawn_boxes import draw_detections, require_folder

    if folder is not None:
        require_folder(folder)
    made = detection.detect(**arguments)
    border.say(made)
    if folder is not None:
        drawn = draw_detections(made, folder, applied.min_score or 0.0, find_images(images))
        border.say("\n".join(map(str, drawn)))


@app.command()
@with_records
def evaluate(
    model: _Model,
    *,
    dataset: _Boxed,
    out: Annotated[
        Path | None, typer.Option(help="CSV file of class,objects,ap_11pt,ap_area.")
    ] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Figure of what false detections are (.png, .svg, .pdf).")
    ] = None,
    applied: Applied,
    source: Source,
    compute: Compute,
) -> None:
    """Print the average precision of each class by VOC's rule, and the recall of proposals."""
    arguments = dict(locals())
    file = arguments.pop("figure")
    from decaf import detection
    from decaf.report.detection_table import detection_grid
    from decaf.report.drawing import check_output, save
    from decaf.report.false_detections import error_figure
    from decaf.report.terminal import print_whole, terminal_grid

    if file is not None:
        check_output(file)
    result = detection.evaluate_detector(**arguments)
    print_whole(terminal_grid(detection_grid(result)))
    if file is not None:
        border.say(save(error_figure(result), file))


@app.command()
@with_records
def parts(
    *,
    out: Annotated[
        Path, typer.Option(help="The store (.h5), for decaf evaluate: protocol part-oracle.")
    ] = Path("birds-parts.h5"),
    net: Net,
    source: Source,
    compute: Compute,
) -> None:
    """Store features of box, head and body of each of the birds, side by side."""
    arguments = dict(locals())
    from decaf import detection as library

    border.say(library.extract_bird_parts(**arguments))
