"""The demonstration of pretraining: SimMIM, then classification and Mask R-CNN from its weights and from scratch.

Everything goes through ``tools/train.py`` and ``tools/test.py``, as with any other config. Interrupted, it goes on
where it stopped. Results are in ``work_dirs/demo_pretraining``.
"""

import argparse
import csv
import json
import os
import time
from pathlib import Path

from baselines import histogram_accuracy
from mmengine.config import Config
from pretraining_pictures import draw_losses, draw_reconstructions
from reconstruction import held_out_losses
from rich.console import Console
from rich.table import Table
from scores import detection_scores
from steps import ROOT, run_tool

CONFIGS = ROOT / "configs/demo"
SIMMIM = CONFIGS / "simmim_swinv2_photos.py"
CLASSIFIER = CONFIGS / "classifier_swinv2_flowers.py"
MASK_RCNN = CONFIGS / "mask-rcnn_swinv2-w16_nuclei.py"
DEMO = ROOT / "demo"
FLOWERS = DEMO / "flowers"
ANNOTATIONS = DEMO / "nuclei/annotations/instances_val.json"
COLUMNS = ("top-1", "box AP", "box AP50", "mask AP", "mask AP50")
# Further images to pretrain on, below MMSWINV2_DATA; nothing here is tested on them.
MORE_IMAGES = ("flowers5/train", "facade_instances/train", "camvid", "coco_mini", "coco_semantic")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work-dir", type=Path, default=ROOT / "work_dirs/demo_pretraining")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    simmim = pretrain(args.work_dir / "simmim", args.seed)
    init_cfg = "model.backbone.init_cfg"
    from_simmim = (f"{init_cfg}.type=Pretrained", f"{init_cfg}.checkpoint={simmim}")
    results = {"colour histogram, nearest neighbour": {"top-1": histogram_accuracy(FLOWERS / "train", FLOWERS / "val")}}
    for name, options in (("scratch", ()), ("simmim", from_simmim)):
        results[f"from {name}"] = {
            **classify(args.work_dir / f"flowers_{name}", args.seed, options),
            **detect(args.work_dir / f"nuclei_{name}", args.seed, options),
        }
    losses = held_out_losses(SIMMIM, simmim)
    (args.work_dir / "results.json").write_text(json.dumps({"held-out loss": losses, **results}, indent=2))
    draw_reconstructions(SIMMIM, simmim, args.work_dir / "reconstructions.png")
    draw_losses(args.work_dir, args.work_dir / "losses.png")
    print_table(results, losses, args.work_dir)


def pretrain(work_dir: Path, seed: int) -> Path:
    """SimMIM on all images at hand; returns the checkpoint."""
    work_dir.mkdir(parents=True, exist_ok=True)
    images = work_dir / "images.txt"
    if not images.exists():  # a resumed run needs the same list
        images.write_text("".join(f"{path}\n" for path in training_images()))
    print(f"== SimMIM on {len(images.read_text().splitlines())} images")
    return train(SIMMIM, work_dir, seed, (f"train_dataloader.dataset.ann_file={images}",))


def training_images() -> list[str]:
    """The shipped images for training, as paths below the demo's folder, and all others that are at hand."""
    shipped = (DEMO / "pretraining_train.txt").read_text().splitlines()
    root = Path(os.environ.get("MMSWINV2_DATA", ROOT.parent / "shared/data"))
    return shipped + [str(file.resolve()) for name in MORE_IMAGES for file in sorted((root / name).rglob("*.jpg"))]


def classify(work_dir: Path, seed: int, options: tuple[str, ...]) -> dict[str, float]:
    """Trains the classifier; returns its accuracy on the validation images."""
    checkpoint = train(CLASSIFIER, work_dir, seed, options)
    table = work_dir / "predictions.csv"
    run_tool("test.py", CLASSIFIER, checkpoint, "--work-dir", work_dir / "test", "--out", table)
    with open(table) as file:
        rows = list(csv.DictReader(file))
    return {"top-1": sum(row["label"] == row["predicted"] for row in rows) / len(rows)}


def detect(work_dir: Path, seed: int, options: tuple[str, ...]) -> dict[str, float]:
    """Trains Mask R-CNN; returns its scores on the validation images."""
    checkpoint = train(MASK_RCNN, work_dir, seed, options)
    prefix = work_dir / "test/val"
    option = f"test_evaluator.outfile_prefix={prefix}"
    run_tool("test.py", MASK_RCNN, checkpoint, "--work-dir", work_dir / "test", "--cfg-options", option)
    return detection_scores(ANNOTATIONS, prefix)["all"]


def train(config: Path, work_dir: Path, seed: int, options: tuple[str, ...]) -> Path:
    """Trains, or goes on where an interrupted training stopped; returns the last checkpoint."""
    iterations = Config.fromfile(config).train_cfg.max_iters
    checkpoint = work_dir / f"iter_{iterations}.pth"
    if not checkpoint.exists():
        start = time.time()
        settings = (f"randomness.seed={seed}", *options)
        run_tool("train.py", config, "--work-dir", work_dir, "--resume", "--cfg-options", *settings)
        print(f"== {work_dir.name}: trained in {(time.time() - start) / 60:.1f} min")
    return checkpoint


def print_table(results: dict[str, dict[str, float]], losses: dict[str, float], work_dir: Path) -> None:
    """One table of all scores on the validation images, and how well SimMIM predicts what it does not see."""
    table = Table("", *COLUMNS, title="flowers (top-1) and nuclei (AP), validation images")
    for method, scores in results.items():
        table.add_row(method, *(f"{scores[column]:.3f}" if column in scores else "" for column in COLUMNS))
    Console(width=110).print(table)
    print("loss on held-out images:", ", ".join(f"{name} {loss:.3f}" for name, loss in losses.items()))
    print(f"pictures: {work_dir / 'reconstructions.png'}, {work_dir / 'losses.png'}")
    print(f"scores:   {work_dir / 'results.json'}")


if __name__ == "__main__":
    main()
