"""The classifier: its losses, its predictions, its groups of parameters, and that it learns."""

import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS
from PIL import Image
from torch import Tensor

from mmswinv2 import ImageClassifier, LayerDecayOptimWrapperConstructor
from mmswinv2.errors import DataError

from .. import reference
from ..support import ROOT

ARCH = dict(embed_dims=16, depths=[1, 1], num_heads=[1, 2])
CLASSES = 4


def classifier(num_classes: int = CLASSES, label_smoothing: float = 0.0, **backbone: object) -> ImageClassifier:
    backbone = {"arch": ARCH, "window_size": 4, "out_indices": (1,), "drop_path_rate": 0.0, **backbone}
    return MODELS.build(
        dict(
            type="mmswinv2.ImageClassifier",
            backbone=dict(type="mmswinv2.SwinTransformerV2", **backbone),
            num_classes=num_classes,
            label_smoothing=label_smoothing,
        )
    )


def real_images() -> Tensor:
    """32 different crops of the shipped photographs, normalised, (32, 3, 32, 32)."""
    files = sorted((ROOT / "tests/data/coco/train2017").glob("*.jpg"))
    photographs = [np.asarray(Image.open(file).convert("RGB").resize((192, 192))) for file in files]
    crops = [image[y : y + 32, x : x + 32] for image in photographs for y in (0, 64, 128) for x in (0, 96)]
    images = torch.from_numpy(np.stack(crops[:32])).permute(0, 3, 1, 2).float()
    return (images - images.mean()) / images.std()


