"""Recipes of SimMIM and classification: their numbers are those of the official release.

That all of them build, and reload from a dump, is in ``test_config_files.py``.
"""

import math
import re
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, PARAM_SCHEDULERS, DefaultScope
from torch import nn

from ..support import ROOT


class Official(NamedTuple):
    """A recipe of the official release: learning rates per 512 images, lengths in epochs."""

    batch: int
    lr: float
    warmup_lr: float
    min_lr: float
    warmup: int
    epochs: int
    weight_decay: float = 0.05
    layer_decay: float = 1.0
    max_norm: float = 5.0
    iterations: bool = False  # lengths are in iterations

    @property
    def scale(self) -> float:
        return self.batch / 512


SCRATCH = Official(1024, 5e-4, 5e-7, 5e-6, 20, 300)
ON_22K = Official(4096, 1.25e-4, 1.25e-7, 1.25e-6, 5, 90, weight_decay=0.1)
FROM_22K = Official(1024, 2e-5, 2e-8, 2e-7, 5, 30, weight_decay=1e-8)
FROM_SIMMIM = Official(2048, 1.25e-3, 2.5e-7, 2.5e-7, 20, 100, layer_decay=0.75)
SIMMIM = Official(2048, 1e-4, 5e-7, 1e-5, 10, 800)  # lr / 10 after epoch 700 instead of a cosine
# Of giant it is not published where warm-up starts and the cosine ends.
OF_GIANT: dict[str, float] = {"weight_decay": 0.1, "max_norm": 100.0}
GIANT_SIMMIM = Official(9216, 1.4e-3 / 18, 7e-6 / 18, 1.4e-5 / 18, 30000, 152000, **OF_GIANT, iterations=True)
GIANT_ON_22K = Official(
    9216, 1.4e-3 / 18, 1.4e-6 / 18, 1.4e-5 / 18, 20000, 228000, **OF_GIANT, layer_decay=0.87, iterations=True
)
GIANT_FROM_22K = Official(576, 2.1e-5 / 1.125, 2.1e-8 / 1.125, 2.1e-7 / 1.125, 2, 10, **OF_GIANT)

RECIPES = {  # name: official recipe, stochastic depth
    **{f"swinv2-t-w{w}_8xb128-300e_in1k-256px": (SCRATCH, 0.2) for w in (8, 16)},
    **{f"swinv2-s-w{w}_8xb128-300e_in1k-256px": (SCRATCH, 0.3) for w in (8, 16)},
    **{f"swinv2-b-w{w}_8xb128-300e_in1k-256px": (SCRATCH, 0.5) for w in (8, 16)},
    **{f"swinv2-{arch}-w12_32xb128-90e_in22k-192px": (ON_22K, 0.2) for arch in "bl"},
    **{f"swinv2-{arch}-w16_in22k-pre_8xb128-30e_in1k-256px": (FROM_22K, 0.2) for arch in "bl"},
    **{f"swinv2-{arch}-w24_in22k-pre_16xb64-30e_in1k-384px": (FROM_22K, 0.2) for arch in "bl"},
    **{f"simmim_swinv2-{arch}-w12_16xb128-800e_in1k-192px": (SIMMIM, 0.1) for arch in "sbl"},
    "simmim_swinv2-h-w12_32xb64-800e_in1k-192px": (SIMMIM, 0.1),
    "simmim_swinv2-g-w12_144xb64-152k_in22k-192px": (GIANT_SIMMIM, 0.1),
    "swinv2-b-w14_simmim-pre_16xb128-100e_in1k-224px": (FROM_SIMMIM, 0.1),
    "swinv2-h-w14_simmim-pre_32xb64-100e_in1k-224px": (FROM_SIMMIM, 0.1),
    "swinv2-g-w12_simmim-pre_144xb64-228k_in22k-192px": (GIANT_ON_22K, 0.3),
    "swinv2-g-w40_in22k-pre_72xb8-10e_in1k-640px": (GIANT_FROM_22K, 0.5),
}
CONFIGS = {path.stem: path for folder in ("imagenet", "simmim") for path in (ROOT / f"configs/{folder}").glob("*.py")}
FAMILIES = {official: name for name, (official, _) in RECIPES.items()}  # one recipe of each
ARCHS = {"t": "tiny", "s": "small", "b": "base", "l": "large", "h": "huge", "g": "giant"}
NAME = re.compile(
    r"(?P<simmim>simmim_)?swinv2-(?P<arch>\w)-w(?P<window>\d+)_((?P<source>\w+)-pre_)?"
    r"(?P<gpus>\d+)xb(?P<images>\d+)-(?P<length>\d+)(?P<unit>[ek])_(?P<data>in\d+k)-(?P<side>\d+)px"
)

