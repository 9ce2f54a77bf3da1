import io
from pathlib import Path

from rich.console import Console

from decaf.report import terminal_table


def printed(table, **options) -> str:
    file = io.StringIO()
    Console(width=80, file=file).print(terminal_table(table, **options))
    return file.getvalue()


def test_the_papers_table_fits_80_columns(make_table):
    heads = ("svm", "logreg", "svm-dropout", "logreg-dropout", "knn")
    table = make_table(("pool5", "fc6", "fc7", "fc8"), heads, converged=False, c_at_edge=True)
    text = printed(table)
    lines = [line for line in text.splitlines() if line.strip().startswith("svm ")]
    assert [line.split() for line in lines] == [["svm", *["85.0", "±", "1.4†‡"] * 4]]
    published = next(line for line in text.splitlines() if line.strip().startswith("DeCAF "))
    assert published.split()[1:4] == ["77.1", "±", "1.1"]
    assert published.index("77.1") == lines[0].index("85.0")


def test_layers_down_fit_80_columns(make_table):
    heads = ("svm", "logreg", "svm-dropout", "logreg-dropout", "knn")
    text = printed(make_table([f"features.{i}" for i in range(6)], heads, backbone="vgg16"))
    (line,) = [line for line in text.splitlines() if line.strip().startswith("features.3 ")]
    assert line.split() == ["features.3", *["85.0", "±", "1.4"] * 5]


def test_it_says_where_the_table_is(make_table):
    assert "table: results/own.csv" in printed(make_table(), csv_path=Path("results/own.csv"))
    assert "table:" not in printed(make_table())


def test_brackets_in_names_are_not_markup(make_table):
    assert "[bold]own[/bold]" in printed(make_table(dataset="[bold]own[/bold]"))
