"""Optimizer groups: each parameter has the learning rate of its depth, and weight decay leaves the right ones alone."""

import logging
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.optim import AmpOptimWrapper, CosineAnnealingLR, LinearLR, OptimWrapper, build_optim_wrapper
from mmengine.optim.optimizer import amp_optimizer_wrapper
from torch import nn

from mmswinv2 import SimMIM, SwinTransformerV2

from ..stock_models import CHANNELS, Swap, built_model, swapped_config

LR, WEIGHT_DECAY, RATE = 1e-3, 0.05, 0.5

# Every parameter of a block, and whether it decays.
BLOCK = {
    "attn.q_bias": False,
    "attn.v_bias": False,
    "attn.logit_scale": False,
    "attn.qkv.weight": True,
    "attn.cpb_mlp.0.weight": False,
    "attn.cpb_mlp.0.bias": False,
    "attn.cpb_mlp.2.weight": False,
    "attn.proj.weight": True,
    "attn.proj.bias": False,
    "norm1.weight": False,
    "norm1.bias": False,
    "mlp.fc1.weight": True,
    "mlp.fc1.bias": False,
    "mlp.fc2.weight": True,
    "mlp.fc2.bias": False,
    "norm2.weight": False,
    "norm2.bias": False,
}
# Every parameter of `small_backbone()`: its layer, and whether it decays. Blocks 1 + 2, so layers 0 to 4.
SMALL_TABLE = {
    "patch_embed.proj.weight": (0, True),
    "patch_embed.proj.bias": (0, False),
    "patch_embed.norm.weight": (0, False),
    "patch_embed.norm.bias": (0, False),
    **{f"layers.0.blocks.0.{name}": (1, decays) for name, decays in BLOCK.items()},
    "layers.0.downsample.reduction.weight": (1, True),
    "layers.0.downsample.norm.weight": (1, False),
    "layers.0.downsample.norm.bias": (1, False),
    **{f"layers.1.blocks.0.{name}": (2, decays) for name, decays in BLOCK.items()},
    **{f"layers.1.blocks.1.{name}": (3, decays) for name, decays in BLOCK.items()},
    "layers.1.blocks.1.enorm.weight": (3, False),
    "layers.1.blocks.1.enorm.bias": (3, False),
    "norm0.weight": (4, False),
    "norm0.bias": (4, False),
    "norm1.weight": (4, False),
    "norm1.bias": (4, False),
}
SMALL_LAST_LAYER = 4

MASK_RCNN = Swap("mmdet", "mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py", {"neck": {"in_channels": CHANNELS}})
UPERNET = Swap(
    "mmseg",
    "upernet/upernet_r50_4xb4-160k_ade20k-512x512.py",
    {"pretrained": None, "decode_head": {"in_channels": CHANNELS}, "auxiliary_head": {"in_channels": CHANNELS[2]}},
)


def small_backbone(**options: object) -> SwinTransformerV2:
    arch = dict(embed_dims=8, depths=[1, 2], num_heads=[1, 2], extra_norm_period=2)
    return SwinTransformerV2(**{"arch": arch, "out_indices": (0, 1), **options})


def wrapper_cfg(paramwise_cfg: dict | None = None, **changes: object) -> dict:
    """As in a config file: ``optim_wrapper`` with this project's constructor."""
    return {
        "type": "OptimWrapper",
        "constructor": "mmswinv2.LayerDecayOptimWrapperConstructor",
        "paramwise_cfg": {"decay_rate": RATE} if paramwise_cfg is None else paramwise_cfg,
        "optimizer": {"type": "AdamW", "lr": LR, "weight_decay": WEIGHT_DECAY},
        **changes,
    }