each = pytest.mark.parametrize("name", RECIPES)
of_each_family = pytest.mark.parametrize(("official", "name"), FAMILIES.items(), ids=FAMILIES.values())


def parts_of(name: str) -> dict[str, str | None]:
    """What a name says."""
    return NAME.fullmatch(name).groupdict()


def test_all_promised_recipes_exist() -> None:
    assert CONFIGS.keys() == RECIPES.keys()


@each
def test_recipe_is_what_its_name_says(name: str) -> None:
    """Architecture, batch, length, image size, data, the weights it starts from."""
    config, parts = Config.fromfile(CONFIGS[name]), parts_of(name)
    assert config.model.backbone.arch == ARCHS[parts["arch"]]
    assert config.train_dataloader.batch_size == int(parts["images"])
    assert config.auto_scale_lr == dict(enable=False, base_batch_size=int(parts["gpus"]) * int(parts["images"]))
    if parts["unit"] == "e":
        assert config.train_cfg.max_epochs == int(parts["length"])
    else:
        assert config.train_cfg.max_iters == 1000 * int(parts["length"])
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        assert {step.input_size for step in loader.dataset.pipeline[1:]} == {int(parts["side"])}
    classes = {None: {"in1k": 1000, "in22k": 21841}[parts["data"]], "simmim_": None}[parts["simmim"]]
    assert config.model.get("num_classes") == classes
    mixup = config.model.get("data_preprocessor") or {}
    assert mixup.get("num_classes") == (None if parts["arch"] == "g" else classes)


