"""Parts of a training set that stand for fewer labels: nested, stratified, and the same ones for the same seed.

They are given to a training as what its data sets read: a list of names, or a COCO file with fewer images.
"""

import json
import random
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigError


def nested_order(classes: Mapping[str, str], seed: int) -> list[str]:
    """Returns all images in an order of which every beginning is a stratified subset.

    The n images of a class are shuffled and take the places 0.5 / n, 1.5 / n, ... between 0 and 1, so the classes
    mix evenly. Of a class, the first k of N images have k * n / N, rounded, give or take one.

    Args:
        classes: The class of each image, by its name.
        seed: Of the shuffle; nothing else decides.
    """
    members = defaultdict(list)
    for name in sorted(classes):
        members[classes[name]].append(name)
    generator = random.Random(seed)
    places = []
    for names in (members[label] for label in sorted(members)):
        generator.shuffle(names)
        places += [((index + 0.5) / len(names), name) for index, name in enumerate(names)]
    return [name for _, name in sorted(places)]


def subset(order: Sequence[str], percent: float) -> list[str]:
    """Returns the first ``percent`` of the images, in (0, 100], rounded; a smaller part lies inside a larger one.

    Raises:
        ConfigError: That is no share, or not one image.
    """
    if not 0 < percent <= 100:
        raise ConfigError(f"{percent} % is no share of the images: choose more than 0, and 100 at the most")
    count = round(len(order) * percent / 100)
    if count == 0:
        raise ConfigError(f"{percent} % of {len(order)} images is not one: choose a larger share or more images")
    return list(order[:count])


def write_list(path: Path, lines: Sequence[str]) -> str:
    """Writes a list file, as ``ImageDataset`` and MMSegmentation's data sets read it; returns their ``ann_file``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)


def write_coco(path: Path, source: Path, names: Collection[str], times: Callable[[str], int] = lambda _: 1) -> str:
    """Writes the part of a COCO file that is about some images; returns its ``ann_file``.

    Args:
        path: File to write.
        source: A COCO file.
        names: File names of the images.
        times: How often an image of this name comes, each time with an id of its own, and so do its objects.
    """
    coco, wanted = json.loads(source.read_text()), set(names)
    objects = defaultdict(list)
    for one in coco["annotations"]:
        objects[one["image_id"]].append(one)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image in (image for image in coco["images"] if image["file_name"] in wanted):
        for _ in range(times(image["file_name"])):
            images.append({**image, "id": len(images)})
            for one in objects[image["id"]]:
                annotations.append({**one, "id": len(annotations) + 1, "image_id": images[-1]["id"]})
    coco.update(images=images, annotations=annotations)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(coco))
    return str(path)


def coco_classes(source: Path) -> dict[str, str]:
    """Returns for each image of a COCO file, by its name, the class that most of its objects have."""
    coco = json.loads(source.read_text())
    counts: dict[int, dict[int, int]] = {image["id"]: defaultdict(int) for image in coco["images"]}
    for one in coco["annotations"]:
        counts[one["image_id"]][one["category_id"]] += 1
    return {
        image["file_name"]: str(max(sorted(counts[image["id"]]), key=counts[image["id"]].__getitem__, default=""))
        for image in coco["images"]
    }


def folder_classes(root: Path) -> dict[str, str]:
    """Returns the class of each image below ``root``, which has a folder for each; names are ``CLASS/FILE``."""
    return {f"{file.parent.name}/{file.name}": file.parent.name for file in sorted(root.glob("*/*.jpg"))}