def groups_by_name(model: nn.Module, wrapper: OptimWrapper) -> dict[str, dict]:
    """The optimizer's group of every parameter it has, by the parameter's name."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    members = [(names[parameter], group) for group in wrapper.optimizer.param_groups for parameter in group["params"]]
    assert max(Counter(name for name, _ in members).values()) == 1  # none is updated twice
    return dict(members)


def layers_by_walking(backbone: nn.Module) -> dict[str, int]:
    """Layer ids by another rule than the code's: blocks are counted as they are met, in network order."""
    layer, seen, layers = 0, set(), {}
    for name, _ in backbone.named_parameters():
        block = re.match(r"layers\.\d+\.blocks\.\d+\.", name)
        if block and block[0] not in seen:
            seen.add(block[0])
            layer += 1
        layers[name] = layer + 1 if re.match(r"norm\d", name) else layer
    return layers


def decaying_weights(model: nn.Module) -> set[str]:
    """What decays, by another rule than the code's: weights of layers that multiply, bias network excepted."""
    kinds = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
    return {
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, kinds) and "cpb_mlp" not in name
    }


@contextmanager
def logged() -> Iterator[list[str]]:
    """Messages to MMEngine's current logger."""
    messages = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)


def test_every_parameter_of_a_small_arch() -> None:
    model = small_backbone()
    groups = groups_by_name(model, build_optim_wrapper(model, wrapper_cfg()))
    found = {name: (group["lr"], group["weight_decay"]) for name, group in groups.items()}
    assert found == {
        name: (pytest.approx(LR * RATE ** (SMALL_LAST_LAYER - layer)), WEIGHT_DECAY if decays else 0)
        for name, (layer, decays) in SMALL_TABLE.items()
    }


def test_groups_are_named_after_layer_and_decay() -> None:
    model = small_backbone()
    groups = groups_by_name(model, build_optim_wrapper(model, wrapper_cfg()))
    assert {name: group["name"] for name, group in groups.items()} == {
        name: f"layer_{layer}_{'decay' if decays else 'no_decay'}" for name, (layer, decays) in SMALL_TABLE.items()
    }


@pytest.mark.parametrize(
    ("arch", "last_layer", "spots"),
    [
        (
            "tiny",
            13,
            {
                "patch_embed.proj.weight": 0,
                "layers.0.blocks.0.attn.q_bias": 1,
                "layers.0.downsample.reduction.weight": 2,
                "layers.2.blocks.0.norm1.weight": 5,
                "layers.2.blocks.5.mlp.fc1.weight": 10,
                "layers.2.downsample.norm.bias": 10,
                "layers.3.blocks.1.attn.logit_scale": 12,
                "norm0.weight": 13,
                "norm3.bias": 13,
            },
        ),
        (
            "base",
            25,
            {
                "patch_embed.norm.bias": 0,
                "layers.1.blocks.1.attn.cpb_mlp.0.weight": 4,
                "layers.1.downsample.reduction.weight": 4,
                "layers.2.blocks.17.attn.qkv.weight": 22,
                "layers.2.downsample.norm.weight": 22,
                "layers.3.blocks.0.attn.proj.bias": 23,
                "layers.3.blocks.1.norm2.weight": 24,
                "norm1.weight": 25,
            },
        ),
    ],
)
def test_layer_ids_of_tiny_and_base(arch: str, last_layer: int, spots: dict[str, int]) -> None:
    """As get_swin_layer of github.com/microsoft/SimMIM: T has the layers 0 to 13, B 0 to 25, the output norms last."""
    with torch.device("meta"):
        backbone = SwinTransformerV2(arch)
    depths = {
        name: backbone.get_layer_depth(f"backbone.{name}", "backbone.") for name, _ in backbone.named_parameters()
    }
    assert {count for _, count in depths.values()} == {last_layer + 1}
    ids = {name: layer for name, (layer, _) in depths.items()}
    assert ids == layers_by_walking(backbone)
    assert set(ids.values()) == set(range(last_layer + 1))
    assert {name: ids[name] for name in spots} == spots


