"""Each gate of `make check` fails on a bad file, and the benchmarks end in one JSON line."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from quick import slow_unless

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
NETS = (
    "alexnet", "resnet50", "mobilenet_v2", "efficientnet_b0", "squeezenet1_1", "vgg16", "vit_b_16",
)  # fmt: skip


def run(*command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def gate(name: str) -> list[str]:
    """Return the command of a gate in the Makefile, without the files that it looks at."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (line,) = re.findall(rf"^\t\$\(BIN\)/(.*{name}.*)$", makefile, re.MULTILINE)
    first, *words = re.sub(r"\$\$\(.*\)", "", line).split()
    module = {"lint-imports": "importlinter.cli"}.get(first, first)
    if first == "python":
        return [sys.executable, *words]
    pytest.importorskip(module.split(".")[0], reason=f"{first} is not installed")
    return [sys.executable, "-m", module, *words]


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A module with an unused import, a wrong type, bad form and a docstring without types."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    file = tmp_path / "decaf" / "bad.py"
    file.parent.mkdir()
    (file.parent / "__init__.py").write_text('"""Bad."""\n')
    file.write_text(
        '"""A bad module."""\n\nimport os\n\n\ndef add( a: int, b: int) -> str:\n'
        '    """Add.\n\n    Parameters\n    ----------\n    a, b\n        Numbers.\n    """\n'
        "    return a + b\n"
    )
    return file


@pytest.mark.parametrize(
    ("name", "said"),
    [("ruff check", "F401"), ("ruff format", "would be reformatted"), ("numpydoc", "PR04")],
)
def test_a_gate_fails_on_a_bad_file(bad: Path, name: str, said: str) -> None:
    command = [word for word in gate(name) if word != "."]
    done = run(*command, str(bad), cwd=bad.parents[1])
    assert done.returncode != 0
    assert said in done.stdout + done.stderr


def test_a_wrong_example_in_a_docstring_fails(bad: Path) -> None:
    bad.write_text('"""A bad module.\n\n>>> 1 + 1\n3\n"""\n')
    done = run(*gate("pytest"), "-p", "no:cacheprovider", cwd=bad.parents[1])
    assert done.returncode == 1
    assert "[doctest] decaf.bad" in done.stdout


@pytest.mark.parametrize(
    ("page", "said"),
    slow_unless(
        lambda one: one[1] == "#gone",
        [
            ("[gone](gone.md)", "gone.md"),
            ("[gone](#gone)", "#gone"),
            ("::: decaf.gone", "decaf.gone"),
        ],
    ),
)
def test_a_page_that_leads_nowhere_fails(tmp_path: Path, page: str, said: str) -> None:
    pytest.importorskip("mkdocs", reason="the extra docs is not installed")
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:")[0]
    (tmp_path / "mkdocs.yml").write_text(settings.replace("hooks: [docs/hooks.py]", ""))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"# Page\n\n{page}\n")
    done = run(*gate("mkdocs"), cwd=tmp_path)
    assert done.returncode != 0
    assert said in done.stdout + done.stderr


def test_no_gate_is_left_out_here() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    gates = re.search(r"^check:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)[1].splitlines()
    known = ("ruff check", "ruff format", "mypy", "lint-imports", "numpydoc", "pytest")
    assert [name for line in gates for name in known if name in line] == list(known)
    assert len(gates) == len(known)
    assert re.search(r"^check:.* docs$", makefile, re.MULTILINE)


def test_make_installs_what_the_tests_need() -> None:
    (extras,) = re.findall(r"--editable '\.\[(.*)\]'", (ROOT / "Makefile").read_text("utf-8"))
    assert {"test", "check", "ray", "umap", "browser"} == set(extras.split(","))


@pytest.mark.slow
def test_mypy_fails_on_a_bad_file(bad: Path) -> None:
    done = run(*gate("mypy"), cwd=bad.parents[1])
    assert done.returncode != 0
    assert "Incompatible return value" in done.stdout


def test_the_import_layers_fail_on_an_import_upward(tmp_path: Path) -> None:
    pytest.importorskip("importlinter", reason="import-linter is not installed")
    shutil.copytree(
        ROOT / "decaf", tmp_path / "decaf", ignore=shutil.ignore_patterns("*.safetens*")
    )
    shutil.copy(ROOT / ".importlinter", tmp_path)
    errors = tmp_path / "decaf" / "errors.py"
    errors.write_text(errors.read_text(encoding="utf-8") + "\nimport decaf.cli.app\n")
    code = "from importlinter.cli import lint_imports_command as run; run()"
    done = run(sys.executable, "-c", code, cwd=tmp_path)
    assert done.returncode != 0
    assert "BROKEN" in done.stdout


@pytest.mark.slow  # the gate itself is in make check
def test_every_module_passes_the_gate_of_docstrings() -> None:
    files = [str(path) for path in sorted((ROOT / "decaf").rglob("*.py"))]
    done = run(*gate("numpydoc"), *files)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "parts", "said"),
    [
        ("bench_heads.py", "caltech101 sun397 voc few_rows growth", "left out: sun397: as asked"),
        (
            "bench_extract.py",
            " ".join(NETS) + " one_pass ray",
            "left out: ray: as asked",
        ),
    ],
)
def test_a_benchmark_without_its_parts_ends_in_json(script: str, parts: str, said: str) -> None:
    done = run(sys.executable, str(BENCHMARKS / script), "--skip", *parts.split())
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.splitlines()
    assert json.loads(last) == {}
    assert said in lines


def test_figures_of_other_parts_are_printed_where_one_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from parts import run_parts

    def fails() -> dict[str, float]:
        raise RuntimeError("broken")

    with pytest.raises(SystemExit, match="1"):
        run_parts(
            {"one": fails, "two": lambda: {"speed": 1.23456, "none": None}, "three": fails},
            {"three": "as asked", "one": None},
        )
    first, second, last = capsys.readouterr().out.splitlines()
    assert first == "left out: three: as asked"
    assert second == "failed: one: broken"
    assert json.loads(last) == {"speed": 1.235, "none": None}


@pytest.mark.slow
def test_what_a_gpu_is_measured_by_runs_without_one(tmp_path: Path) -> None:
    done = run(
        sys.executable, str(BENCHMARKS / "gpu.py"), "--tiny", "--device", "cpu",
        "--out", str(tmp_path / "found"), "--skip", "peers",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert found == json.loads(done.stdout.splitlines()[-1])
    assert found["left_out"] == [
        "tests: no GPU here",
        "decaf-mini_fp32_gpu: nvJPEG needs a GPU",
        "peers: as asked",
    ]
    assert found["decaf-mini_fp32_drift"] == 0
    assert 0 < found["decaf-mini_bf16_drift"] < 0.05
    told = (tmp_path / "found.md").read_text()
    for key in ("decaf-mini_fp32_auto_images_per_s", "sun397_svm_s", "finetuning_s"):
        assert found[key] > 0
        assert f"| {key} | " in told
