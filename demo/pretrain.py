"""The demonstration of pretraining: what SimMIM reconstructs, and how many labels its weights save.

It is the study of labels (``tools/analysis/labels.py``) in small: a SimMIM of all images at hand, then classifiers of
the repository's flowers from its weights and from scratch, with part of the labels and with all of them, three seeds
each. A linear probe trains the last layer alone, so it tells what the weights know.

Interrupted, it goes on where it stopped. Results are in ``work_dirs/demo_pretraining``.
"""

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from baselines import histogram_accuracy
from pretraining_pictures import draw_reconstructions
from reconstruction import held_out_losses
from steps import ROOT

from mmswinv2.analysis.claims.labels import Plan, pretraining_of, score
from mmswinv2.analysis.claims.labels.report import draw, score_table
from mmswinv2.analysis.claims.labels.tasks import FLOWERS, PHOTO_PRETRAINING, PROBE, train_on_flowers
from mmswinv2.analysis.report import write_report
from mmswinv2.analysis.study import Measurement, Options, Study, Trained
from mmswinv2.analysis.study_cli import data_root
from mmswinv2.analysis.subsets import folder_classes, write_list

DEMO = ROOT / "demo"
SEEDS = range(3)
SHARES = (10, 100)  # percent of the labels
# Which the study chose, with 10 % of the labels
RATES = {
    (FLOWERS.name, "scratch"): 5e-4,
    (FLOWERS.name, "SimMIM"): 5e-4,
    (PROBE.name, "scratch"): 3.2e-2,
    (PROBE.name, "SimMIM"): 3.2e-2,
}
ITERATIONS = 4000  # of SimMIM; the study has 12000
# Further images to pretrain on, below MMSWINV2_DATA; nothing here is tested on them.
MORE_IMAGES = ("flowers5/train", "facade_instances/train", "camvid", "coco_mini", "coco_semantic")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work-dir", type=Path, default=ROOT / "work_dirs/demo_pretraining")
    folder = parser.parse_args().work_dir.resolve()
    os.chdir(ROOT)  # configs name the images from there
    rates = {f"learning rate, {task}, {start}": rate for (task, start), rate in RATES.items()}
    study = Study(folder, {"iterations of SimMIM": ITERATIONS, **rates})
    plan = make_plan()
    simmim = Measurement("SimMIM", pretraining_of(plan.tasks[0], plan, folder / "lists"), reconstruct)
    losses = study.run([simmim])[simmim.name]
    scores = score(study, plan, SEEDS, RATES, SHARES)
    write_report(folder, [score_table(scores)], draw(scores, {}))
    by_colour = histogram_accuracy(DEMO / "flowers/train", DEMO / "flowers/val")
    print(f"nearest neighbour by colour histogram, with all labels: {by_colour:.3f}")
    print("loss on held-out images:", ", ".join(f"{name} {loss:.3f}" for name, loss in losses.items()))
    print(f"pictures: {folder / 'reconstructions.png'}")


def make_plan() -> Plan:
    """The study's flowers, of which the repository has 400 for training, and its SimMIM, a third as long."""
    shipped = {
        "pretraining": replace(PHOTO_PRETRAINING, list_images=list_images),
        "classes": lambda: folder_classes(DEMO / "flowers/train"),
        "train_on": train_on,
    }
    tasks = tuple(replace(task, **shipped) for task in (FLOWERS, PROBE))
    shorter = (
        ("train_cfg.max_iters", ITERATIONS),
        ("train_cfg.val_interval", ITERATIONS),
        ("param_scheduler.1.end", ITERATIONS),
    )
    return Plan(tasks, SHARES, percents=(), widths=(), pretraining=shorter)


def train_on(start: Path, names: Sequence[str]) -> Options:
    """Settings of a classifier's training on these photographs of the repository."""
    roots = tuple((f"{loader}_dataloader.dataset.data_root", "demo/flowers") for loader in ("train", "val", "test"))
    return *train_on_flowers(start, names), *roots


def list_images(files: Path) -> Options:
    """Writes the list of all images for SimMIM; those for validation are the config's."""
    return (("train_dataloader.dataset.ann_file", write_list(files / "images.txt", training_images())),)


def training_images() -> list[str]:
    """The shipped images for training, as paths below the demo's folder, and all others that are at hand.

    A photograph that several sets have, under the same name, comes once.
    """
    shipped = (DEMO / "pretraining_train.txt").read_text().splitlines()
    images = {Path(name).name: name for name in shipped}
    for file in (file for name in MORE_IMAGES for file in sorted((data_root() / name).rglob("*.jpg"))):
        images.setdefault(file.name, str(file.resolve()))
    return list(images.values())


def reconstruct(trained: Trained) -> dict[str, float]:
    """Draws what SimMIM makes of images that it has not seen; returns its loss on all of these."""
    assert trained.checkpoint is not None  # it does not diverge
    draw_reconstructions(trained.config, trained.checkpoint, trained.folder.parents[1] / "reconstructions.png")
    return held_out_losses(trained.config, trained.checkpoint)


if __name__ == "__main__":
    main()
