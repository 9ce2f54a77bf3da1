"""Say in words where a run departs from the protocol that it is named after."""

from collections.abc import Iterator

from decaf.protocols.catalogue import protocols_of
from decaf.protocols.rule import PublishedProtocol
from decaf.types import ImageDataset


def published_protocol_differences(
    used: PublishedProtocol, dataset: ImageDataset, n_left_out: int = 0
) -> list[str]:
    """Say where a run departs from the published protocol.

    Returns
    -------
    list of str
        Short statements for a footnote; empty where nothing differs.
    """
    published = protocols_of(dataset)[used.name]
    words = list(_data(published, dataset, n_left_out))
    if used.draw == "official" != published.draw:
        words.append("the data set's own split instead of random ones")
    elif used.n_splits != published.n_splits:
        words.append(f"{_splits(used)} instead of {published.n_splits}")
    if used.train_per_class not in (published.train_per_class, *published.published_shots):
        asked = published.train_per_class or "all"
        words.append(f"{used.train_per_class} training images a class instead of {asked}")
    if used.drop_classes != published.drop_classes:
        words.append(f"without the classes {', '.join(used.drop_classes)}")
    if used.view != published.view:
        words.append(f"view {used.view} instead of {published.view}")
    if _box(used) != _box(published):
        words.append(f"{_box(used)} instead of {_box(published)}")
    words.extend(_patches(used, published))
    if used.normalize != published.normalize:
        words.append(f"features normalised {used.normalize} instead of {published.normalize}")
    if used.class_weight != published.class_weight:
        words.append(f"class weights {used.class_weight} instead of {published.class_weight}")
    if published.c_grid is not None and used.c_grid != published.c_grid:
        words.append(f"C from {_grid(used.c_grid)} instead of {_grid(published.c_grid)}")
    return [*words, *published.notes]


def _patches(used: PublishedProtocol, published: PublishedProtocol) -> Iterator[str]:
    if used.patches is None or published.patches is None:
        return
    pairs = zip(vars(used.patches).items(), vars(published.patches).values(), strict=True)
    changed = [f"{name} {a} instead of {b}" for (name, a), b in pairs if a != b]
    if changed:
        yield f"patches with {', '.join(changed)}"
    if used.background_share != published.background_share:
        yield (
            f"{used.background_share:g} of the background patches train instead of "
            f"{published.background_share:g}"
        )
    if (used.patch_power, used.patch_pool) != (published.patch_power, published.patch_pool):
        yield (
            f"{used.patch_pool} of patches' powers of {used.patch_power:g} instead of "
            f"{published.patch_pool} of powers of {published.patch_power:g}"
        )


def _data(published: PublishedProtocol, dataset: ImageDataset, n_left_out: int) -> list[str]:
    words = []
    n_images = len(dataset.image_ids)
    if dataset.partial:
        whole = "" if published.n_images is None else f" of {_thousands(published.n_images)}"
        words.append(f"partial data set: {_thousands(n_images)}{whole} images")
    if n_left_out:
        words.append(f"{_thousands(n_left_out)} images without features are left out")
    if dataset.groups is not None:
        n_groups = _thousands(len(set(dataset.groups)))
        words.append(f"the images of each of {n_groups} groups are on one side")
    if dataset.official is not None and not (dataset.official == 3).any():
        words.append("no labelled test side: tested on the validation side")
    return words


def _thousands(number: int) -> str:
    return f"{number:,}".replace(",", " ")


def _box(protocol: PublishedProtocol) -> str:
    if protocol.box == "none":
        return "whole images"
    return f"boxes enlarged {protocol.box_scale:g} times"


def _splits(protocol: PublishedProtocol) -> str:
    return f"{protocol.n_splits} split{'s' if protocol.n_splits > 1 else ''}"


def _grid(grid: tuple[float, ...] | None) -> str:
    if grid is None:
        return "decades"
    if len(grid) == 1:
        return f"{grid[0]:g}"
    return f"{len(grid)} values in {grid[0]:g} to {grid[-1]:g}"
