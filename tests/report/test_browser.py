"""The page in a real browser: no errors, sorting tables, nothing beyond a phone's edge."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flat import evaluate, extract
from PIL import Image
from quick import slow_unless

from decaf.insight.asked import Projection
from decaf.records import Images, Net
from decaf.report.hits_page import write_hits
from decaf.report.net_page import write_net_page
from decaf.report.one_page import write_report
from decaf.results import ResultTable
from decaf.store.searched import Answer, Hit

N_CLASSES, N_SPLITS = 397, 10


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a page, and see at the end that nothing was written to its console."""
    said: list[str] = []
    contexts = []

    def visit_page(path: Path, **options: Any) -> Any:
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(path.as_uri())
        return page

    yield visit_page
    for context in contexts:
        context.close()
    assert said == []


@pytest.fixture(scope="module")
def large(make_table: Callable[..., ResultTable], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Report of 397 classes, 10 splits, 3 layers and 2 heads, with images of mistakes."""
    tmp_path = tmp_path_factory.mktemp("large")
    rng = np.random.default_rng(0)
    names = [f"class number {i}" for i in range(N_CLASSES)]
    Image.fromarray(rng.integers(0, 255, (200, 300, 3), dtype=np.uint8)).save(tmp_path / "x.jpg")
    table = make_table(
        layers=("pool5", "fc6", "fc7"),
        heads=("svm", "knn"),
        values=tuple(rng.normal(0.5, 0.01, N_SPLITS)),
        n_classes=N_CLASSES,
    )
    rows = []
    for result in table:
        accuracies = rng.uniform(0.2, 1, N_CLASSES).tolist()
        per_class = [("mean_per_class", *pair) for pair in zip(names, accuracies, strict=True)]
        taken = rng.integers(0, N_CLASSES, N_CLASSES).tolist()
        confusion = [(names[i], names[j], 3, "x.jpg") for i, j in enumerate(taken)]
        rows.append(replace(result, per_class=tuple(per_class), confusion=tuple(confusion)))
    ResultTable(tuple(rows)).to_csv(tmp_path / "large.csv")
    return write_report(
        [tmp_path / "large.csv"], out=tmp_path / "large.html", images=Images(tmp_path)
    )


def test_397_classes_and_10_splits_are_under_3_megabytes(large: Path) -> None:
    assert large.stat().st_size < 3e6


@pytest.mark.browser
def test_397_classes_and_10_splits_are_laid_out(large: Path, visit: Callable[..., Any]) -> None:
    page = visit(large)
    assert page.evaluate("document.body.getBoundingClientRect().height") > 800
    assert page.evaluate("document.getElementsByTagName('*').length") < 30_000


@pytest.mark.browser
def test_classes_can_be_filtered(large: Path, visit: Callable[..., Any]) -> None:
    page = visit(large)
    page.locator("summary", has_text="All 397 classes").click()
    page.get_by_label("Show classes with").fill("number 39")
    assert page.locator("table[data-filter] tbody:visible").count() == 8  # 39 and 390 to 396


@pytest.mark.browser
def test_the_filter_is_not_printed_and_what_is_folded_is(
    large: Path, visit: Callable[..., Any]
) -> None:
    page = visit(large)
    assert page.locator(".filter").first.evaluate("e => getComputedStyle(e).display") == "block"
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator(".filter").first.evaluate("e => getComputedStyle(e).display") == "none"
    assert page.evaluate("[...document.querySelectorAll('details')].every(d => d.open)")


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
def test_answers_to_a_search_fit_the_screen(
    width: int, tmp_path: Path, visit: Callable[..., Any]
) -> None:
    name = "a_class/of_a_very_long_name_that_does_not_end/image_0001.jpg"
    hits = tuple(Hit(rank, name, "<b>cat</b>", 0.1 * rank, rank < 3) for rank in range(1, 13))
    out = write_hits([Answer(name, "cat", hits)], tmp_path / "hits.html", title="decaf search")
    page = visit(out, viewport={"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("section figure").count() == 13
    assert page.locator("figure.right").count() == 2
    assert page.locator("figure b", has_text="✗").count() == 10


@pytest.mark.browser
@pytest.mark.parametrize("width", slow_unless((1280).__eq__, [390, 1280]))
def test_units_of_a_net_are_picked(
    width: int, image_folder: Path, tmp_path: Path, visit: Callable[..., Any]
) -> None:
    store = extract(image_folder, backbone="decaf-mini", layers="pool5,fc7", out=tmp_path, limit=9)
    out = write_net_page(
        Net("decaf-mini"), store, out=tmp_path / "net.html", projection=Projection(units="0-19"),
        images=Images(images=image_folder), device="cpu",
    )  # fmt: skip
    page = visit(out, viewport={"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 20)")
    fc7 = page.locator("section.units").nth(1)
    assert fc7.locator("figure:visible").count() == 1
    fc7.get_by_role("button", name="13", exact=True).click()
    assert fc7.locator("figure:visible").get_attribute("data-unit") == "13"
    assert fc7.get_by_role("button", pressed=True).text_content() == "13"
    fc7.get_by_role("button", name="all").click()
    assert fc7.locator("figure:visible").count() == 20
    assert page.locator("section.units").nth(0).locator("figure:visible").count() == 1
    plain = visit(out, java_script_enabled=False)
    assert plain.locator("section.units figure:visible").count() == 40


@pytest.mark.browser
@pytest.mark.data
@pytest.mark.slow
def test_a_report_of_a_real_run(assets: Path, tmp_path: Path, visit: Callable[..., Any]) -> None:
    weights = assets / "weights" / "squeezenet1_0-deepcompression.safetensors"
    evaluate(
        "caltech101",
        backbone="squeezenet1_0",
        weights=str(weights),
        layers="features.8,features.12",
        pool="avg",
        heads="svm,knn",
        protocol="decaf",
        train_per_class="5,8",
        splits=2,
        data_root=assets / "data",
        allow_partial=True,
        limit=1400,
        device="cpu",
        out=tmp_path / "caltech101.csv",
        features=tmp_path,
        quiet=True,
    )
    path = write_report(
        sorted(tmp_path.glob("*.csv")),
        out=tmp_path / "report.html",
        features=tmp_path,
        images=Images(data_root=assets / "data"),
    )
    page = visit(path)
    assert page.locator("img").count() == 20
    assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 20)")

    table = page.locator("table", has_text="taken for")
    column = table.locator("tbody td:nth-child(4)")
    for button_clicks, descending in ((1, False), (2, True)):
        table.locator("thead button").nth(3).click()
        times = [int(text) for text in column.all_text_contents()]
        assert times == sorted(times, reverse=descending), button_clicks
    assert table.locator("thead th").nth(3).get_attribute("aria-sort") == "descending"

    for scheme in ("light", "dark"):
        phone = visit(path, viewport={"width": 390, "height": 844}, color_scheme=scheme)
        assert phone.evaluate("document.documentElement.scrollWidth") == 390
        for details in phone.locator("details").all():
            details.locator("summary").click()
        assert phone.evaluate("document.documentElement.scrollWidth") == 390

    plain = visit(path, java_script_enabled=False)
    assert plain.locator("button").count() == 0
    assert plain.locator("table").count() == page.locator("table").count()