@each
def test_windows_are_what_the_official_models_shrink_them_to(name: str) -> None:
    """No window is larger than the map of its stage, and none is smaller than it has to be."""
    parts = parts_of(name)
    windows = Config.fromfile(CONFIGS[name]).model.backbone.window_size
    windows = [windows] * 4 if isinstance(windows, int) else windows
    maps = [int(parts["side"]) // stride for stride in (4, 8, 16, 32)]
    assert windows == [min(int(parts["window"]), side) for side in maps]


@each
def test_optimizer_is_the_official_one(name: str) -> None:
    official, drop_path_rate = RECIPES[name]
    config = Config.fromfile(CONFIGS[name])
    assert config.auto_scale_lr.base_batch_size == official.batch
    assert config.model.backbone.drop_path_rate == drop_path_rate
    optimizer = config.optim_wrapper.optimizer
    assert optimizer.lr == pytest.approx(official.lr * official.scale)
    assert (optimizer.type, optimizer.betas, optimizer.eps) == ("AdamW", (0.9, 0.999), 1e-8)
    assert optimizer.weight_decay == official.weight_decay
    assert config.optim_wrapper.clip_grad == dict(max_norm=official.max_norm)
    assert not config.get("custom_hooks")  # such as EMAHook


@each
def test_weights_come_from_the_recipe_of_the_link_before(name: str) -> None:
    """The file is the last that the recipe of the same architecture writes, which a rename would break."""
    source, arch = parts_of(name)["source"], parts_of(name)["arch"]
    init_cfg = Config.fromfile(CONFIGS[name]).model.backbone.get("init_cfg")
    if source is None:
        assert init_cfg is None
        return
    work_dir, file = Path(init_cfg.checkpoint).parts[1:]
    before = parts_of(work_dir)
    last = f"epoch_{before['length']}" if before["unit"] == "e" else f"iter_{before['length']}000"
    assert file == f"{last}.pth"
    assert work_dir in RECIPES
    assert before["arch"] == arch
    assert source == ("simmim" if before["simmim"] else before["data"])


def learning_rates(config: Config, epochs: int, epoch_length: int) -> list[float]:
    """The learning rate of each iteration, as MMEngine steps the config's schedule."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=config.optim_wrapper.optimizer.lr)
    arguments = dict(optimizer=optimizer, epoch_length=epoch_length)
    schedulers = [PARAM_SCHEDULERS.build(scheduler, default_args=arguments) for scheduler in config.param_scheduler]
    rates = []
    for iteration in range(1, epochs * epoch_length + 1):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        for scheduler in schedulers:
            if not scheduler.by_epoch or iteration % epoch_length == 0:
                scheduler.step()
    return rates


def official_rate(official: Official, epoch: float) -> float:
    """The official schedule at a fraction of an epoch, for the recipe's batch size."""
    if epoch < official.warmup:
        rate = official.warmup_lr + (official.lr - official.warmup_lr) * epoch / official.warmup
    elif official is SIMMIM:
        rate = official.lr if epoch < 700 else official.min_lr
    else:
        progress = (epoch - official.warmup) / (official.epochs - official.warmup)
        rate = official.min_lr + (official.lr - official.min_lr) * (1 + math.cos(math.pi * progress)) / 2
    return rate * official.scale


@of_each_family
def test_learning_rate_is_the_official_one_throughout(official: Official, name: str) -> None:
    """From the first iteration to the last; MMEngine ends a warm-up one iteration earlier."""
    config, epoch_length = Config.fromfile(CONFIGS[name]), 4
    if official.iterations:  # a thousand of them stand for one
        official = official._replace(warmup=official.warmup // 1000, epochs=official.epochs // 1000)
        epoch_length = 1
        for scheduler in config.param_scheduler:
            scheduler.update({key: scheduler[key] // 1000 for key in ("begin", "end", "T_max") if key in scheduler})
    rates = learning_rates(config, official.epochs, epoch_length)
    expected = [official_rate(official, step / epoch_length) for step in range(len(rates))]
    warmup = official.warmup * epoch_length
    assert rates[0] == pytest.approx(expected[0])
    assert rates[warmup - 1] == pytest.approx(official.lr * official.scale)
    assert rates[warmup:] == pytest.approx(expected[warmup:])
    step = official.lr * official.scale / warmup
    assert rates[1:warmup] == pytest.approx(expected[1:warmup], rel=0, abs=step)


@of_each_family
def test_parameter_groups_are_the_official_ones(official: Official, name: str) -> None:
    """Learning rate of each layer of the fine-tune; no decay on norms, biases, scales, bias networks, mask token."""
    config = Config.fromfile(CONFIGS[name])
    with DefaultScope.overwrite_default_scope(config.default_scope), torch.device("meta"):
        model = MODELS.build(config.model)
        groups = build_optim_wrapper(model, config.optim_wrapper).optimizer.param_groups
    depths = model.backbone.arch.depths
    group_of = {id(parameter): group for group in groups for parameter in group["params"]}
    for key, parameter in model.named_parameters():
        group = group_of[id(parameter)]
        spared = parameter.dim() == 1 or re.search(r"bias$|logit_scale|cpb_mlp|mask_token", key)
        assert group["weight_decay"] == (0 if spared else official.weight_decay), key
        decay = official.layer_decay ** (sum(depths) + 1 - official_layer_id(key, depths))
        assert group["lr"] == pytest.approx(official.lr * official.scale * decay), key


def official_layer_id(key: str, depths: tuple[int, ...]) -> int:
    """``get_swin_layer`` of github.com/microsoft/SimMIM: 0 at the input, the head last."""
    if key == "mask_token" or ".patch_embed." in key:
        return 0
    place = re.match(r"backbone\.layers\.(\d)\.(?:blocks\.(\d+)|downsample)", key)
    if place is None:
        return sum(depths) + 1
    stage, block = int(place[1]), place[2]
    return sum(depths[: stage + 1]) if block is None else sum(depths[:stage]) + int(block) + 1


@pytest.mark.parametrize("root", ["/elsewhere/imagenet/", "/elsewhere/imagenet"])
@each
def test_root_moves_every_path(name: str, root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """IMAGENET_ROOT, and for ImageNet-22k IMAGENET22K_ROOT; SimMIM on 22k is validated on ImageNet-1k."""
    monkeypatch.setenv("IMAGENET_ROOT", root)
    monkeypatch.setenv("IMAGENET22K_ROOT", "/elsewhere/22k")
    config, parts = Config.fromfile(CONFIGS[name]), parts_of(name)
    training = "/elsewhere/22k" if parts["data"] == "in22k" else root
    validation = root if parts["simmim"] else training
    assert config.train_dataloader.dataset.data_root == training
    assert config.val_dataloader.dataset.data_root == validation
    assert config.test_dataloader.dataset.data_root == validation


def test_page_lists_every_recipe_in_its_folder() -> None:
    """``docs/pretraining.md`` has a row for each, below the folder where it lies, and a published number or none."""
    page = (ROOT / "docs/pretraining.md").read_text()
    rows = {}
    for folder, table in re.findall(r"^\| recipe, in `configs/(\w+)/` .*\n((?:\|.*\n)+)", page, re.MULTILINE):
        rows.update({name: folder for name in re.findall(r"^\| `(\S+)` \|", table, re.MULTILINE)})
    assert rows == {name: path.parent.name for name, path in CONFIGS.items()}
    for path in re.findall(r"(?:configs|tools)/[\w./-]+\.(?:py|sh)", page):
        assert (ROOT / path).is_file(), path
