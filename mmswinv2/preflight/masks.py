"""Checks the polygons and run lengths in the segmentations of COCO annotations."""

from collections.abc import Sequence

from .annotations import annotation_fault, finite, shortened
from .faults import ERROR, WARNING, Fault, Finding, Kind, found
from .files import spread

NO_MASK = Kind(
    "no-segmentation",
    ERROR,
    "annotations have no segmentation, or an empty one",
    "The config asks for masks: remove these annotations, draw their outlines, or train a detector of boxes alone",
)
BAD_MASK = Kind(
    "malformed-segmentation",
    ERROR,
    "annotations have a segmentation that is neither a list of polygons nor run lengths",
    "It is [[x1, y1, x2, y2, ...], ...] with finite numbers, or dict(size=[height, width], counts=...)",
)
SHORT_POLYGON = Kind(
    "degenerate-polygon",
    WARNING,
    "annotations have a polygon of fewer than three points, or of an odd number of values",
    "MMDetection leaves such polygons out, and ignores an object that has no other",
)
UNSCORED_POLYGON = Kind(
    "degenerate-first-polygon",
    ERROR,
    "annotations have a first polygon of fewer than three points, at which the evaluation fails",
    "pycocotools takes it for a box: remove the polygon",
)
RUNS_OF_OTHER_SIZE = Kind(
    "rle-size",
    ERROR,
    "annotations have run lengths of another size than their image",
    "size is [height, width] of the image: mend or remove these annotations",
)
BROKEN_RUNS = Kind(
    "rle-counts",
    ERROR,
    "annotations have run lengths that do not add up to the pixels of their image",
    "Write them anew with pycocotools.mask.encode, or remove these annotations",
)


def mask_findings(
    path: str, key: str, entries: Sequence[tuple[dict, dict]], decoded: int, scored: bool
) -> list[Finding]:
    """Checks segmentations.

    Args:
        path: The COCO file.
        key: What to call it.
        entries: Pairs of annotation and image, the image's size being right.
        decoded: How many compressed run lengths to decode, evenly spread.
        scored: Whether they are for an evaluation, by pycocotools.
    """
    faults: dict[Kind, list[Fault]] = {}
    compressed = []
    for entry in entries:
        annotation, image = entry
        kind, says = _segmentation_fault(annotation.get("segmentation"), image)
        if scored and kind is SHORT_POLYGON and len(annotation["segmentation"][0]) < 5:
            kind = UNSCORED_POLYGON
        if kind is not None:
            faults.setdefault(kind, []).append(annotation_fault(path, entry, says))
        elif says == COMPRESSED:
            compressed.append(entry)
    for entry in spread(compressed, decoded):
        counts, image = entry[0]["segmentation"]["counts"], entry[1]
        if run_total(counts) != image["height"] * image["width"]:
            says = f"counts {shortened(counts)}, image of {image['height'] * image['width']} px"
            faults.setdefault(BROKEN_RUNS, []).append(annotation_fault(path, entry, says))
    return [finding for kind, cases in faults.items() for finding in found(kind, key, len(entries), cases)]


COMPRESSED = "compressed"


def _segmentation_fault(segmentation: object, image: dict) -> tuple[Kind | None, str]:
    """Returns the kind of fault and what to say of it; of good run lengths, whether they are compressed."""
    if not segmentation:
        return NO_MASK, f"segmentation {segmentation}"
    if isinstance(segmentation, list):
        return _polygon_fault(segmentation)
    if not isinstance(segmentation, dict) or not isinstance(segmentation.get("counts"), (list, str)):
        return BAD_MASK, f"segmentation {shortened(segmentation)}"
    size, counts = segmentation.get("size"), segmentation["counts"]
    if size != [image["height"], image["width"]]:
        return RUNS_OF_OTHER_SIZE, f"size {size}, image [{image['height']}, {image['width']}]"
    if isinstance(counts, str):
        return None, COMPRESSED
    pixels = image["height"] * image["width"]
    if not finite(counts) or min(counts, default=0) < 0 or sum(counts) != pixels:
        return BROKEN_RUNS, f"counts {shortened(counts)}, image of {pixels} px"
    return None, ""


def _polygon_fault(polygons: list) -> tuple[Kind | None, str]:
    for polygon in polygons:
        if not isinstance(polygon, list) or not finite(polygon):
            return BAD_MASK, f"segmentation {shortened(polygons)}"
    for polygon in polygons:
        if len(polygon) % 2 or len(polygon) < 6:
            return SHORT_POLYGON, f"polygon {shortened(polygon)}"
    return None, ""


def run_total(counts: str) -> int | None:
    """Returns the sum of compressed run lengths; None if the text is none.

    pycocotools decodes any text, and leaves pixels to chance that no run covers. A character holds five bits of a
    number and whether more follow. From the fourth on, numbers are differences to the last but one.
    """
    runs: list[int] = []
    number, shift = 0, 0
    for character in counts:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            return None
        number |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            number -= 1 << shift
        runs.append(number + runs[-2] if len(runs) > 2 else number)
        if runs[-1] < 0:
            return None
        number, shift = 0, 0
    return None if shift else sum(runs)
