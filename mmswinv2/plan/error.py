"""How far a plan is from what a training really takes: both for some trainings on a CPU.

A plan for a GPU differs in three points, which are left out here: types under autocast are those of a GPU, attention
holds more logits at a time in its backward pass, and AdamW steps a group of parameters at once.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from mmengine.logging import MMLogger
from rich.console import Console

from ..benchmark.memory import ALLOCATOR, MIB
from .measure import training_of
from .measured import Case
from .precision import Precision
from .strategies import plan

TINY, SMALL = (f"configs/imagenet/swinv2-{size}-w8_8xb128-300e_in1k-256px.py" for size in "ts")
UPERNET = "configs/upernet/upernet_swinv2-t-w8_8xb2-160k_ade20k-512x512.py"
MASK_RCNN = "configs/mask_rcnn/mask-rcnn_swinv2-t-w8_fpn_1x_coco.py"
NUCLEI = "configs/demo/mask-rcnn_swinv2_nuclei.py"
WITH_CP, WINDOW = "model.backbone.with_cp", "model.backbone.window_size"
CASES = {
    "classifier T, w8": Case(TINY, {}, 8, (256, 256)),
    "the same, with_cp": Case(TINY, {WITH_CP: True}, 8, (256, 256)),
    "classifier T, w16": Case(TINY, {WINDOW: 16}, 2, (512, 512)),
    "classifier S, w8, with_cp=[0, 1, 9, 2]": Case(SMALL, {WITH_CP: [0, 1, 9, 2]}, 4, (256, 256)),
    "SimMIM demo, real images": Case("configs/demo/simmim_swinv2_photos.py", {}, 16, (128, 128), real=True),
    "UPerNet demo, real images": Case("configs/demo/upernet_swinv2_nuclei.py", {}, 4, (192, 192), real=True),
    "Mask R-CNN demo": Case(NUCLEI, {}, 2, (256, 256)),
    "Mask R-CNN demo, real images": Case(NUCLEI, {}, 2, (256, 256), real=True),
    "UPerNet T, with_cp": Case(UPERNET, {WITH_CP: True}, 2, (256, 256)),
    "Mask R-CNN T": Case(MASK_RCNN, {}, 1, (224, 320)),
}


def main(names: Sequence[str]) -> None:
    """Prints a row of a Markdown table for each case, as it is done; without names for all."""
    MMLogger.get_current_instance().setLevel("ERROR")
    console = Console(markup=False, emoji=False, highlight=False, soft_wrap=True)
    console.print("| training | images | planned, MiB | measured, MiB | error |\n| --- | --- | --- | --- | --- |")
    for name in names or CASES:
        case = CASES[name]
        planned, taken = planned_bytes(case) / MIB, measured_bytes(case) / MIB
        images = f"{case.batch} of {case.size[0]} x {case.size[1]}"
        console.print(f"| {name} | {images} | {planned:.0f} | {taken:.0f} | {planned / taken - 1:+.1%} |")


def planned_bytes(case: Case) -> float:
    """What a plan says, without its allowance, which stands for what a GPU takes besides."""
    training = training_of(case.read(), case.batch, case.size, Precision(half=False, like_gpu=False))
    found = plan(training, "ddp", gpus=1)
    return found.total - found.allowance


def measured_bytes(case: Case) -> float:
    """What a training takes in a process of its own."""
    command = [sys.executable, "-m", f"{__package__}.measured", json.dumps(case)]
    root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, **ALLOCATOR, "PYTHONPATH": root, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])
