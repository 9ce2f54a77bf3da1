"""published.csv against PROTOCOLS.md, which lies beside the assets: the source, table by table."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from decaf.published import VERIFIED, PublishedFigure, published_figures

Key = tuple[str, str, str, str, str, int | None]  # dataset, protocol, system, layer, head, shots
Read = Iterator[tuple[Key, str]]
NUMBER = re.compile(r"(\d+(?:\.\d+)?)(?:±(\d*\.\d+))?")
VOC = [
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
]


class Source:
    """PROTOCOLS.md as sections of table rows."""

    def __init__(self, text: str) -> None:
        self.sections = {
            part.split("\n", 1)[0].split()[0].rstrip("."): part
            for part in re.split(r"^#{2,3} ", text, flags=re.MULTILINE)[1:]
        }

    def rows(self, section: str) -> list[list[str]]:
        lines = re.findall(r"^\|(.*)\|$", self.sections[section], flags=re.MULTILINE)
        return [[cell.strip().replace("**", "") for cell in line.split("|")] for line in lines]

    def row(self, section: str, start: str) -> list[str]:
        (found,) = [row for row in self.rows(section) if row[0].startswith(start)]
        return found

    def line(self, section: str, start: str) -> str:
        (found,) = [x for x in self.sections[section].splitlines() if x.startswith(start)]
        return found.replace("**", "")


def system(dataset: str, protocol: str, name: str, shots: int | None = None) -> Key:
    return (dataset, protocol, name, "", "", shots)


def decaf_caltech(source: Source) -> Read:
    names = {"LogReg": "logreg", "SVM": "svm"}
    for row in source.rows("1.3"):
        head = row[0].replace(" + dropout", "")
        if head in names and len(row) == 4:
            full = names[head] + ("-dropout" if "dropout" in row[0] else "")
            for layer, cell in zip(("pool5", "fc6", "fc7"), row[1:], strict=True):
                yield ("caltech101", "decaf", "DeCAF", layer, full, 30), cell
    yang, jarrett = source.row("1.3", "Yang 2009 / Jarrett")[1].split(" / ")
    yield system("caltech101", "decaf", "Yang 2009", 30), yang
    yield system("caltech101", "decaf", "Jarrett 2009", 30), jarrett


def decaf_birds_and_sun(source: Source) -> Read:
    birds = source.row("1.5", "CUB")[2]
    for label, name in [
        (r"DPD\+DeCAF6", "DPD + DeCAF"),
        (r"DPD\(KDES\)", "DPD (KDES)"),
        *[("POOF",) * 2],
    ]:
        yield system("birds", "decaf", name), re.search(rf"{label} ([\d.]+)", birds)[1]
    first = re.match(r"DeCAF6 ([\d.]+)", birds)[1]
    yield ("birds", "decaf", "DeCAF", "fc6", "logreg", None), first
    sun = source.row("1.5", "SUN figures")[1]
    log6, log7, svm6, svm7, xiao = re.search(
        r"LogReg D6 (\S+), D7 (\S+); SVM (\S+) / (\S+); Xiao 2010 (\S+)", sun
    ).groups()
    for head, cells in {"logreg": (log6, log7), "svm": (svm6, svm7)}.items():
        for layer, cell in zip(("fc6", "fc7"), cells, strict=True):
            yield ("sun397", "decaf", "DeCAF", layer, head, None), cell
    yield system("sun397", "decaf", "Xiao 2010"), xiao


def zeiler(source: Source) -> Read:
    names = {
        "ImageNet-pretrained": ("Zeiler & Fergus",) * 2,
        "from scratch": ("Zeiler & Fergus, from scratch",) * 2,
        "Bo 2013": ("Bo 2013",) * 2,
        "Yang / Sohn": ("Yang", "Sohn"),
    }
    for label, both in names.items():
        row = source.row("2", label)
        layer, head = ("fc7", "logreg") if label.startswith("ImageNet") else ("", "")
        for shots, cell in zip((15, 30), row[1:3], strict=True):
            yield ("caltech101", "zf", both[0], layer, head, shots), cell
        for shots, cell in zip((15, 30, 45, 60), row[5:9], strict=True):
            yield ("caltech256", "zf", both[1], layer, head, shots), cell
    layers = {
        1: "features.2",
        2: "features.5",
        3: "features.7",
        4: "features.9",
        5: "pool5",
        7: "fc7",
    }
    for row in source.rows("2"):
        if found := re.fullmatch(r"(SVM|Softmax)\((\d)\)", row[0]):
            head = {"SVM": "svm", "Softmax": "logreg"}[found[1]]
            for dataset, shots, cell in zip(
                ("caltech101", "caltech256"), (30, 60), row[1:], strict=True
            ):
                yield (dataset, "zf", "Zeiler & Fergus", layers[int(found[2])], head, shots), cell
    voc = source.line("2", "VOC 2012 classification test")
    mean, first, second, classes = re.search(
        r"mean (\S+) \(A = NEC/van de Sande (\S+), B = NUS-Yan (\S+)\): (.*)", voc
    ).groups()
    yield ("voc2012", "zf", "Zeiler & Fergus", "fc7", "logreg", None), mean
    yield system("voc2012", "zf", "NEC/van de Sande"), first
    yield system("voc2012", "zf", "NUS-Yan"), second
    for name, value in zip(VOC, re.findall(r"[a-z]+(\d+\.\d)", classes), strict=True):
        yield ("voc2012", "zf", f"Zeiler & Fergus:{name}", "fc7", "logreg", None), value


def oquab(source: Source) -> Read:
    cell = source.row("3", "VOC07 test mAP")[1]
    inria, psl, ours, classes = re.search(
        r"INRIA (\S+) · NUS-PSL (\S+) · PRE-1000C (\S+) \(per class: ([\d. ]+)\)", cell
    ).groups()
    yield system("voc2007", "oquab", "INRIA"), inria
    yield system("voc2007", "oquab", "NUS-PSL"), psl
    key = ("fc7", "adaptation", None)
    yield ("voc2007", "oquab", "Oquab PRE-1000C", *key), ours
    for name, value in zip(VOC, classes.split(), strict=True):
        yield ("voc2007", "oquab", f"Oquab PRE-1000C:{name}", *key), value
    for dataset, start in [("voc2012", "VOC12 test"), ("voc2012-actions", "VOC12 actions")]:
        for part in source.row("3", start)[1].split(" · "):
            name, value = part.rsplit(" ", 1)
            full = f"Oquab {name}" if name.startswith(("PRE", "NO")) else name
            trained = ("fc7", "adaptation") if name == "PRE-1000C" else ("", "")
            yield (dataset, "oquab", full, *trained, None), value


def razavian(source: Source) -> Read:
    for dataset, start in [("voc2007", "VOC07 mAP"), ("mit67", "MIT-67 mean"), ("birds", "CUB")]:
        _, plain, augmented = source.row("4", start)
        yield (dataset, "razavian", "Razavian CNN-SVM", "fc6", "svm", None), plain.split()[0]
        key = (dataset, "razavian-aug", "Razavian CNNaug-SVM", "fc6", "svm", None)
        yield key, augmented
    listed = source.line("4", "MIT-67 comparators").split(": ")[1]
    for name, value in re.findall(r"([\w+-]+) (\d+\.\d+)", listed):
        yield system("mit67", "razavian", name), value


def chatfield(source: Source) -> Read:
    cell = source.row("5", "VOC07 mAP")[1]
    names = {
        "BoW": "BoW",
        "FK-BL": "FK-BL",
        "FK": "FK",
        "FK-IN (aug)": "FK-IN (aug)",
        "DeCAF": "DeCAF",
        "CNN-F aug": "Chatfield CNN-F",
        "CNN-M-2048": "Chatfield CNN-M-2048",
        "CNN-S fine-tuned (TUNE-RNK)": "Chatfield CNN-S",
    }
    for part in cell.split(" · "):
        name, value = part.rsplit(" ", 1)
        layer = {"DeCAF": "fc6"}.get(name, "fc7" if name.startswith("CNN") else "")
        key = ("voc2007", "chatfield", names[name], layer, "svm" if layer else "", None)
        yield key, value
    quoted = source.row("5", "As quoted by VGG")[1]
    cells = dict(part.split(" ") for part in quoted.split(" · "))
    for dataset, label, shots in [
        ("voc2012", "VOC12", None),
        ("caltech101", "C-101", 30),
        ("caltech256", "C-256", 60),
    ]:
        yield (dataset, "chatfield", "Chatfield CNN-S", "fc7", "svm", shots), cells[label]
    yield from vgg_table_11(source)
    spp = source.line("5", "SPPnet [V")
    found = re.search(
        r"warp 224 (\S+) vs full image ([\d.]+), best ([\d.]+); "
        r"VOC07 crop ([\d.]+), full ([\d.]+), Overfeat-7 ([\d.]+)\.",
        spp,
    ).groups()
    for name, value in zip(("warped to 224", "full image", "best"), found[:3], strict=True):
        yield system("caltech101", "sppnet", f"SPPnet, {name}", 30), value
    for name, value in zip(("crop", "full image", "Overfeat-7"), found[3:], strict=True):
        yield system("voc2007", "sppnet", f"SPPnet, {name}"), value


def vgg_table_11(source: Source) -> Read:
    listed = source.line("5", "Comparators in the same table").split("]: ")[1]
    names = {"ZF": "Zeiler & Fergus", "SPP": "SPPnet", "both": "VGG-16 and VGG-19"}
    columns = [("voc2007", None), ("voc2012", None), ("caltech101", 30), ("caltech256", 60)]
    for part in re.sub(r" \(VOC07.*", "", listed).split(" · "):
        label, cells = part.split(" ")
        name = names.get(label, label)
        trained = ("fc7", "svm") if label.startswith("VGG") else ("", "")
        for (dataset, shots), cell in zip(columns, cells.split("/"), strict=True):
            yield (dataset, "chatfield", name, *trained, shots), cell


def modern(source: Source) -> Read:
    columns = [("caltech101", 30), ("voc2007", None), ("sun397", None)]
    linear = source.row("9", "Sup. R50 linear")
    tuned = source.row("9", "Sup. R50 fine-tune")
    simclr, byol = zip(
        *(cell.split(" / ") for cell in source.row("9", "SimCLR / BYOL")[1:4]), strict=True
    )
    for name, cells in {
        "Supervised ResNet-50": linear[1:4],
        "Supervised ResNet-50, fine-tuned": tuned[1:4],
        "SimCLR ResNet-50": simclr,
        "BYOL ResNet-50": byol,
    }.items():
        trained = ("avgpool", "logreg") if name == "Supervised ResNet-50" else ("", "")
        for (dataset, shots), cell in zip(columns, cells, strict=True):
            yield (dataset, "kornblith", name, *trained, shots), cell
    for start, name in [
        ("Sup. R50 VTAB", "Supervised ResNet-50, fine-tuned"),
        ("scratch R50 VTAB", "ResNet-50 from scratch"),
    ]:
        row = source.row("9", start)
        for dataset, cell in [("caltech101", row[1]), ("sun397", row[3])]:
            few, full = cell.split(" / ")
            yield system(dataset, "vtab-1000", name), few
            yield system(dataset, "vtab-full", name), full
    key = ("voc2007", "fair-svm", "Supervised ResNet-50", "layer4", "svm", None)
    yield key, source.row("9", "torchvision R50, FAIR SVM")[2].split()[0]
    low = source.row("9", "– low-shot")[2].split("/")
    for shots, cell in zip((1, 2, 4, 8, 16, 32, 64, 96), low, strict=True):
        yield ("voc2007", "fair-lowshot", "Supervised ResNet-50", "layer4", "svm", shots), cell
    random, moco = source.row("9", "random R50 / MoCo")[2].split(" / ")
    yield system("voc2007", "fair-svm", "Random ResNet-50"), random
    yield system("voc2007", "fair-svm", "MoCo v2 ResNet-50"), moco
    tuned_alexnet = source.row("9", "AlexNet-family")[2]
    yield system("voc2007", "", "AlexNet, fine-tuned"), tuned_alexnet.lstrip("≈").split()[0]


def course(source: Source) -> Read:
    cell = source.row("10", "Caltech-101 (101 cls")[2]
    values = re.search(
        r"scratch (\S+); full fine-tune (\S+); conv frozen \(FCs trained\) (\S+); with aug (\S+)\. "
        r".*\(ResNet-18 (\S+), VGG-11 (\S+)\)",
        cell,
    ).groups()
    names = (
        "AlexNet from scratch",
        "AlexNet, fine-tuned",
        "AlexNet, convolutions frozen",
        "AlexNet, fine-tuned, augmented",
        "ResNet-18, fine-tuned",
        "VGG-11, fine-tuned",
    )
    for name, value in zip(names, values, strict=True):
        yield system("caltech101", "machinelearning2020", name), value


def rcnn(source: Source) -> Read:
    """R-CNN's detection, of PROTOCOLS2.md."""
    tuned, moved = "R-CNN, fine-tuned", ", box regression"
    systems = {
        **{layer: ("voc2007", "R-CNN", layer) for layer in ("pool5", "fc6", "fc7")},
        **{f"FT {layer}": ("voc2007", tuned, layer) for layer in ("pool5", "fc6", "fc7")},
        "FT fc7 BB": ("voc2007", tuned + moved, "fc7"),
        "VGG16 FT": ("voc2007", "R-CNN VGG16, fine-tuned", "fc7"),
        "VGG16 BB": ("voc2007", "R-CNN VGG16, fine-tuned" + moved, "fc7"),
        "R-CNN": ("voc2010", tuned, "fc7"),
        "R-CNN BB": ("voc2010", tuned + moved, "fc7"),
    }
    for start, *cells in source.rows("A7"):
        if start in systems:
            dataset, name, layer = systems[start]
            yield (dataset, "rcnn", name, layer, "svm", None), cells[-1]
            for category, cell in zip(VOC, cells[:-1], strict=True):
                yield (dataset, "rcnn", f"{name}:{category}", layer, "svm", None), cell
    for dataset, start in (("voc2007", "Comparators VOC07: "), ("voc2010", "VOC10 others: ")):
        others = source.line("A7", start).removeprefix(start).partition(". ")[0].rstrip(".")
        for one in others.split(", "):
            name, _, cell = one.rpartition(" ")
            yield system(dataset, "rcnn", name), cell


