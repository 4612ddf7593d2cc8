"""SimMIM: what is masked is not seen, what is visible carries no loss, and the weights go on to other models."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import save_checkpoint
from torch import Tensor
from torch.nn import functional as F

from mmswinv2 import ImageClassifier, LayerDecayOptimWrapperConstructor, SimMIM
from mmswinv2.errors import CheckpointError

from .. import reference
from ..support import ROOT

ARCH = dict(embed_dims=16, depths=[2, 2], num_heads=[1, 2])
FOUR_STAGES = dict(embed_dims=24, depths=(1, 1, 1, 1), num_heads=(1, 1, 2, 2))  # that of the tiny Mask R-CNN


def simmim(arch: dict = ARCH, target_window: int | None = 7, **backbone: object) -> SimMIM:
    """A model all of whose weights matter."""
    backbone = {"window_size": 4, "out_indices": (len(arch["depths"]) - 1,), "drop_path_rate": 0.0, **backbone}
    config = dict(type="mmswinv2.SimMIM", backbone=dict(type="mmswinv2.SwinTransformerV2", arch=arch, **backbone))
    model = reference.randomize_(MODELS.build({**config, "target_window": target_window}))
    assert model.mask_token.abs().min() > 0
    return model


def batch(height: int = 32, width: int = 48, patch_size: int = 4, mask_patch: int = 8) -> tuple[Tensor, Tensor]:
    """Two images, and masks of half of their patches, as the pipeline makes them."""
    places = torch.stack([torch.randperm(height * width // mask_patch**2) for _ in range(2)])
    mask = (places < places.size(1) // 2).view(2, height // mask_patch, width // mask_patch)
    times = mask_patch // patch_size
    return torch.randn(2, 3, height, width), mask.repeat_interleave(times, 1).repeat_interleave(times, 2)


def pixels(mask: Tensor, patch_size: int = 4) -> Tensor:
    """The mask by pixel, (B, 1, H, W)."""
    return F.interpolate(mask[:, None].float(), scale_factor=patch_size).bool()


def test_every_parameter_gets_a_gradient() -> None:
    """The mask token included; distributed training waits for one that gets none."""
    model = simmim()
    inputs, mask = batch()
    model(inputs, mask, mode="loss")["loss"].backward()
    assert [name for name, parameter in model.named_parameters() if not parameter.grad.abs().sum() > 0] == []


def test_masked_pixels_are_not_seen() -> None:
    """The prediction of masked patches does not depend on their pixels, but does on the visible ones."""
    model = simmim().eval()
    inputs, mask = batch()
    hidden = torch.where(pixels(mask), torch.randn_like(inputs), inputs)
    assert torch.equal(model(inputs, mask), model(hidden, mask))
    shown = torch.where(pixels(mask), inputs, torch.randn_like(inputs))
    assert not torch.allclose(model(inputs, mask), model(shown, mask))


def test_visible_pixels_carry_no_loss() -> None:
    model = simmim()
    inputs, mask = batch()
    prediction = model(inputs, mask).detach().requires_grad_()
    error, count = model.masked_error(prediction, inputs, mask)
    error.sum().backward()
    masked = pixels(mask).expand_as(prediction)
    assert (prediction.grad[~masked] == 0).all() and (prediction.grad[masked] != 0).all()
    assert count.tolist() == [32 * 48 / 2] * 2
    changed = torch.where(masked, prediction, torch.randn_like(prediction))
    assert torch.equal(model.masked_error(changed, inputs, mask)[0], error)


@pytest.mark.parametrize("target_window", [None, 7])
def test_loss_is_the_mean_over_masked_pixels_and_channels(target_window: int | None) -> None:
    """As in the official code; for the batch when training, by image when predicting."""
    model = simmim(target_window=target_window).eval()
    inputs, mask = batch()
    masked = pixels(mask).expand_as(inputs)
    error = (model(inputs, mask) - model.targets(inputs)).abs()
    assert target_window or torch.equal(model.targets(inputs), inputs)
    torch.testing.assert_close(model(inputs, mask, mode="loss")["loss"], error[masked].mean())
    by_image = [sample["loss"] for sample in model(inputs, mask, mode="predict")]
    assert by_image == pytest.approx([error[image][masked[image]].mean().item() for image in range(2)], rel=1e-5)


def test_nothing_masked_is_no_loss() -> None:
    inputs, mask = batch()
    assert simmim()(inputs, torch.zeros_like(mask), mode="loss")["loss"] == 0


def test_parameters_keep_their_names() -> None:
    """Users' checkpoints and the loader depend on them."""
    names = {name.split(".")[0] for name in simmim().state_dict()}
    assert names == {"backbone", "mask_token", "head"}
    assert set(simmim().head.state_dict()) == {"0.weight", "0.bias"}


@pytest.mark.parametrize(
    ("stages", "embed_dims", "patch_size", "window", "size"),
    [(2, 8, 4, 3, (40, 24)), (3, 24, 4, (2, 5), (48, 80)), (4, 16, 4, (8, 8, 4, 2), (64, 96)), (3, 12, 2, 7, (24, 40))],
)
def test_any_width_window_and_image_work(
    stages: int, embed_dims: int, patch_size: int, window: object, size: tuple[int, int]
) -> None:
    arch = dict(embed_dims=embed_dims, depths=[1] * stages, num_heads=[1] * stages)
    model = simmim(arch, window_size=window, patch_size=patch_size)
    stride = patch_size * 2 ** (stages - 1)
    inputs, mask = batch(*size, patch_size=patch_size, mask_patch=stride)
    assert model(inputs, mask).shape == inputs.shape
    assert model(inputs, mask, mode="loss")["loss"].isfinite()