def test_mask_token_is_of_layer_0_and_does_not_decay() -> None:
    """SimMIM answers for its backbone too, whose layers stay what they are; the head is behind them."""
    arch = dict(embed_dims=8, depths=[1, 2], num_heads=[1, 2])
    model = SimMIM(dict(type="mmswinv2.SwinTransformerV2", arch=arch, out_indices=(1,)))
    groups = groups_by_name(model, build_optim_wrapper(model, wrapper_cfg()))
    assert groups["mask_token"]["name"] == "layer_0_no_decay"
    assert groups["head.0.weight"]["name"] == "layer_4_decay"
    assert groups["head.0.weight"]["lr"] == LR
    for name, layer in layers_by_walking(model.backbone).items():
        if f"backbone.{name}" in groups:
            assert groups[f"backbone.{name}"]["lr"] == pytest.approx(LR * RATE ** (SMALL_LAST_LAYER - layer)), name


def test_name_parts_are_compared_whole() -> None:
    """`my_logit_scale_fc` of a part that answers is a weight like others."""
    model = small_backbone()
    model.my_logit_scale_fc, model.cpb_mlp = nn.Linear(4, 4), nn.Linear(4, 4)
    groups = groups_by_name(model, build_optim_wrapper(model, wrapper_cfg()))
    assert groups["my_logit_scale_fc.weight"]["weight_decay"] == WEIGHT_DECAY
    assert groups["cpb_mlp.weight"]["weight_decay"] == 0


class Answering(nn.Sequential):
    """A network of somebody else's that tells its layers as MMPretrain's do."""

    def get_layer_depth(self, param_name: str, prefix: str = "") -> tuple[int, int]:
        return int(param_name.removeprefix(prefix).split(".")[0]), len(self) + 1


def test_any_model_that_answers_is_grouped() -> None:
    model = nn.ModuleDict({"trunk": Answering(nn.Linear(4, 4), nn.Linear(4, 4)), "head": nn.Linear(4, 2)})
    groups = groups_by_name(model, build_optim_wrapper(model, wrapper_cfg()))
    rates = {name: group["lr"] / LR for name, group in groups.items() if name.endswith("weight")}
    assert rates == pytest.approx({"trunk.0.weight": RATE**2, "trunk.1.weight": RATE, "head.weight": 1})


@pytest.mark.parametrize("swap", [MASK_RCNN, UPERNET], ids=["mmdet", "mmseg"])
def test_the_backbone_is_found_inside_a_real_model(swap: Swap, tmp_path: Path) -> None:
    """Under the prefix `backbone.` the layers are found; neck and heads keep the full learning rate."""
    with built_model(swapped_config(tmp_path, swap)) as model:
        wrapper = build_optim_wrapper(model, wrapper_cfg())
    layers = {f"backbone.{name}": layer for name, layer in layers_by_walking(model.backbone).items()}
    last, weights = sum(model.backbone.arch.depths) + 1, decaying_weights(model)
    groups = groups_by_name(model, wrapper)
    assert set(groups) == {name for name, _ in model.named_parameters()}
    for name, group in groups.items():
        assert group["lr"] == pytest.approx(LR * RATE ** (last - layers.get(name, last))), name
        assert group["weight_decay"] == (WEIGHT_DECAY if name in weights else 0), name
        assert group["name"].startswith("layer_" if name.startswith("backbone.") else "rest_"), name


def test_frozen_and_unused_parameters_are_left_out() -> None:
    model = small_backbone(frozen_stages=1)
    kept = set(groups_by_name(model, build_optim_wrapper(model, wrapper_cfg())))
    assert kept == {name for name in SMALL_TABLE if name.startswith(("layers.1.", "norm1."))}
    model = small_backbone(out_indices=(0,))
    kept = set(groups_by_name(model, build_optim_wrapper(model, wrapper_cfg())))
    assert kept == {name for name in SMALL_TABLE if name.startswith(("patch_embed.", "layers.0.blocks.", "norm0."))}


