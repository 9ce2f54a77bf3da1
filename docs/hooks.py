"""Pages of the site that are made of the code: protocols, commands, options, decisions.

MkDocs calls `on_config` and `on_files`; nothing is written beside the site.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from itertools import groupby
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from decaf import detection_records, records
from decaf.cli.app import app
from decaf.cli.from_records import declared
from decaf.escapes import markdown_text
from decaf.fields import Record
from decaf.protocols import PROTOCOLS
from decaf.protocols.rule import PublishedProtocol
from decaf.published import FLAWED, PublishedFigure, published_figures

ROOT = Path(__file__).parents[1]
COPIES = {
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "reference/security.md",
    "data/README.md": "reference/datasets.md",
}
"""Pages that the repository shows too, and where the site has them."""

DRAW = {
    "shots": "so many images of each class train, at random",
    "holdout": "a share of each class tests, at random",
    "kfold": "each fold is the test once",
    "official": "the data set's own split",
    "lowshot": "so many positives, and 19 times as many negatives, for each class by itself",
    "domains": "one domain trains, another is tested",
}
CHOICE = {
    "holdout": "on {share:.0%} of each class's training images",
    "kfold": "by {folds}-fold cross-validation of the training images",
    "official": "on the data set's validation side",
    "fixed": "not chosen",
    "test": "on the test side, as published: its figures are too high",
}
MARKS = {
    "V": "read in the publication",
    "D": "computed from figures in the publication",
    "V2": "read in a secondary text, or off a figure",
    "R": "recalled, not read",
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill the sections of the navigation whose pages follow from the code or the folder."""
    protocols = ["protocols/index.md", *(f"protocols/{name}.md" for name in _datasets())]
    decisions = ["adr/index.md", *(f"adr/{path.name}" for path in _decisions())]
    for section in config.nav or []:
        for pages, name in ((protocols, "Protocols"), (decisions, "Decisions")):
            if name in section:
                section[name] = pages
        if "Guides" in section:
            named = set(section["Guides"]) | {"index.md", "glossary.md", "roadmap.md"}
            pages = sorted(path.name for path in (ROOT / "docs").glob("*.md"))
            section["Guides"] += [name for name in pages if name not in named]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made here."""
    made = {
        "protocols/index.md": "\n".join(_protocols()),
        **{f"protocols/{name}.md": "\n".join(_protocol_page(name)) for name in _datasets()},
        "reference/commands.md": "\n".join(_commands()),
        "reference/options.md": "\n".join(_options()),
        "adr/index.md": "\n".join(_index_of_decisions()),
        **{to: _copied(source, to) for source, to in COPIES.items()},
    }
    for path, text in made.items():
        files.append(File.generated(config, path, content=text))
    return files


def _datasets() -> list[str]:
    return [name for name in PROTOCOLS if name != "*"]


def _decisions() -> list[Path]:
    return sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))


def _copied(source: str, to: str) -> str:
    """Return a page of the repository with its links as the site needs them."""
    up = "../" * to.count("/")
    text = (ROOT / source).read_text(encoding="utf-8")
    text = re.sub(r"\]\(docs/", f"]({up}", text)
    for other, place in COPIES.items():
        text = text.replace(f"]({other})", f"]({up}{place})")
    return text


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["", *(f"| {' | '.join(cells)} |" for cells in lines), ""]


def _protocols() -> Iterator[str]:
    """Yield the list of all protocols."""
    yield "# Protocols\n"
    yield (
        "A protocol says which images train and which test, what a row shows, how C is chosen and "
        "which metric counts. `decaf evaluate --dataset NAME --protocol PROTOCOL` follows it, and "
        "prints below the table where a run departs from it. The first of a data set is its "
        "default. [Reproduce a published table](../guides/published-tables.md) shows one from "
        "start to end."
    )
    rows = [
        (f"[`{name}`]({name}.md)", f"`{rule.name}`", rule.source)
        for name in _datasets()
        for rule in PROTOCOLS[name].values()
        if rule.source
    ]
    yield from _table(("data set", "protocol", "source"), rows)
    yield "Every data set, your own too, also has `holdout` and `kfold`:"
    for rule in PROTOCOLS["*"].values():
        yield from _protocol(rule)
    yield (
        "Figures stand under each protocol, `30: 84.3` with 30 training images a class. Of each is "
        "said whether it was read in the publication or elsewhere."
    )


def _protocol_page(name: str) -> Iterator[str]:
    """Yield a data set's protocols, each with its published figures."""
    yield f"# {name}\n"
    figures = [f for f in published_figures() if f.dataset == name and not f.category]
    used = set()
    for rule in PROTOCOLS[name].values():
        if rule.source:
            yield from _protocol(rule)
            own = [f for f in figures if f.protocol == rule.name.removesuffix(FLAWED)]
            used |= {rule.name.removesuffix(FLAWED)}
            yield from _figures(own)
            yield from _measured(name, rule.name)
    others = [f for f in figures if f.protocol not in used]
    if others:
        yield "## Published under other rules\n"
        yield "For orientation; decaf has no protocol that makes these comparable."
        yield from _figures(others)