def test_checkpointing_changes_nothing() -> None:
    """Drop path included: the block that is computed again drops the same paths."""
    gradients = []
    inputs, mask = batch()
    plain = simmim(drop_path_rate=0.5)
    for with_cp in (False, True):
        model = simmim(drop_path_rate=0.5, with_cp=with_cp)
        model.load_state_dict(plain.state_dict())
        torch.manual_seed(1)
        model(inputs, mask, mode="loss")["loss"].backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
    torch.testing.assert_close(*gradients)


def test_autocast_is_close_and_targets_stay_exact() -> None:
    model = simmim().eval()
    inputs, mask = batch()
    exact, targets = model(inputs, mask, mode="loss")["loss"], model.targets(inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model(inputs, mask, mode="loss")["loss"]
        assert torch.equal(model.targets(inputs), targets)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, exact, rtol=0.02, atol=0)
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_shapes_that_do_not_fit_are_named() -> None:
    model = simmim()
    inputs, mask = batch()
    with pytest.raises(ValueError, match=r"multiples of the last stage's stride, 8 px, got 32 x 44"):
        model(inputs[..., :44], mask)
    with pytest.raises(ValueError, match=r"shape \(2, 8, 12\).*got \(2, 4, 6\)"):
        model(inputs, mask[:, ::2, ::2])


@pytest.mark.parametrize("target_window", [46, 1, -1])
def test_other_target_windows_are_refused(target_window: int) -> None:
    with pytest.raises(ValueError, match="target_window must be an odd number of pixels, at least 3"):
        simmim(target_window=target_window)


def test_other_outputs_are_refused() -> None:
    with pytest.raises(ValueError, match=r"set backbone\.out_indices=\(1,\), got \(0, 1\)"):
        simmim(out_indices=(0, 1))


def test_layer_decay_puts_the_mask_token_at_the_input() -> None:
    """As the official groups: mask token layer 0 without decay, the head the last layer."""
    model = simmim()
    constructor = LayerDecayOptimWrapperConstructor(
        dict(optimizer=dict(type="AdamW", lr=1.0, weight_decay=0.1)), dict(decay_rate=0.5)
    )
    groups = constructor.param_groups(model)
    by_name = {
        name: next(group for group in groups if any(parameter is member for member in group["params"]))
        for name, parameter in model.named_parameters()
    }
    last = sum(ARCH["depths"]) + 1
    assert by_name["mask_token"]["lr"] == by_name["backbone.patch_embed.proj.weight"]["lr"] == 0.5**last
    assert by_name["mask_token"]["weight_decay"] == 0 < by_name["backbone.patch_embed.proj.weight"]["weight_decay"]
    assert by_name["head.0.weight"]["lr"] == by_name["backbone.norm1.weight"]["lr"] == 1
    assert by_name["head.0.weight"]["weight_decay"] == 0.1 and by_name["head.0.bias"]["weight_decay"] == 0


def pretrained(model: SimMIM | ImageClassifier, folder: Path) -> str:
    """The file of a run's model."""
    file = folder / "iter_2.pth"
    save_checkpoint({"meta": {}, "state_dict": model.state_dict()}, str(file))
    return str(file)


@pytest.mark.parametrize("kind", ["simmim", "classifier"])
def test_weights_go_into_a_detector_at_another_window(kind: str, tmp_path: Path) -> None:
    """init_cfg alone: the window of pretraining comes with the file, mask token and head stay behind."""
    model = simmim(FOUR_STAGES, window_size=(6, 6, 6, 3))
    if kind == "classifier":
        backbone = dict(type="mmswinv2.SwinTransformerV2", arch=FOUR_STAGES, window_size=(6, 6, 6, 3), out_indices=(3,))
        model = reference.randomize_(ImageClassifier(backbone, num_classes=3))
    config = Config.fromfile(ROOT / "tests/cli/tiny_mask_rcnn.py")
    config.model.backbone.update(
        window_size=12, init_cfg=dict(type="Pretrained", checkpoint=pretrained(model, tmp_path))
    )
    with DefaultScope.overwrite_default_scope("mmdet"):
        detector = MODELS.build(config.model)
    detector.init_weights()
    assert detector.backbone.window_sizes == ((12, 12),) * 4
    assert detector.backbone.pretrained_window_sizes.tolist() == [[6, 6]] * 3 + [[3, 3]]
    loaded, source = detector.backbone.state_dict(), model.backbone.state_dict()
    assert set(loaded) - set(source) == {f"norm{level}.{name}" for level in range(3) for name in ("weight", "bias")}
    assert all(torch.equal(loaded[name], tensor) for name, tensor in source.items())


def test_weights_go_into_a_classifier_and_a_contradicting_window_is_refused(tmp_path: Path) -> None:
    file = pretrained(simmim(window_size=(6, 3)), tmp_path)
    backbone = dict(type="mmswinv2.SwinTransformerV2", arch=ARCH, out_indices=(1,))
    init_cfg = dict(type="Pretrained", checkpoint=file)
    classifier = ImageClassifier(dict(**backbone, window_size=7, init_cfg=init_cfg), num_classes=3)
    classifier.init_weights()
    assert classifier.backbone.pretrained_window_sizes.tolist() == [[6, 3]] * 2
    wrong = ImageClassifier(dict(**backbone, pretrained_window_sizes=8, init_cfg=init_cfg), num_classes=3)
    with pytest.raises(CheckpointError, match="contradicts"):
        wrong.init_weights()