def test_custom_keys_multiply_and_the_longest_match_counts() -> None:
    """On top of layer decay, as MMEngine matches them: the paper's recipes for COCO give the backbone a tenth."""
    custom = {
        "backbone": dict(lr_mult=0.1),
        "backbone.layers.0": dict(lr_mult=2.0, decay_mult=0.5),
        "norm": dict(decay_mult=7.0),
        "head": dict(lr_mult=10.0),
    }
    model = nn.ModuleDict({"backbone": small_backbone(), "head": nn.Linear(16, 3), "other": nn.Linear(3, 3)})
    wrapper = build_optim_wrapper(model, wrapper_cfg(dict(decay_rate=RATE, custom_keys=custom)))
    groups = groups_by_name(model, wrapper)
    found = {name: (group["lr"] / LR, group["weight_decay"] / WEIGHT_DECAY) for name, group in groups.items()}
    assert found["backbone.patch_embed.proj.weight"] == pytest.approx((0.1 * RATE**4, 1))
    assert found["backbone.layers.0.blocks.0.mlp.fc1.weight"] == pytest.approx((2 * RATE**3, 0.5))
    assert found["backbone.layers.0.blocks.0.norm1.weight"] == pytest.approx((2 * RATE**3, 0))
    assert found["backbone.norm1.weight"] == pytest.approx((0.1, 0))  # the longer "backbone" counts; norms never decay
    assert found["head.weight"] == pytest.approx((10, 1))
    assert found["other.weight"] == pytest.approx((1, 1))


def test_without_decay_rate_only_weight_decay_is_grouped() -> None:
    model = small_backbone()
    wrapper = build_optim_wrapper(model, wrapper_cfg({}))
    assert {group["lr"] for group in wrapper.optimizer.param_groups} == {LR}
    decays = {name for name, group in groups_by_name(model, wrapper).items() if group["weight_decay"]}
    assert decays == {name for name, (_, decays) in SMALL_TABLE.items() if decays}


def test_a_step_moves_each_parameter_at_its_own_rate() -> None:
    """What the groups are for: SGD under a gradient of 1 subtracts lr_i * (1 + decay_i * value)."""
    model = small_backbone()
    optimizer = {"type": "SGD", "lr": LR, "weight_decay": WEIGHT_DECAY}
    wrapper = build_optim_wrapper(model, wrapper_cfg(optimizer=optimizer))
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    wrapper.step()
    for name, parameter in model.named_parameters():
        layer, decays = SMALL_TABLE[name]
        gradient = 1 + WEIGHT_DECAY * decays * before[name]
        expected = before[name] - LR * RATE ** (SMALL_LAST_LAYER - layer) * gradient
        torch.testing.assert_close(parameter.detach(), expected, rtol=1e-6, atol=1e-8, msg=name)


def test_wrapped_model_gives_the_same_groups() -> None:
    """Distributed training hands over the wrapper, whose names begin with `module.`."""
    model = nn.ModuleDict({"backbone": small_backbone(), "head": nn.Linear(16, 3)})
    plain = groups_by_name(model, build_optim_wrapper(model, wrapper_cfg()))
    wrapped = groups_by_name(model, build_optim_wrapper(nn.DataParallel(model), wrapper_cfg()))
    settings = ("name", "lr", "weight_decay")
    assert {name: [group[key] for key in settings] for name, group in wrapped.items()} == {
        name: [group[key] for key in settings] for name, group in plain.items()
    }


def test_gradient_accumulation_and_clipping_pass_through() -> None:
    """Two backward passes make one step."""
    model = small_backbone()
    wrapper = build_optim_wrapper(model, wrapper_cfg(accumulative_counts=2, clip_grad=dict(max_norm=1.0)))
    assert wrapper.clip_grad_kwargs == dict(max_norm=1.0)
    wrapper.initialize_count_status(model, 0, 4)
    start = model.norm0.bias.detach().clone()
    wrapper.update_params(model(torch.rand(1, 3, 16, 16))[0].sum())
    assert torch.equal(model.norm0.bias, start)
    wrapper.update_params(model(torch.rand(1, 3, 16, 16))[0].sum())
    assert not torch.equal(model.norm0.bias, start)


def test_mixed_precision_passes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amp_optimizer_wrapper, "is_cuda_available", lambda: True)  # MMEngine asserts a GPU
    cfg = wrapper_cfg(type="AmpOptimWrapper", dtype="bfloat16", loss_scale=512.0, accumulative_counts=3)
    model = small_backbone()
    wrapper = build_optim_wrapper(model, cfg)
    assert isinstance(wrapper, AmpOptimWrapper)
    assert (wrapper.cast_dtype, wrapper._accumulative_counts) == (torch.bfloat16, 3)
    assert set(groups_by_name(model, wrapper)) == set(SMALL_TABLE)


