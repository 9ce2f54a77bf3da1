"""Options are declared once: checks, help and command line follow from the records."""

from dataclasses import FrozenInstanceError, fields

import pytest
import typer
from typer.testing import CliRunner

import decaf
from decaf.cli.from_records import with_records
from decaf.detection_records import Applied, Detection
from decaf.errors import ConfigError
from decaf.insight.asked import Moves, Occlusion, Preimage, Projection
from decaf.records import (
    Cluster,
    Compute,
    Fit,
    Images,
    Net,
    Overrides,
    Patches,
    Search,
    SearchTest,
    Source,
    View,
    numbers,
    words,
)

ALL = (
    Net, View, Patches, Images, Source, Compute, Cluster, Fit, Overrides, Search, SearchTest,
    Detection, Applied, Projection, Occlusion, Moves, Preimage,
)  # fmt: skip


def test_defaults_are_allowed_and_told():
    for kind in ALL:
        kind()
        for one in fields(kind):
            assert f"{one.name} :" in kind.__doc__
            assert one.metadata["about"].strip()


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (Net, {"precision": "fp8"}),
        (Net, {"dtype": "float64"}),
        (Net, {"seed": -1}),
        (View, {"view": "centre"}),
        (View, {"patch_edges": "wrap"}),
        (Compute, {"max_failures": 1.5}),
        (Compute, {"max_failures": float("nan")}),
        (Source, {"limit": 0}),
        (Source, {"decoder": "pil"}),
        (Cluster, {"engine": "spark"}),
        (Overrides, {"normalize": "L2"}),
        (Overrides, {"splits": 0}),
        (Search, {"k": 0}),
        (Search, {"metric": "euclid"}),
        (SearchTest, {"queries": "all"}),
        (Projection, {"method": "deconv"}),
        (Occlusion, {"fill": "white"}),
        (Occlusion, {"stride": 0}),
    ],
)
def test_wrong_values_are_refused_where_they_are_made(kind, wrong):
    with pytest.raises(ConfigError):
        kind(**wrong)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Source(limit="x"),
        lambda: Source(limit=2.5),
        lambda: Source(limit=True),
        lambda: Net(seed="a"),
        lambda: Net(precision=16),
        lambda: Overrides(view="warp"),
    ],
)
def test_values_of_another_type_are_refused(make):
    with pytest.raises(ConfigError, match="found"):
        make()


def test_what_is_no_record_is_refused(tmp_path):
    with pytest.raises(
        ConfigError, match=r"net is a Net, found 'decaf-mini'; give Net\('decaf-mini'\)"
    ):
        decaf.extract("digits", "decaf-mini")


def test_records_are_values():
    with pytest.raises(FrozenInstanceError):
        Net().seed = 3
    assert Net("alexnet") == Net()
    assert Net(seed=3).given() == {"seed": 3}


def test_lists_are_read_from_text():
    assert words(" a, b,a") == ("a", "b")
    assert words(None) == ()
    assert numbers("c_grid", "1e-3, 1") == (1e-3, 1.0)
    assert numbers("c_grid", 2) == (2.0,)
    with pytest.raises(ConfigError, match="c_grid takes numbers"):
        numbers("c_grid", "1,x")


def run(*arguments):
    taken = []
    app = typer.Typer()

    @app.command()
    @with_records
    def command(dataset: str, net: Net, source: Source, compute: Compute, fit: Fit) -> None:
        """Do it."""
        taken.extend((dataset, net, source, compute, fit))

    result = CliRunner().invoke(app, list(arguments))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return taken or result.output


def test_a_command_has_an_option_for_each_field():
    told = run("--help")
    for kind in (Net, Source, Compute, Fit):
        for one in fields(kind):
            assert f"--{one.name.replace('_', '-')}" in told


def test_a_command_makes_the_records():
    dataset, net, source, compute, fit = run(
        "pets", "--layers", "fc6,fc7", "--limit", "20", "--batch-size", "auto", "--quiet",
        "--seed", "7", "--patch-power", "2.5",
    )  # fmt: skip
    assert dataset == "pets"
    assert net == Net(layers="fc6,fc7", seed=7)
    assert source == Source(limit=20)
    assert compute == Compute(batch_size="auto", quiet=True)
    assert fit == Fit(seed=7, patch_power=2.5)
    assert run("pets")[1:] == [Net(), Source(), Compute(), Fit()]


def test_a_command_refuses_what_the_record_refuses():
    with pytest.raises(ConfigError, match="limit is at least 1, found 0"):
        run("pets", "--limit", "0")
    with pytest.raises(ConfigError, match="did you mean 'fp16'"):
        Net(precision="fp6")
    said = " ".join(run("pets", "--precision", "fp6").replace("│", " ").split())
    assert "'fp6' is not one of 'auto', 'fp32'" in said
