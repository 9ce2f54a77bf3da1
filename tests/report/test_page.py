"""The page as text: whole, in one file, and saying what was run."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from decaf.errors import DataError
from decaf.records import Images
from decaf.report.one_page import write_report
from decaf.results import ResultTable

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
    assert len(figures) == 3
    for figure in figures:
        assert 'role="img"' in figure
        assert "<title" in figure
        assert "currentColor" in figure
        assert "var(--c1)" in figure


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