def test_config_is_left_as_it_was() -> None:
    """The Runner dumps it beside the results."""
    cfg, model = wrapper_cfg(), small_backbone()
    build_optim_wrapper(model, cfg)
    assert cfg == wrapper_cfg()


def test_groups_are_printed_once() -> None:
    model = small_backbone()
    with logged() as messages:
        wrapper = build_optim_wrapper(model, wrapper_cfg())
    (table,) = [message for message in messages if "Optimizer groups" in message]
    rows = table.splitlines()[2:]
    assert len(rows) == len(wrapper.optimizer.param_groups)
    for row, group in zip(rows, wrapper.optimizer.param_groups, strict=True):
        name, lr, decay, tensors, parameters = row.split()
        assert (name, int(tensors)) == (group["name"], len(group["params"]))
        assert (float(lr), float(decay)) == pytest.approx((group["lr"], group["weight_decay"]), rel=1e-3)
        assert int(parameters.replace(",", "")) == sum(parameter.numel() for parameter in group["params"])


def test_schedulers_keep_the_ratios() -> None:
    """Linear warm-up and cosine scale every group alike, and warm-up ends at each group's own rate."""
    warmup, total = 5, 20
    wrapper = build_optim_wrapper(small_backbone(), wrapper_cfg())
    peaks = [group["lr"] for group in wrapper.optimizer.param_groups]
    schedulers = [
        LinearLR(wrapper, start_factor=0.01, begin=0, end=warmup, by_epoch=False),
        CosineAnnealingLR(wrapper, T_max=total - warmup, eta_min_ratio=0.1, begin=warmup, end=total, by_epoch=False),
    ]
    factors = []
    for _ in range(total):
        now = [group["lr"] / peak for group, peak in zip(wrapper.optimizer.param_groups, peaks, strict=True)]
        assert now == pytest.approx([now[0]] * len(now), rel=1e-6)
        factors.append(now[0])
        wrapper.step()
        for scheduler in schedulers:
            scheduler.step()
    assert len(set(peaks)) == SMALL_LAST_LAYER + 1
    assert factors[0] == pytest.approx(0.01)
    assert max(factors) == pytest.approx(1)
    assert 0.1 <= factors[-1] < 0.12


@pytest.mark.parametrize("key", ["num_layers", "layer_decay_rate", "norm_decay_mult", "bias_decay_mult"])
def test_an_unknown_paramwise_key_is_refused(key: str) -> None:
    with pytest.raises(
        ValueError, match=rf"paramwise_cfg has the unknown keys \['{key}'\].*'custom_keys', 'decay_rate'"
    ):
        build_optim_wrapper(small_backbone(), wrapper_cfg({"decay_rate": 0.9, key: 12}))


@pytest.mark.parametrize("rate", [0, -0.5, 1.1, float("nan")])
def test_a_decay_rate_out_of_range_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match=r"paramwise_cfg.decay_rate must lie in \(0, 1\], got"):
        build_optim_wrapper(small_backbone(), wrapper_cfg({"decay_rate": rate}))


@pytest.mark.parametrize("key", ["lr", "weight_decay"])
def test_a_missing_optimizer_setting_is_named(key: str) -> None:
    optimizer = {"type": "AdamW", "lr": LR, "weight_decay": WEIGHT_DECAY}
    del optimizer[key]
    with pytest.raises(ValueError, match=f"optim_wrapper.optimizer.{key} is missing"):
        build_optim_wrapper(small_backbone(), wrapper_cfg(optimizer=optimizer))


def test_another_backbone_is_refused() -> None:
    """Rather than silently training without layer decay."""
    with pytest.raises(ValueError, match=r"found no part of the model that tells its layers.*remove optim_wrapper"):
        build_optim_wrapper(nn.Linear(4, 4), wrapper_cfg())
