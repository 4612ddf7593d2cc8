"""How well SimMIM predicts the masked pixels of held-out images, beside what needs no learning."""

from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.runner import Runner, load_checkpoint

from mmswinv2 import SimMIM
from mmswinv2.registry import MODELS


def load_simmim(cfg: Config, checkpoint: Path) -> SimMIM:
    """The trained model, for evaluation."""
    model = MODELS.build(cfg.model).eval()
    load_checkpoint(model, str(checkpoint), map_location="cpu")
    return model


@torch.no_grad()
def held_out_losses(config: Path, checkpoint: Path) -> dict[str, float]:
    """Mean absolute error of normalised pixels behind the masks of the validation images.

    Returns:
        ``SimMIM``, and ``best constant``: the median of each channel, taken of the very pixels that are predicted.
    """
    cfg = Config.fromfile(config)
    model = load_simmim(cfg, checkpoint)
    errors, targets = [], []
    for batch in Runner.build_dataloader(cfg.val_dataloader):
        inputs, mask = batch["inputs"], batch["mask"]
        hidden = mask.repeat_interleave(model.patch_size, 1).repeat_interleave(model.patch_size, 2)  # (B, H, W)
        wanted = model.targets(inputs).movedim(1, -1)[hidden]  # (pixels, 3)
        errors.append((model(inputs, mask).movedim(1, -1)[hidden] - wanted).abs())
        targets.append(wanted)
    wanted = torch.cat(targets)
    constant = wanted.median(dim=0).values
    return {"SimMIM": torch.cat(errors).mean().item(), "best constant": (wanted - constant).abs().mean().item()}
