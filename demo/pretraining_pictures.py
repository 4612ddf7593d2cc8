"""Pictures of SimMIM: what it reconstructs."""

from pathlib import Path

import matplotlib
import numpy as np
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from reconstruction import load_simmim
from torch import Tensor

matplotlib.use("Agg")
from matplotlib import pyplot as plt

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)  # ImageNet's, with which images are normalised
STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
CAPTION = "Validation images, what SimMIM saw of them, and its reconstruction of the hidden squares."


def draw_reconstructions(config: Path, checkpoint: Path, output: Path, columns: int = 8) -> None:
    """Original, masked and reconstructed validation images, evenly spread over the data set.

    The model predicts pixels as they are: its ``target_window`` is None.
    """
    cfg = Config.fromfile(config)
    model = load_simmim(cfg, checkpoint)
    dataset = Runner.build_dataloader(cfg.val_dataloader).dataset
    torch.manual_seed(0)
    samples = [dataset[index] for index in np.linspace(0, len(dataset) - 1, columns).astype(int)]
    images, masks = (torch.stack([sample[key] for sample in samples]) for key in ("inputs", "mask"))
    with torch.no_grad():
        prediction = model(images, masks)
    hidden = torch.nn.functional.interpolate(masks.unsqueeze(1).float(), size=images.shape[2:])  # (B, 1, H, W)
    rows = {
        "original": images,
        "masked": images * (1 - hidden),
        "reconstructed": torch.where(hidden.bool(), prediction, images),
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
