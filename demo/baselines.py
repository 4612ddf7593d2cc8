"""What is reached without a network: Otsu's threshold and watershed on nuclei, colour histograms on flowers.

Fluorescence images are grey with bright nuclei, stained tissue is coloured with dark ones: the kind of
image tells the class.
"""

import json
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as mask_api
from scipy import ndimage
from skimage.segmentation import watershed

FLUORESCENCE, HISTOLOGY = 1, 2  # category ids; in label maps 1 is the background
MIN_AREA = 10  # pixels; smaller specks are noise


def write_otsu_labels(image_dir: Path, output_dir: Path) -> None:
    """Writes a label map for each image: Otsu's threshold, class by colour."""
    output_dir.mkdir(parents=True, exist_ok=True)
    for file in sorted(image_dir.glob("*.jpg")):
        foreground, category = otsu(cv2.imread(str(file)))
        labels = np.where(foreground, category + 1, 1).astype(np.uint8)
        cv2.imwrite(str(output_dir / f"{file.stem}.png"), labels)


def write_watershed_results(ann_file: Path, image_dir: Path, results_prefix: Path) -> None:
    """Writes COCO results ``<prefix>.{bbox,segm}.json``: Otsu's threshold, touching nuclei cut by watershed."""
    boxes, masks = [], []
    for image in json.loads(ann_file.read_text())["images"]:
        foreground, category = otsu(cv2.imread(str(image_dir / image["file_name"])))
        for nucleus in split_touching(foreground):
            result = {"image_id": image["id"], "category_id": category, "score": 1.0}
            encoded = mask_api.encode(np.asfortranarray(nucleus.astype(np.uint8)))
            boxes.append(result | {"bbox": mask_api.toBbox(encoded).tolist()})
            masks.append(result | {"segmentation": {"size": encoded["size"], "counts": encoded["counts"].decode()}})
    results_prefix.parent.mkdir(parents=True, exist_ok=True)
    Path(f"{results_prefix}.bbox.json").write_text(json.dumps(boxes))
    Path(f"{results_prefix}.segm.json").write_text(json.dumps(masks))


def otsu(image: np.ndarray) -> tuple[np.ndarray, int]:
    """Foreground (H, W) bool of a BGR image, and its category id by colour."""
    is_colour = np.ptp(image, axis=2).mean() > 5  # JPEG leaves a grey image within a level or two
    polarity = cv2.THRESH_BINARY_INV if is_colour else cv2.THRESH_BINARY
    grey = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), (3, 3), 0)
    _, foreground = cv2.threshold(grey, 0, 1, polarity | cv2.THRESH_OTSU)
    return foreground.astype(bool), HISTOLOGY if is_colour else FLUORESCENCE


def split_touching(foreground: np.ndarray) -> list[np.ndarray]:
    """Masks (H, W) bool of single nuclei: watershed from the peaks of the distance to the background."""
    distance = ndimage.gaussian_filter(ndimage.distance_transform_edt(foreground), 1)
    peaks = (ndimage.maximum_filter(distance, size=9) == distance) & foreground
    markers, count = ndimage.label(peaks)
    regions = watershed(-distance, markers, mask=foreground)
    masks = [regions == label for label in range(1, count + 1)]
    return [mask for mask in masks if mask.sum() >= MIN_AREA]


def histogram_accuracy(train: Path, val: Path) -> float:
    """Top-1 accuracy of the nearest neighbour by colour histogram, images being in folders of their classes."""
    known, names = _histograms(train)
    asked, truth = _histograms(val)
    nearest = np.abs(asked[:, None] - known[None]).sum(axis=2).argmin(axis=1)
    return float(np.mean([names[index] == name for index, name in zip(nearest, truth, strict=True)]))


def _histograms(folder: Path) -> tuple[np.ndarray, list[str]]:
    """Shares of 8 x 8 x 8 colours, (images, 512), and the class of each image."""
    files = sorted(folder.glob("*/*.jpg"))
    counts = [cv2.calcHist([cv2.imread(str(file))], [0, 1, 2], None, [8] * 3, [0, 256] * 3).ravel() for file in files]
    return np.stack([count / count.sum() for count in counts]), [file.parent.name for file in files]
