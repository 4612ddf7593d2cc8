"""Post-norm keeps the main branch small at any depth, where pre-norm lets it grow (the paper's section 3.2, figure 2).

Measured are the variance of the main branch after every block and its largest absolute value, on photographs of
flowers, the same for all models.

New models: MMDetection's Swin V1 and this project's Swin V2 as they begin a training, sizes tiny to huge, at 256 px and
window 8. Giant is left out: its weights alone take 12 GB; huge takes 4 GB in all. The gains of V2's post-norms begin at
0, so a new V2 is the identity: its variance stays at 1, what the norms of patch embedding and patch merging made it.
That says nothing of its blocks. So a second state has all gains at 1. Huge is measured with its extra norms and
without.

After training: models as deep as SwinV2-S and 32 channels wide, classifiers of flowers for 250 iterations, trained
alike but for V2's gains, which begin at 0 and have ten times the learning rate, see
``configs/analysis/deep-swinv2_flowers.py``. V1 is a :class:`~mmswinv2.analysis.variants.SwinVariant` there, which
equals MMDetection's where both have the same weights.

It takes 1.5 hours on one slow core with 3 seeds: 12 minutes for the new models, 8 for each of the 9 trainings.
``--quick`` takes tiny alone, and trainings of 4 iterations: 3 minutes.
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner import load_checkpoint
from torch import Tensor, nn

from ....arch import ARCHS
from ....models.backbone import SwinTransformerV2
from ....registry import DATASETS, MODELS
from ...report import write_report
from ...signal import blocks_of, mean_gain, measure_signal, stages_of
from ...study import CONFIGS, NO_VALIDATION, ROOT, Measurement, Options, Trained, Training, logged
from ...study_cli import Choices
from ...variants import set_gains
from .report import draw, tables

SIZES = ("tiny", "small", "base", "large", "huge")
COSTS = (1.0, 2.0, 3.0, 6.0, 16.0)  # of measuring a size, in units of 5 s
TRAINING_COST, QUICK_COST = 90.0, 3.0
IMAGES, SIDE = 4, 256  # their number and pixels for the models at the start
DEEP_IMAGES = 16
V1, V2 = "analysis/deep-swinv1_flowers.py", "analysis/deep-swinv2_flowers.py"
DEEP: dict[str, tuple[str, Options]] = {  # name: config, and settings beside it
    "V1": (V1, ()),
    "V2": (V2, ()),
    "V2, extra norms": (V2, (("model.backbone.arch.extra_norm_period", 6),)),
}
QUICK: Options = (
    ("train_cfg.max_iters", 4),
    ("train_dataloader.batch_size", 4),
    ("model.backbone.arch.depths", (1, 1, 6, 1)),
    ("default_hooks.logger.interval", 2),
)


def run(choices: Choices) -> None:
    """Measures, and writes table and figure."""
    sizes = SIZES[:1] if choices.quick else SIZES
    study = choices.study()
    measured = study.run([one for seed in choices.seeds for one in measurements(sizes, seed, choices.quick)])
    signals: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for name, models in measured.items():
        for model, signal in models.items():
            signals[name.split()[0]][model].append(signal)
    write_report(choices.work_dir, tables(signals), draw(signals))


def measurements(sizes: Sequence[str], seed: int, quick: bool) -> list[Measurement]:
    """Returns all measurements of a seed. Their names begin with the size, or with ``trained``."""
    at_start = [
        Measurement(f"{size} {version} seed{seed}", None, partial(measure, size, seed), cost)
        for size, cost in zip(sizes, COSTS, strict=False)
        for version, measure in (("V1", measure_v1_at_start), ("V2", measure_v2_at_start))
    ]
    trained = [
        Measurement(f"trained {model} seed{seed}", deep_training(model, seed, quick), partial(measure_trained, model))
        for model in DEEP
    ]
    return [*at_start, *trained]


def deep_training(model: str, seed: int, quick: bool) -> Training:
    """Returns the training of a model of :data:`DEEP`."""
    config, options = DEEP[model]
    options = (("randomness.seed", seed), NO_VALIDATION, *(QUICK if quick else ()), *options)
    name = f"{model.replace(', extra norms', '_extra-norms')}_seed{seed}"
    return Training(name, config, options, cost=QUICK_COST if quick else TRAINING_COST)


def measure_v1_at_start(size: str, seed: int) -> dict[str, Any]:
    """Measures a Swin V1 of MMDetection as it initialises one."""
    from mmdet.models import SwinTransformer  # slow to import, and only this needs it

    torch.manual_seed(seed)
    arch = ARCHS[size]
    backbone = SwinTransformer(
        embed_dims=arch.embed_dims, depths=arch.depths, num_heads=arch.num_heads, window_size=8, drop_path_rate=0.0
    )
    backbone.init_weights()
    return {"V1": measure(backbone, flowers(IMAGES, SIDE))}


def measure_v2_at_start(size: str, seed: int) -> dict[str, Any]:
    """Measures a new Swin V2: as it is, with all gains at 1, and then without the extra norms that it may have."""
    torch.manual_seed(seed)
    backbone, images = SwinTransformerV2(size, window_size=8), flowers(IMAGES, SIDE)
    has_extra_norms = backbone.arch.extra_norm_period is not None
    suffix = ", extra norms" if has_extra_norms else ""
    signals = {f"V2, gains 0{suffix}": measure(backbone, images)}
    for block in blocks_of(backbone):
        set_gains(block, 1.0)
    signals[f"V2, gains 1{suffix}"] = measure(backbone, images)
    if has_extra_norms:
        for block in blocks_of(backbone):
            block.enorm = None
        signals["V2, gains 1"] = measure(backbone, images)
    return signals


def measure_trained(model: str, trained: Trained) -> dict[str, Any]:
    """Measures the backbone of a trained classifier, on images of the size that it was trained with."""
    config = Config.fromfile(trained.folder / trained.config.name)
    classifier = MODELS.build(config.model)
    load_checkpoint(classifier, str(trained.checkpoint), map_location="cpu", strict=True)
    images = flowers(DEEP_IMAGES, config.val_dataloader.dataset.pipeline[1].input_size)
    signal = measure(classifier.backbone, images)
    return {model: {**signal, "loss": logged(trained)[-1]["loss"], "gain": mean_gain(classifier.backbone)}}


def measure(backbone: nn.Module, images: Tensor) -> dict[str, Any]:
    """Returns the signal as a dict, for ``results.json``, and how many blocks each stage has."""
    return {
        **measure_signal(backbone, images)._asdict(),
        "depths": [len(stage.blocks) for stage in stages_of(backbone)],
    }


def flowers(number: int, side: int) -> Tensor:
    """Returns validation images of all kinds of flowers, normalised, (number, 3, side, side)."""
    config = Config.fromfile(CONFIGS / V2).val_dataloader.dataset
    config.data_root = str(ROOT / config.data_root)
    config.pipeline[1].input_size = side
    dataset = DATASETS.build(config)
    return torch.stack([dataset[index]["inputs"] for index in range(0, len(dataset), len(dataset) // number)][:number])
