"""The demonstration: trains Mask R-CNN and UPerNet with small SwinV2s on nuclei, evaluates, draws.

Everything goes through ``tools/train.py`` and ``tools/test.py``, as with any other config. Interrupted,
it goes on where it stopped. Results are in ``work_dirs/demo``.
"""

import argparse
import json
import time
from pathlib import Path

import torch
from baselines import write_otsu_labels, write_watershed_results
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from pictures import draw_detections, draw_segmentations
from rich.console import Console
from rich.table import Table
from scores import Scores, detection_scores, segmentation_scores
from steps import ROOT, run_tool

DATA = ROOT / "demo/nuclei"
ANNOTATIONS = DATA / "annotations/instances_val.json"
LABEL_MAPS = DATA / "semantic/val"
LABEL_CLASSES = (DATA / "semantic/classes.txt").read_text().split()
DETECTION_CONFIG = ROOT / "configs/demo/mask-rcnn_swinv2_nuclei.py"
SEGMENTATION_CONFIG = ROOT / "configs/demo/upernet_swinv2_nuclei.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work-dir", type=Path, default=ROOT / "work_dirs/demo")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    results = {
        "detection": run_detection(args.work_dir / "mask_rcnn", args.seed),
        "segmentation": run_segmentation(args.work_dir / "upernet", args.seed),
    }
    (args.work_dir / "results.json").write_text(json.dumps(results, indent=2))
    print_table(results, args.work_dir)


def run_detection(work_dir: Path, seed: int) -> dict[str, Scores]:
    """Trains and tests Mask R-CNN; returns the scores of baseline, untrained and trained model."""
    untrained, trained = train(DETECTION_CONFIG, work_dir, seed)
    scores = {}
    baseline = work_dir / "baseline/val"
    write_watershed_results(ANNOTATIONS, DATA / "val", baseline)
    scores["Otsu + watershed"] = detection_scores(ANNOTATIONS, baseline)
    for name, checkpoint in (("untrained", untrained), ("trained", trained)):
        prefix = work_dir / name / "val"
        test(DETECTION_CONFIG, checkpoint, work_dir / name, f"test_evaluator.outfile_prefix={prefix}")
        scores[name] = detection_scores(ANNOTATIONS, prefix)
    draw_detections(ANNOTATIONS, DATA / "val", work_dir / "trained/val.segm.json", work_dir / "predictions.png")
    return scores


def run_segmentation(work_dir: Path, seed: int) -> dict[str, Scores]:
    """Trains and tests UPerNet; returns the scores of baseline, untrained and trained model."""
    untrained, trained = train(SEGMENTATION_CONFIG, work_dir, seed)
    scores = {}
    write_otsu_labels(DATA / "val", work_dir / "baseline")
    scores["Otsu, class by colour"] = segmentation_scores(LABEL_MAPS, work_dir / "baseline", LABEL_CLASSES)
    for name, checkpoint in (("untrained", untrained), ("trained", trained)):
        labels = work_dir / name / "labels"
        test(SEGMENTATION_CONFIG, checkpoint, work_dir / name, f"test_evaluator.output_dir={labels}")
        scores[name] = segmentation_scores(LABEL_MAPS, labels, LABEL_CLASSES)
    draw_segmentations(ANNOTATIONS, DATA / "val", LABEL_MAPS, work_dir / "trained/labels", work_dir / "predictions.png")
    return scores


def train(config: Path, work_dir: Path, seed: int) -> tuple[Path, Path]:
    """Trains, or goes on where an interrupted training stopped; returns the untrained and trained checkpoints."""
    iterations = Config.fromfile(config).train_cfg.max_iters
    trained = work_dir / f"iter_{iterations}.pth"
    if not trained.exists():
        start = time.time()
        options = [f"randomness.seed={seed}", f"train_cfg.val_begin={iterations + 1}"]  # tested below, once
        run_tool("train.py", config, "--work-dir", work_dir, "--resume", "--cfg-options", *options)
        print(f"== {work_dir.name}: trained in {(time.time() - start) / 60:.1f} min")
    untrained = work_dir / "untrained.pth"
    if not untrained.exists():
        save_untrained(config, seed, untrained)
    return untrained, trained


def save_untrained(config: Path, seed: int, checkpoint: Path) -> None:
    """Saves the model as it is before the first step, for the table."""
    cfg = Config.fromfile(config)
    torch.manual_seed(seed)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    model.init_weights()
    torch.save({"state_dict": model.state_dict(), "meta": {}}, checkpoint)


def test(config: Path, checkpoint: Path, work_dir: Path, option: str) -> None:
    run_tool("test.py", config, checkpoint, "--work-dir", work_dir, "--cfg-options", option)


def print_table(results: dict[str, dict[str, Scores]], work_dir: Path) -> None:
    """One table of all scores on the validation images."""
    columns = ("box AP", "box AP50", "mask AP", "mask AP50", "IoU")
    table = Table("method", "class", *columns, title="nuclei, validation images")
    for methods in results.values():
        for method, scores in methods.items():
            for name, values in scores.items():
                cells = (f"{values[column]:.3f}" if column in values else "" for column in columns)
                table.add_row(method, name, *cells)
            table.add_section()
    Console(width=110).print(table)
    print(f"pictures: {work_dir / 'mask_rcnn/predictions.png'}, {work_dir / 'upernet/predictions.png'}")
    print(f"scores:   {work_dir / 'results.json'}")


if __name__ == "__main__":
    main()