def test_logits_are_of_the_mean_of_the_last_map() -> None:
    model = reference.randomize_(classifier()).eval()
    inputs = torch.randn(2, 3, 40, 56)
    (features,) = model.backbone(inputs)
    expected = torch.einsum("bchw->bc", features) / features[0, 0].numel() @ model.head.weight.T + model.head.bias
    torch.testing.assert_close(model(inputs), expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_hard_labels_are_smoothed(smoothing: float) -> None:
    """As timm's LabelSmoothingCrossEntropy, which the official recipe uses."""
    model = reference.randomize_(classifier(label_smoothing=smoothing)).eval()
    inputs, label = torch.randn(3, 3, 32, 32), torch.tensor([0, 3, 1])
    log_shares = model(inputs).log_softmax(dim=1)
    expected = -(1 - smoothing) * log_shares[range(3), label] - smoothing * log_shares.mean(dim=1)
    torch.testing.assert_close(model(inputs, label, mode="loss")["loss"], expected.mean())


def test_soft_labels_are_taken_as_they_are() -> None:
    """Mixup has smoothed them already: label_smoothing must not do it again."""
    model = reference.randomize_(classifier(label_smoothing=0.3)).eval()
    inputs, label = torch.randn(3, 3, 32, 32), torch.rand(3, CLASSES).softmax(dim=1)
    expected = -(label * model(inputs).log_softmax(dim=1)).sum(dim=1).mean()
    torch.testing.assert_close(model(inputs, label, mode="loss")["loss"], expected)


def test_training_without_labels() -> None:
    with pytest.raises(DataError, match=r"the batch has none: set with_label=True"):
        classifier()(torch.randn(2, 3, 32, 32), mode="loss")


def test_predictions_hold_the_likeliest_class_and_all_scores() -> None:
    model = reference.randomize_(classifier()).eval()
    inputs, label = torch.randn(3, 3, 32, 32), torch.tensor([0, 3, 1])
    scores = model(inputs).softmax(dim=1)
    predictions = model(inputs, label, mode="predict", img_path=["a", "b", "c"])
    for index, sample in enumerate(predictions):
        assert sample["img_path"] == "abc"[index] and sample["gt_label"] == label[index]
        assert sample["pred_label"] == scores[index].argmax()
        torch.testing.assert_close(sample["pred_score"], scores[index])
        assert sample["pred_score"].untyped_storage().nbytes() == CLASSES * 4  # not the batch's
    assert set(model(inputs, mode="predict")[0]) == {"pred_score", "pred_label"}


def test_overfits_32_real_images() -> None:
    """Labels without a rule: only a network whose every part learns can keep them."""
    images, label = real_images(), torch.arange(32) % CLASSES
    model = classifier()
    wrapper = OptimWrapper(torch.optim.AdamW(model.parameters(), lr=3e-3))
    for _ in range(120):
        model.train_step({"inputs": images, "label": label}, wrapper)
    predictions = model.eval().val_step({"inputs": images, "label": label})
    assert len(predictions) == len({image.sum().item() for image in images}) == 32
    assert all(sample["pred_label"] == sample["gt_label"] for sample in predictions)


@pytest.mark.parametrize("size", [(33, 47), (5, 64), (1, 1)])
def test_images_that_the_stride_does_not_divide_can_be_trained_on(size: tuple[int, int]) -> None:
    model = reference.randomize_(classifier())
    loss = model(torch.randn(2, 3, *size), torch.tensor([0, 1]), mode="loss")["loss"]
    loss.backward()
    assert loss.isfinite() and all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_checkpointing_and_autocast_are_close() -> None:
    inputs, label = torch.randn(2, 3, 48, 32), torch.tensor([0, 1])
    plain = reference.randomize_(classifier(drop_path_rate=0.5))
    losses = []
    for with_cp, autocast in ((False, False), (True, False), (True, True)):
        model = classifier(drop_path_rate=0.5, with_cp=with_cp)
        model.load_state_dict(plain.state_dict())
        torch.manual_seed(1)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            losses.append(model(inputs, label, mode="loss")["loss"])
        losses[-1].backward()
        assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    assert losses[0] == losses[1] and losses[2].dtype == torch.float32
    torch.testing.assert_close(losses[2], losses[0], rtol=0.05, atol=0.02)


def test_head_is_the_last_layer() -> None:
    """As the official groups of fine-tuning: the whole learning rate, decay of the weight alone."""
    model = classifier()
    constructor = LayerDecayOptimWrapperConstructor(
        dict(optimizer=dict(type="AdamW", lr=1.0, weight_decay=0.1)), dict(decay_rate=0.5)
    )
    groups = constructor.param_groups(model)
    found = {
        name: (group["lr"], group["weight_decay"])
        for name, parameter in model.named_parameters()
        for group in groups
        if any(parameter is member for member in group["params"])
    }
    assert found["head.weight"] == (1, 0.1) and found["head.bias"] == (1, 0)
    assert found["backbone.norm1.weight"] == (1, 0)
    assert found["backbone.layers.1.blocks.0.mlp.fc1.weight"] == (0.5, 0.1)
    assert found["backbone.patch_embed.proj.weight"] == (0.5**3, 0.1)


def test_parameters_keep_their_names() -> None:
    names = set(classifier().state_dict())
    assert {name for name in names if not name.startswith("backbone.")} == {"head.weight", "head.bias"}
    assert {f"backbone.{name}" for name in classifier().backbone.state_dict()} < names


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(num_classes=0), "num_classes must be a positive integer, got 0"),
        (dict(num_classes=True), "num_classes must be a positive integer, got True"),
        (dict(label_smoothing=1.0), r"label_smoothing must lie in \[0, 1\), got 1.0"),
        (dict(out_indices=(0, 1)), r"set backbone\.out_indices=\(1,\), got \(0, 1\)"),
    ],
)
def test_other_values_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        classifier(**options)


def test_classes_of_mixup_must_be_the_model_s() -> None:
    preprocessor = dict(type="mmswinv2.MixupPreprocessor", num_classes=3)
    with pytest.raises(ValueError, match=r"data_preprocessor\.num_classes is 3, but the model's num_classes 4"):
        ImageClassifier(
            dict(type="mmswinv2.SwinTransformerV2", arch=ARCH, out_indices=(1,)), 4, data_preprocessor=preprocessor
        )
