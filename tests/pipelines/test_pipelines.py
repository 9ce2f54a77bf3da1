"""Each script runs on tiny images in the official layouts, and says what the paper prints."""

import runpy
import shutil
from pathlib import Path

import pandas as pd
import pytest
from detection_scenes import write_collages
from quick import slow_unless

PIPELINES = Path(__file__).parents[2] / "pipelines"
SHARED = ("common", "mini_training")
SCRIPTS = sorted(path.stem for path in PIPELINES.glob("*.py") if path.stem not in SHARED)
TRAINING = ("ablate_depth", "pretrain_mini")  # tested by test_training.py
OTHER = ("rcnn_voc2007", "search_codes", "zf_figures")  # tested below
NET = [
    "--backbone", "decaf-mini", "--weights", "random", "--layers", "pool5",
    "--pool", "grid:2", "--device", "cpu", "--allow-partial",
]  # fmt: skip
EXPECTED = {  # results: data set, protocol and rows over splits
    "birds_parts": {("birds-parts", "part-oracle"): 1},
    "chatfield_voc2007": {("voc2007", "chatfield"): 2},
    "controls": {("caltech101", "decaf"): 4, ("mit67", "razavian"): 4, ("birds", "decaf"): 4},
    "decaf_birds": {("birds", "decaf"): 2},
    "decaf_sun397": {("sun397", "decaf"): 2},
    "decaf_table1_caltech101": {("caltech101", "decaf"): 4},
    "decaf_table2_office": {("office31", "office-sampled"): 8},
    "fair_voc2007": {
        ("voc2007", f"fair-{kind}{flaw}"): 1
        for kind in ("svm", "lowshot")
        for flaw in ("", "-goyal")
    },
    "kornblith": {(name, "kornblith"): 1 for name in ("caltech101", "voc2007", "sun397")},
    "oquab_actions": {("voc2012-actions", "oquab"): 2},
    "oquab_voc2007": {("voc2007", "oquab"): 1},
    "oquab_voc2012": {("voc2012", "oquab"): 2},
    "razavian": {
        (name, f"razavian{augmented}"): 1
        for name in ("voc2007", "mit67", "birds")
        for augmented in ("", "-aug")
    },
    "zf_caltech": {("caltech101", "zf"): 3, ("caltech256", "zf"): 3},
}
OPTIONS = {
    "decaf_table1_caltech101": ["--shots", "3,4", "--heads", "svm", "--splits", "1"],
    "controls": ["--weights", "imagenet", "--shots", "3", "--splits", "1"],
    "decaf_table2_office": ["--shots", "3", "--splits", "1", "--heads", "svm"],
    "fair_voc2007": ["--shots", "1", "--splits", "1"],
    "kornblith": ["--shots", "3", "--splits", "1"],
    "oquab_voc2007": ["--view", "dense", "--patches-per-image", "4"],
    "oquab_actions": ["--recipe", "epochs=1"],
    "oquab_voc2012": ["--patches-per-image", "4", "--recipe", "epochs=1"],
    "zf_caltech": ["--shots", "3", "--splits", "1"],
}


def test_every_script_is_expected_here() -> None:
    assert sorted([*EXPECTED, *TRAINING, *OTHER]) == SCRIPTS


QUICK = ("birds_parts", "decaf_birds", "decaf_sun397", "decaf_table1_caltech101")


@pytest.mark.parametrize("script", slow_unless(QUICK.__contains__, EXPECTED))
def test_a_script_runs_on_small_images(
    script: str,
    data_root: Path,
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.syspath_prepend(PIPELINES)
    features = tmp_path_factory.getbasetemp() / "features"  # scripts share what they extract
    where = ["--data-root", data_root, "--features", features, "--results", tmp_path]
    main = runpy.run_path(str(PIPELINES / f"{script}.py"))["main"]
    main([*map(str, where), *NET, *OPTIONS.get(script, [])])
    written = [
        pd.read_csv(path) for path in tmp_path.glob("*.csv") if not path.stem.endswith(BESIDE)
    ]
    rows = pd.concat(written)
    assert rows.groupby(["dataset", "protocol"]).size().to_dict() == EXPECTED[script]
    assert "without a published figure" in capsys.readouterr().out


def test_detection_runs_on_small_collages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(PIPELINES)
    collages = write_collages(tmp_path / "collages", 8)
    where = ["--dataset", collages, "--features", tmp_path / "f", "--results", tmp_path]
    net = ["--backbone", "decaf-mini", "--layers", "pool5,fc6", "--device", "cpu"]
    main = runpy.run_path(str(PIPELINES / "rcnn_voc2007.py"))["main"]
    main([*map(str, where), *net, "--max-proposals", "60"])
    said = capsys.readouterr().out
    assert "published with pool5: 44.2" in said
    assert "published with fc6: 46.2" in said
    for layer in ("pool5", "fc6"):
        classes = pd.read_csv(tmp_path / f"rcnn-{layer}.csv")["class"]
        assert list(classes) == ["disc", "stripes", "mean"]


@pytest.mark.slow
def test_search_runs_on_small_images(
    data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(PIPELINES)
    pairs = tmp_path / "pairs"
    for name in ("one", "two"):
        shutil.copytree(data_root / "caltech101" / "101_ObjectCategories", pairs / name)
    where = ["--data-root", data_root, "--features", tmp_path / "f", "--results", tmp_path / "r"]
    main = runpy.run_path(str(PIPELINES / "search_codes.py"))["main"]
    codes = ["--codes", "spherical:64", "--pairs", pairs]
    main([*map(str, [*where, *codes]), *NET[:6], "--device", "cpu", "--allow-partial"])
    found = pd.read_csv(tmp_path / "r" / "search-pairs.csv")
    assert found["layer"].iloc[-1] == "decaf-mini pool5 rmac"
    assert (found.filter(like="recall@1,") == 1).all(axis=None)  # both folders are the same
    labels = pd.read_csv(tmp_path / "r" / "search-labels.csv")
    assert {"float32", "spherical:64"} == {*labels["code"]}
    assert labels["mAP"].between(0, 1).all()
    assert pd.read_csv(tmp_path / "r" / "search-ukbench.csv")["UKBench"].between(1, 4).all()
    assert (tmp_path / "r" / "search-codes.svg").stat().st_size > 1000


@pytest.mark.slow
def test_figures_of_what_a_net_sees(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(PIPELINES)
    main = runpy.run_path(str(PIPELINES / "zf_figures.py"))["main"]
    where = ["--images", image_folder, "--features", tmp_path / "f", "--results", tmp_path]
    net = ["--backbone", "decaf-mini", "--layers", "features.relu1,pool5", "--device", "cpu"]
    main([*map(str, where), *net, "--units", "0", "--n-covered", "1"])
    drawn = sorted(path.name for path in tmp_path.glob("*.png"))
    moved = [f"zf-figure-5-{name}.png" for name in ("rotate", "scale", "translate")]
    seen = ["zf-figure-2-features.relu1.png", "zf-figure-2-pool5.png"]
    assert drawn == [*seen, *moved, "zf-figure-7-1.png"]


BESIDE = ("-splits", "-classes", "-confusion")


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_header_says_what_to_expect(script: str) -> None:
    text = (PIPELINES / f"{script}.py").read_text()
    assert len(text.splitlines()) < 150
    header = text.split('"""')[1]
    for word in ("Paper    : ", "Expected : ", "Data     : ", "Minutes  : about ", script):
        assert word in header
