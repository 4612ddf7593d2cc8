"""A handful of the demo's images as a data set of its own, to be trained on and broken at will."""

import json
import shutil
from pathlib import Path

from .support import ROOT

NUCLEI = ROOT / "demo/nuclei"
TRAIN, VAL = 6, 2


def write_tiny_nuclei(root: Path) -> Path:
    """Writes images, label maps and COCO files of 6 + 2 images below ``root``, laid out as ``demo/nuclei``."""
    for split, count in (("train", TRAIN), ("val", VAL)):
        coco = json.loads((NUCLEI / f"annotations/instances_{split}.json").read_text())
        coco["images"] = coco["images"][:count]
        ids = {image["id"] for image in coco["images"]}
        coco["annotations"] = [one for one in coco["annotations"] if one["image_id"] in ids]
        (root / "annotations").mkdir(parents=True, exist_ok=True)
        (root / f"annotations/instances_{split}.json").write_text(json.dumps(coco))
        for image in coco["images"]:
            label_map = Path(image["file_name"]).with_suffix(".png")
            for name in (Path(split, image["file_name"]), Path("semantic", split, label_map)):
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(NUCLEI / name, root / name)
    return root
