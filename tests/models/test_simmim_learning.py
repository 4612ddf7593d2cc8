"""SimMIM learns of real images what lies behind a mask: held-out ones tell, against what needs no learning."""

from functools import cache

import pytest
import torch
from torch import Tensor
from torch.optim.lr_scheduler import OneCycleLR

from mmswinv2 import LayerDecayOptimWrapperConstructor, SimMIM
from mmswinv2.datasets import ImageDataset, LoadImage, RandomPatchMask, TimmTransform

from ..support import ROOT

FLOWERS = ROOT / "demo/flowers"
SIDE, MASK_PATCH, PATCH, BATCH = 64, 8, 4, 16
BACKBONE = dict(
    type="mmswinv2.SwinTransformerV2",
    arch=dict(embed_dims=32, depths=(1, 2), num_heads=(2, 4)),
    window_size=8,
    out_indices=(1,),
    drop_path_rate=0.0,
)
# The gains of the post-norms start at zero, and only attention carries anything into a masked patch.
OPTIM_WRAPPER = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=5e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=5.0),
)
PARAMWISE_CFG = dict(custom_keys={".norm1.": dict(lr_mult=10), ".norm2.": dict(lr_mult=10)})


@cache
def images(split: str) -> Tensor:
    """The flowers, normalised, (N, 3, 64, 64)."""
    resize = TimmTransform(input_size=SIDE, crop_pct=1.0, interpolation="bicubic")
    dataset = ImageDataset(data_root=str(FLOWERS), data_prefix=dict(img_path=split), pipeline=[LoadImage(), resize])
    return torch.stack([dataset[index]["inputs"] for index in range(len(dataset))])


def masks(count: int) -> Tensor:
    """(N, 16, 16)."""
    draw = RandomPatchMask(input_size=SIDE, mask_patch_size=MASK_PATCH, patch_size=PATCH, mask_ratio=0.6)
    return torch.stack([torch.as_tensor(draw({})["mask"]) for _ in range(count)])


def trained(target_window: int | None, steps: int) -> SimMIM:
    """A small model after a few seconds of training."""
    torch.manual_seed(0)
    model = SimMIM(BACKBONE, target_window=target_window)
    wrapper = LayerDecayOptimWrapperConstructor(OPTIM_WRAPPER, PARAMWISE_CFG)(model)
    rates = [group["lr"] for group in wrapper.optimizer.param_groups]
    schedule = OneCycleLR(wrapper.optimizer, rates, total_steps=steps, pct_start=0.1, cycle_momentum=False)
    for _ in range(steps):
        inputs = images("train")[torch.randint(len(images("train")), (BATCH,))]
        wrapper.update_params(model(inputs, masks(BATCH), mode="loss")["loss"])
        schedule.step()
    return model.eval()


@torch.no_grad()
def held_out(model: SimMIM) -> tuple[float, Tensor, Tensor]:
    """The loss on held-out images, these images, and which of their pixels are masked, both (N, 3, 64, 64)."""
    inputs, mask = images("val"), masks(len(images("val")))
    hidden = mask.repeat_interleave(PATCH, 1).repeat_interleave(PATCH, 2).unsqueeze(1).expand_as(inputs)
    return model(inputs, mask, mode="loss")["loss"].item(), inputs, hidden


@pytest.mark.full
def test_normalised_targets_are_learnt() -> None:
    """A tenth below the best constant of each channel, the median of the very pixels that are to be predicted."""
    model = trained(target_window=47, steps=200)
    loss, inputs, hidden = held_out(model)
    targets = model.targets(inputs)
    pixels = [targets[:, channel][hidden[:, channel]] for channel in range(3)]
    best_constant = torch.stack([(values - values.median()).abs().mean() for values in pixels]).mean().item()
    assert loss < 0.9 * best_constant


def test_raw_targets_are_learnt() -> None:
    """Below what the mean colour of an image's visible pixels gives."""
    loss, inputs, hidden = held_out(trained(target_window=None, steps=100))
    colour = inputs.where(~hidden, torch.nan).flatten(2).nanmean(2)[..., None, None]  # (N, 3, 1, 1)
    assert loss < (inputs - colour).abs()[hidden].mean().item()
