"""Pictures of SimMIM: what it reconstructs, and how the losses fell."""

import json
from pathlib import Path

import matplotlib
import numpy as np
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from reconstruction import load_simmim
from torch import Tensor

from mmswinv2.models.simmim import local_statistics

matplotlib.use("Agg")
from matplotlib import pyplot as plt

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)  # ImageNet's, with which images are normalised
STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
CAPTION = (
    "Validation images, what SimMIM saw of them, and its reconstruction of the hidden squares. It predicts pixels "
    "normalised over 47 x 47 neighbours; to draw them, the true mean and deviation of each neighbourhood were put back."
)


def draw_reconstructions(config: Path, checkpoint: Path, output: Path, columns: int = 8) -> None:
    """Original, masked and reconstructed validation images, evenly spread over the data set."""
    cfg = Config.fromfile(config)
    model = load_simmim(cfg, checkpoint)
    dataset = Runner.build_dataloader(cfg.val_dataloader).dataset
    torch.manual_seed(0)
    samples = [dataset[index] for index in np.linspace(0, len(dataset) - 1, columns).astype(int)]
    images, masks = (torch.stack([sample[key] for sample in samples]) for key in ("inputs", "mask"))
    with torch.no_grad():
        prediction = model(images, masks)
    mean, deviation = local_statistics(images, cfg.model.target_window)
    hidden = torch.nn.functional.interpolate(masks.unsqueeze(1).float(), size=images.shape[2:])  # (B, 1, H, W)
    rows = {
        "original": images,
        "masked": images * (1 - hidden),
        "reconstructed": torch.where(hidden.bool(), prediction * deviation + mean, images),
    }
    figure, axes = plt.subplots(len(rows), columns, figsize=(1.6 * columns, 5.4), layout="constrained")
    for (name, pictures), line in zip(rows.items(), axes, strict=True):
        for picture, ax in zip(pictures, line, strict=True):
            ax.imshow(to_rgb(picture))
            ax.set(xticks=[], yticks=[])
        line[0].set_ylabel(name)
    figure.supxlabel(CAPTION, fontsize=8, wrap=True)
    figure.savefig(output, dpi=110)
    plt.close(figure)


def to_rgb(image: Tensor) -> np.ndarray:
    """Normalised image (3, H, W) as (H, W, 3) in [0, 1]."""
    return (image * STD + MEAN).clamp(0, 1).permute(1, 2, 0).numpy()


def draw_losses(work_dir: Path, output: Path) -> None:
    """Training losses of all runs: SimMIM, and for each task from scratch and from SimMIM."""
    panels = {
        "SimMIM": ["simmim"],
        "flowers": ["flowers_scratch", "flowers_simmim"],
        "nuclei": ["nuclei_scratch", "nuclei_simmim"],
    }
    figure, axes = plt.subplots(1, len(panels), figsize=(13, 3.6), layout="constrained")
    for ax, (title, runs) in zip(axes, panels.items(), strict=True):
        for run in runs:
            ax.plot(*read_losses(work_dir / run), label=run.replace("_", " from "))
        ax.set(title=title, xlabel="iteration", ylabel="training loss")
        ax.legend()
    figure.savefig(output, dpi=110)
    plt.close(figure)


def read_losses(work_dir: Path) -> tuple[list[int], list[float]]:
    """Iterations and losses of a run, those of an interrupted one included."""
    losses = {}
    for file in sorted(work_dir.glob("*/vis_data/scalars.json")):
        for line in file.read_text().splitlines():
            entry = json.loads(line)
            if "loss" in entry and "iter" in entry:
                losses[entry["iter"]] = entry["loss"]
    return list(losses), list(losses.values())