def _protocol(rule: PublishedProtocol) -> Iterator[str]:
    """Yield what a protocol decides."""
    yield f"\n## {rule.name}\n"
    grid = rule.c_grid
    choice = CHOICE[rule.selection.kind].format(**vars(rule.selection))
    train = "all" if rule.train_per_class is None else str(rule.train_per_class)
    shots = ", ".join(map(str, rule.published_shots))
    facts = {
        "source": markdown_text(rule.source),
        "split": f"{DRAW[rule.draw]}; {rule.n_splits} split{'s' if rule.n_splits > 1 else ''}",
        "training images per class": train + (f"; published for {shots}" if shots else ""),
        "test images per class": f"at most {rule.test_per_class}" if rule.test_per_class else "",
        "metric": f"`{rule.metric}`",
        "view": f"`{rule.view}`" + (f", of boxes × {rule.box_scale:g}" * (rule.box == "crop")),
        "normalised": f"`{rule.normalize}`",
        "C": f"{_grid(grid)}, chosen {choice}" if grid is None or grid[1:] else f"{grid[0]:g}",
        "positives weigh": f"{rule.positive_weight:g} times" * (rule.positive_weight != 1),
        "decaf decided": "; ".join(map(markdown_text, rule.notes)),
    }
    yield from _table(("what", "rule"), ((name, fact) for name, fact in facts.items() if fact))


def _grid(grid: tuple[float, ...] | None) -> str:
    if grid is None:
        return "decades that follow the features' scale"
    return f"{len(grid)} values from {grid[0]:g} to {grid[-1]:g}"


def _figures(figures: Sequence[PublishedFigure]) -> Iterator[str]:
    """Yield published figures: a table for each source, a row for each system, layer and head."""
    for (source, metric, mark), same in groupby(
        figures, lambda f: (f.source, f.metric, f.verified)
    ):
        several = list(same)
        notes = {f.note for f in several} - {""}
        common = notes.pop() if len(notes) == 1 else ""
        about = f"`{metric}` in per cent, {MARKS[mark]}{'; ' * bool(common)}{markdown_text(common)}"
        yield f"\n**{markdown_text(source)}**: {about}.\n"
        rows = []
        for (system, layer, head, note), cells in groupby(
            several, lambda f: (f.system, f.layer, f.head, f.note)
        ):
            words = (system, layer, head, ", ".join(map(_value, cells)), "" if common else note)
            rows.append([markdown_text(word) for word in words])
        head = ["published by", "layer", "head", "figure", "note"]
        used = [number for number in range(5) if any(row[number] for row in rows)]
        yield from _table(
            [head[number] for number in used], ([row[number] for number in used] for row in rows)
        )


def _measured(dataset: str, protocol: str) -> Iterator[str]:
    """Yield what decaf reached, as `measured.csv` records it."""
    with (ROOT / "docs" / "measured.csv").open(encoding="utf-8", newline="") as file:
        found = [
            row
            for row in csv.DictReader(file)
            if (row["dataset"], row["protocol"]) == (dataset, protocol)
        ]
    if found:
        yield "\n**Measured with decaf**, in per cent, on part of the data:\n"
        rows = ((one["net"], one["layer"], one["head"], _number(one), one["data"]) for one in found)
        yield from _table(("net", "layer", "head", "figure", "data"), rows)


