"""The page as text: whole, in one file, and saying what was run."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from decaf.errors import DataError
from decaf.metrics.kept_scores import KeptScores
from decaf.records import Images
from decaf.report.one_page import write_report
from decaf.results import ResultTable
from decaf.results.files import scores_file

VOID = {"meta", "link", "img", "br", "input"}


class Checker(HTMLParser):
    """Collects ids, addresses and headings, and sees that every element is closed."""

    def __init__(self):
        super().__init__()
        self.ids, self.addresses, self.open, self.headings = [], [], [], []

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in {"src", "href", "xlink:href"}:
                self.addresses.append(value)
        if tag in {"h1", "h2", "h3"}:
            self.headings.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()


@pytest.fixture
def results(make_table, tmp_path):
    confusion = (("cat", "cat", 4, "cat/0.png"), ("cat", "<dog>", 2, "cat/1.png"))
    per_class = (("mean_per_class", "cat", 2 / 3), ("mean_per_class", "<dog>", 0.5))
    table = make_table(layers=("fc6", "fc7"), heads=("svm", "knn"), shots=(5, 30))
    rows = tuple(
        replace(r, value=r.value - 0.01 * number, confusion=confusion, per_class=per_class)
        for number, r in enumerate(table)
    )
    folder = tmp_path / "images" / "cat"
    folder.mkdir(parents=True)
    Image.fromarray(np.full((30, 20, 3), 90, np.uint8)).save(folder / "1.png")
    ResultTable(rows).to_csv(tmp_path / "results" / "own.csv")
    return sorted((tmp_path / "results").glob("*.csv"))


@pytest.fixture
def page(results, tmp_path):
    out = write_report(results, out=tmp_path / "r.html", images=Images(tmp_path / "images"))
    return out.read_text()


def test_it_is_sound_html_with_nothing_from_elsewhere(page):
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert len(checker.ids) == len(set(checker.ids))
    assert all(address.startswith(("data:", "#")) for address in checker.addresses)
    assert {a[1:] for a in checker.addresses if a.startswith("#")} <= set(checker.ids)
    assert checker.headings[0] == "h1"
    assert checker.headings.count("h1") == 1
    assert not re.search(r"https?://(?!www\.w3\.org/)", page)
    assert "@import" not in page


def test_it_says_what_was_run_and_shows_the_published_figures(page):
    text = re.sub(r"<[^>]+>", " ", page)
    run = ("caltech101", "alexnet", "7be5be79", "warp", "seeds", "not recorded")
    for told in (*run, "84.8 ± 1.2"):
        assert told in text


def test_every_figure_has_a_text_alternative_and_takes_the_pages_colours(page):
    figures = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert len(figures) == 4
    for figure in figures:
        assert 'role="img"' in figure
        assert "<title" in figure
        assert "currentColor" in figure
    # a confusion matrix has the colours of its scale
    assert sum("var(--c1)" in figure for figure in figures) == 3


def test_mistakes_are_shown_with_their_image_and_escaped(page):
    assert 'alt="cat/1.png, taken for &lt;dog&gt;"' in page
    assert "data:image/jpeg;base64," in page
    assert "<dog>" not in page


def test_the_same_results_make_the_same_page(results, tmp_path, page):
    again = write_report(results, out=tmp_path / "again.html", images=Images(tmp_path / "images"))
    assert again.read_text() == page


def test_without_images_their_names_stand_there(results, tmp_path):
    page = write_report(
        results, out=tmp_path / "r.html", images=Images(data_root=tmp_path)
    ).read_text()
    assert "<img" not in page
    assert "cat/1.png, taken for" in page


def test_a_missing_folder_of_images_is_said(results, tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        write_report(results, out=tmp_path / "r.html", images=Images(tmp_path / "nowhere"))


def test_a_single_result_makes_a_page_too(make_table, tmp_path):
    make_table(values=(0.5,)).to_csv(tmp_path / "one.csv")
    page = write_report([tmp_path / "one.csv"], out=tmp_path / "r.html").read_text()
    assert "one split" in page
    assert "<svg" not in page


def headings(page):
    return re.findall(r"<h2[^>]*>(.*?)</h2>", page)


def test_several_nets_are_one_section_with_one_table(make_table, tmp_path):
    rows = [
        result
        for net, mean in (("alexnet", 0.8), ("vgg16", 0.9))
        for result in make_table(backbone=net, weights_sha256=net, values=(mean, mean + 0.02))
    ]
    ResultTable(tuple(rows)).to_csv(tmp_path / "two.csv")
    page = write_report([tmp_path / "two.csv"], out=tmp_path / "r.html").read_text()
    assert headings(page)[1:] == ["caltech101 · alexnet, vgg16 · protocol decaf"]
    table = page[page.index('aria-label="All features and heads') :]
    labels = re.findall(r'<th scope="row">(.*?)</th>', table)[:2]
    assert labels == ["vgg16, svm on fc6", "alexnet, svm on fc6"]


def test_two_data_sets_of_one_name_are_told_apart(make_table, tmp_path):
    rows = [
        result
        for digest in ("aaaaaaaaaa", "bbbbbbbbbb")
        for result in make_table(dataset="pets", dataset_digest=digest, protocol="holdout")
    ]
    ResultTable(tuple(rows)).to_csv(tmp_path / "two.csv")
    page = write_report([tmp_path / "two.csv"], out=tmp_path / "r.html").read_text()
    assert [title[-8:] for title in headings(page)] == ["aaaaaaaa", "bbbbbbbb"]
    assert "<title>pets · alexnet" in page


def test_the_first_number_comes_before_how_it_was_made(page):
    body = page[page.index("<h1") :]
    assert body.index("Best: ") < body.index("<summary>How this was made") < body.index("sha256")


def test_every_error_is_listed_with_file_image_and_suspicion(make_table, tmp_path):
    (result,) = make_table(values=(0.5,), test_digest="t").results
    kept = KeptScores(
        ids=np.array(["cat/0.png", "cat/1.png", "dog/<2>.png"]),
        labels=np.array([0, 0, 1]),
        scores=np.array([[2, 0], [0, 3], [0, 1]], np.float32),
        classes=np.arange(2),
        class_names=np.array(["cat", "dog"]),
        probabilities=np.empty(0),
        groups=np.empty(0),
        facts={"test_digest": "t"},
    )
    table = ResultTable((result,))
    table.to_csv(tmp_path / "r.csv")
    kept.write(scores_file(tmp_path / "r.csv", vars(result)))
    (tmp_path / "images" / "cat").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "images" / "cat" / "1.png")
    page = write_report(
        [tmp_path / "r.csv"], out=tmp_path / "r.html", images=Images(tmp_path / "images")
    ).read_text()
    assert "gets 1 image wrong at least once; the labels of 1 image are suspect" in page
    errors = page[page.index("Every error") :]
    assert re.search(r'<th scope="row">cat/1.png</th><td class="w"><img src="data:', errors)
    assert "1 of 1" in errors
    assert "cat/0.png" not in page