READERS: list[Callable[[Source], Read]] = [
    decaf_caltech,
    decaf_birds_and_sun,
    zeiler,
    oquab,
    razavian,
    chatfield,
    modern,
    course,
    rcnn,
]


def number(cell: str) -> tuple[float, float | None] | None:
    found = NUMBER.match(cell.rstrip(";,"))
    return (float(found[1]), float(found[2]) if found[2] else None) if found else None


def key_of(figure: PublishedFigure) -> Key:
    name = f"{figure.system}:{figure.category}" if figure.category else figure.system
    return (figure.dataset, figure.protocol, name, figure.layer, figure.head, figure.shots)


@pytest.mark.data
def test_verified_figures_are_those_of_the_protocols(assets: Path):
    first, second = (assets.parent / f"PROTOCOLS{number}.md" for number in ("", 2))
    if not (first.exists() and second.exists()):
        pytest.skip(f"{first} or {second} is not here")
    sources = [Source(path.read_text(encoding="utf-8")) for path in (first, second)]
    printed: dict[Key, list[tuple[float, float | None] | None]] = {}
    for reader in READERS:
        for key, cell in reader(sources[reader is rcnn]):
            printed.setdefault(key, []).append(number(cell))
    ours: dict[Key, list[tuple[float, float | None] | None]] = {}
    for f in published_figures():
        if f.verified in VERIFIED:
            deviation = None if f.deviation is None else round(100 * f.deviation, 6)
            ours.setdefault(key_of(f), []).append((round(100 * f.value, 6), deviation))
    assert {key: values for key, values in ours.items() if printed.get(key) != values} == {}
    missing = {key: values for key, values in printed.items() if any(values) and key not in ours}
    assert missing == {}