def _number(row: dict[str, str]) -> str:
    value, deviation = 100 * float(row["value"]), 100 * float(row["deviation"])
    return f"{row['shots']}: {value:.1f} ± {deviation:.1f}".replace(" ", "\N{NO-BREAK SPACE}")


def _value(figure: PublishedFigure) -> str:
    shots = "" if figure.shots is None else f"{figure.shots}: "
    spread = "" if figure.deviation is None else f" ± {100 * figure.deviation:.1f}"
    return f"{shots}{100 * figure.value:.1f}{spread}".replace(" ", "\N{NO-BREAK SPACE}")


def _all_records() -> dict[str, type[Record]]:
    found = {**vars(records), **vars(detection_records)}
    return {
        name: kind
        for name, kind in found.items()
        if records.is_record(kind) and kind is not Record and kind.__module__.startswith("decaf.")
    }


def _options() -> Iterator[str]:
    """Yield every record with its fields."""
    yield "# Options\n"
    yield (
        "An option is declared once, as a field of a record. The functions of "
        "[Python](python.md) take the records; the [commands](commands.md) have an option for each "
        "field: `box_scale` of `View` is `--box-scale`. Where the default is empty, the protocol, "
        "the model or the machine decides."
    )
    for name, kind in _all_records().items():
        yield f"\n## {name}\n"
        yield (kind.__doc__ or "").split("\n\n")[0]
        described = re.findall(r"^(\w+) : (.*)\n    (.*)$", kind.__doc__ or "", re.MULTILINE)
        defaults = {one.name: one.default for one in fields(kind)}  # type: ignore[arg-type] # every record is a dataclass
        rows = [
            (f"`{field}`", markdown_text(words), _default(defaults[field]), _about(about))
            for field, words, about in described
            if not records.is_record(type(defaults[field]))
        ]
        yield from _table(("field", "type or words", "default", "what it says"), rows)


def _default(value: object) -> str:
    return "" if value in (None, "") else f"`{value}`"


def _about(text: str) -> str:
    return markdown_text(text).replace("\\`", "`")


def _commands() -> Iterator[str]:
    """Yield every command: what it does, what it takes, and the records its options are of."""
    yield "# Commands\n"
    yield (
        "`decaf COMMAND --help` prints the same. Options that are fields of a record are described "
        "under [options](options.md). Errors end in one message: exit code 1, 2 for a wrong option "
        "or an unknown name, 130 for Ctrl-C. `DECAF_TRACEBACK=1` shows where an error came from."
    )
    panels = {
        option.rich_help_panel: kind.__name__
        for kind in _all_records().values()
        for option in [declared(kind, fields(kind)[-1].name)]  # type: ignore[arg-type] # every record is a dataclass
    }
    for name, command in _walk(typer.main.get_command(app), "decaf"):
        yield f"\n## {name}\n"
        yield (command.help or "").split("\n\n")[0]
        kinds: dict[str, list[str]] = {}
        rows = []
        for parameter in command.params:
            flag = f"`{_flag(parameter)}`"
            panel = getattr(parameter, "rich_help_panel", None)
            if panel in panels:
                kinds.setdefault(panels[panel], []).append(flag)
            elif parameter.name != "help":
                rows.append((flag, markdown_text(getattr(parameter, "help", "") or "")))
        if rows:
            yield from _table(("takes", ""), rows)
        for kind, flags in kinds.items():
            yield f"\n[{kind}](options.md#{kind.lower()}): {', '.join(flags)}\n{{: .flags }}\n"


def _flag(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.name).upper() + ("..." if parameter.nargs == -1 else "")
    return str(parameter.opts[0])


def _walk(group: Any, name: str) -> Iterator[tuple[str, Any]]:
    for key, command in group.commands.items():
        if hasattr(command, "commands"):
            if command.invoke_without_command:
                yield f"{name} {key}", command
            yield from _walk(command, f"{name} {key}")
        else:
            yield f"{name} {key}", command


def _index_of_decisions() -> Iterator[str]:
    """Yield the list of decisions, by their own titles."""
    yield "# Decisions\n"
    yield "Why decaf is as it is: each with its date, its reasons and what follows from it.\n"
    for path in _decisions():
        title = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        number, _, words = title.partition(". ")
        yield f"{number}. [{words}]({path.name})"
