"""Checks that images load as their annotations say: their size, how EXIF turns them, what Resize makes of them."""

from collections.abc import Iterator, Sequence
from typing import Any

import mmcv
from mmcv.transforms import LoadImageFromFile, RandomChoice, RandomChoiceResize, RandomResize, Resize
from PIL import Image

from ..datasets.transforms import LoadImage
from ..errors import UnreadableImageError
from .faults import ERROR, WARNING, Fault, Kind

OTHER_SIZE = Kind(
    "image-size",
    ERROR,
    "images looked at have another size than the annotation file says",
    "Their boxes and masks belong to another picture: mend the file's sizes or fetch the right images. An image that "
    "EXIF turns: save it turned, or load it unturned with color_type='color_ignore_orientation' in LoadImageFromFile",
)
TURNED = Kind(
    "exif-turned",
    WARNING,
    "images looked at are turned by their EXIF orientation when they are loaded",
    "Their size does not tell whether the annotations are turned alike: look at some of them",
)
VANISHES = Kind(
    "extreme-aspect",
    ERROR,
    "images looked at are so narrow that the pipeline would resize them to 0 px",
    "Cut or remove them, or resize without keep_ratio",
)
Size = tuple[int, int]  # height, width
ORIENTATION = 0x0112  # EXIF's tag; from 2 on the picture is mirrored or turned, from 5 on its sides are exchanged


def image_loader(transforms: Sequence[Any]) -> LoadImageFromFile | LoadImage | None:
    """Returns the transform of a pipeline that loads images from files, if it is one that is known."""
    first = transforms[0] if transforms else None
    return first if type(first) in (LoadImageFromFile, LoadImage) else None


def loaded_size(loader: LoadImageFromFile | LoadImage, entry: dict) -> Size:
    """Returns the size that an image has once the pipeline has loaded it.

    Raises:
        UnreadableImageError: It does not load.
    """
    try:
        results = loader(dict(entry))
    except UnreadableImageError:
        raise
    except Exception as error:  # OpenCV and the other backends raise what they like
        raise UnreadableImageError(f"{entry['img_path']}: the pipeline cannot load it ({error})") from error
    return results["ori_shape"] if "ori_shape" in results else results["inputs"].size[::-1]


def size_fault(loader: LoadImageFromFile | LoadImage, entry: dict, size: Size) -> tuple[Kind, Fault] | None:
    """Compares the size of a loaded image with its entry, and tells a picture that EXIF turns unseen.

    Args:
        loader: What has loaded it.
        entry: The data set's entry, which may have a height and a width, or a label map.
        size: The size once it is loaded.
    """
    path = entry["img_path"]
    said = (entry["height"], entry["width"]) if entry.get("height") and entry.get("width") else None
    if said and size != said:
        message = f"{path}: loaded with {pixels(size)}, annotated with {pixels(said)}{turned(path)}"
        return OTHER_SIZE, Fault(path, message)
    if (said or entry.get("seg_map_path")) and _turns(loader):
        how = orientation(path)
        if how > 1 and (how < 5 or size[0] == size[1]):
            return TURNED, Fault(path, f"{path}: EXIF orientation {how}")
    return None


def pixels(size: Size) -> str:
    """Returns a size as people write it, width first."""
    return f"{size[1]} x {size[0]} px"


def turned(path: str) -> str:
    """Returns a clause on the EXIF orientation, empty if there is none."""
    how = orientation(path)
    return f"; its EXIF orientation is {how}" if how > 1 else ""


def orientation(path: str) -> int:
    """Returns the EXIF orientation of a JPEG, 1 if it has none."""
    try:
        with Image.open(path) as image:
            how = image.getexif().get(ORIENTATION, 1) if image.format in ("JPEG", "MPO") else 1
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # what PIL raises for broken content
        return 1
    return how if isinstance(how, int) and 1 <= how <= 8 else 1


def _turns(loader: LoadImageFromFile | LoadImage) -> bool:
    """Whether a loader turns images as EXIF says."""
    kind = getattr(loader, "color_type", "unchanged")
    return kind != "unchanged" and "ignore_orientation" not in kind


def vanishing_scale(size: Size, scales: Sequence[Size]) -> Size | None:
    """Returns the first of ``scales`` at which an image, its ratio kept, would have a side of 0 px."""
    return next((scale for scale in scales if 0 in mmcv.rescale_size(size[::-1], scale)), None)


def first_scales(transforms: Sequence[Any]) -> list[Size]:
    """Returns the scales, the smallest first, to which a pipeline may resize a whole image with its ratio kept."""
    return sorted(set(_scales(transforms)), key=min)


def _scales(transforms: Sequence[Any]) -> Iterator[Size]:
    for transform in transforms:
        if isinstance(transform, RandomChoice):
            branches = [getattr(branch, "transforms", branch) for branch in transform.transforms]
            for branch in branches:
                yield from _scales(branch)
            if any(isinstance(part, RESIZES) for branch in branches for part in branch):
                return
        elif isinstance(transform, RESIZES):
            yield from _scales_of(transform)
            return


RESIZES = (Resize, RandomResize, RandomChoiceResize)


def _scales_of(transform: Any) -> Iterator[Size]:
    if isinstance(transform, Resize):
        kept, scales = transform.keep_ratio, [transform.scale]
    else:
        kept = transform.resize_cfg.get("keep_ratio", False)
        scales = transform.scales if isinstance(transform, RandomChoiceResize) else [_smallest(transform)]
    for scale in scales if kept else ():
        if scale is not None:
            yield (scale, scale) if isinstance(scale, int) else tuple(scale)


def _smallest(transform: RandomResize) -> Size:
    """Returns the smallest scale that a RandomResize draws, of a range or between two scales."""
    scale = transform.scale
    if all(isinstance(side, (int, float)) for side in scale):
        least = transform.ratio_range[0] if transform.ratio_range else 1
        return int(scale[0] * least), int(scale[1] * least)
    return min(one[0] for one in scale), min(one[1] for one in scale)
