"""Hooks that check a run when it starts: its data before the first iteration, its weights before they are loaded."""

import time
from collections.abc import Mapping
from typing import Any

from mmengine.dataset import BaseDataset
from mmengine.dist import get_world_size, master_only
from mmengine.hooks import Hook
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from torch import Tensor, nn

from ..checkpoint.backbone import model_weights
from ..checkpoint.forms import PRETRAINED_WINDOWS
from ..checkpoint.load import match_state
from ..checkpoint.position_biases import check_position_bias, fit_tables
from ..datasets.image_dataset import ImageDataset
from ..errors import CheckpointError, DataError, list_faults
from ..models.backbone import SwinTransformerV2, backbones_in, unwrapped
from ..models.classifier import ImageClassifier
from ..registry import HOOKS
from ..upstream import innermost_datasets
from .data_sets import AT_START, look_at
from .faults import refuse
from .heads import check_class_counts, check_labels, check_same_classes


@HOOKS.register_module()
class DataCheckHook(Hook):
    """Checks classes, images and label maps when training or testing starts.

    Training checks the data of validation and test as well, so that no fault comes up after hours. The first and last
    bytes of every file are read, and up to 500 images and label maps of each data set are decoded.
    """

    priority = "VERY_HIGH"

    def __init__(self) -> None:
        self._checked: list[dict] = []  # configs of data sets: equal ones are checked once
        self._training: list[ImageDataset] = []

    @master_only
    def before_train(self, runner: Runner) -> None:
        """Checks the data sets of all loops."""
        check_batches(runner.train_dataloader)
        self._check(runner, "train_dataloader", runner.train_dataloader.dataset)
        if runner.val_loop is not None:
            self._check(runner, "val_dataloader", runner.val_dataloader.dataset)
        if runner.cfg.get("test_dataloader") is not None:
            self._check(runner, "test_dataloader")

    @master_only
    def before_test(self, runner: Runner) -> None:
        """Checks the test data set."""
        self._check(runner, "test_dataloader", runner.test_dataloader.dataset)

    def _check(self, runner: Runner, loader: str, dataset: BaseDataset | None = None) -> None:
        """Checks a loader's data set; one that no loop has built yet is built from the config."""
        config = runner.cfg[loader]["dataset"].to_dict()
        config.pop("pipeline", None)
        if config in self._checked:
            return
        self._checked.append(config)
        if dataset is None:
            dataset = DATASETS.build(runner.cfg[loader]["dataset"])
        for key, leaf in innermost_datasets(f"{loader}.dataset", dataset):
            if not isinstance(leaf, BaseDataset):
                runner.logger.warning(
                    f"{key}: {type(leaf).__name__} is no BaseDataset of MMEngine, its data is not checked"
                )
                continue
            check_class_counts(runner.model, leaf.metainfo, key)
            model = unwrapped(runner.model)
            if isinstance(leaf, ImageDataset) and isinstance(model, ImageClassifier):
                self._check_labels(model, leaf, key)
            runner.logger.info(check_files(leaf, key))

    def _check_labels(self, model: ImageClassifier, dataset: ImageDataset, key: str) -> None:
        check_labels(model, dataset, key)
        if key.startswith("train_"):
            self._training.append(dataset)
        for training in self._training:
            check_same_classes(training, dataset, key)


def check_batches(loader: Any) -> None:
    """Refuses a training whose epochs have no iteration: it would end at once, and have learnt nothing.

    Args:
        loader: The training's, a ``DataLoader``.

    Raises:
        DataError: A process gets fewer images than a batch, and ``drop_last`` leaves them out.
    """
    batches = loader.batch_sampler
    sampler = getattr(batches, "sampler", None)
    if getattr(sampler, "infinite", False) or "Infinite" in f"{type(batches).__name__} {type(sampler).__name__}":
        return
    if len(loader):
        return
    raise DataError(
        f"train_dataloader: {len(loader.dataset)} images fill no batch. Each of {get_world_size()} processes takes "
        f"batches of {batches.batch_size}, and drop_last leaves out one that is not full: set a smaller "
        "train_dataloader.batch_size, or take fewer processes or more images"
    )


def check_files(dataset: BaseDataset, key: str) -> str:
    """Checks the images and label maps of a data set, and logs what is odd about them.

    Args:
        dataset: One whose entries have an ``img_path`` and perhaps a ``seg_map_path``.
        key: Its config key, for errors.

    Returns:
        A sentence that says what was checked.

    Raises:
        DataError: Names the first few faulty files, and their number.
    """
    if getattr(dataset, "backend_args", None):
        return f"{key}: {len(dataset)} images in remote storage (backend_args), not checked"
    start = time.perf_counter()
    findings, report = look_at(dataset, key, AT_START)
    refuse(findings)
    return f"{key}: {report} ({time.perf_counter() - start:.1f} s)"


@HOOKS.register_module()
class WeightsCheckHook(Hook):
    """Refuses a checkpoint that does not hold the weights of every SwinV2 in the model.

    A run that goes on with ``--resume`` needs the other tensors of the model as well.

    Args:
        whole_model: Whether a run that does not resume needs them too. A test does. A training from ``load_from``
            does not, because its head may be another.
    """

    def __init__(self, whole_model: bool = False) -> None:
        self.whole_model = whole_model

    def after_load_checkpoint(self, runner: Runner, checkpoint: Mapping[str, Any]) -> None:
        """Checks a checkpoint between reading and loading.

        Raises:
            CheckpointError: Names the file and what is wrong with it.
        """
        resume = bool(runner.cfg.get("resume"))
        if resume and "meta" not in checkpoint:
            raise CheckpointError(
                f"{runner.cfg.load_from} holds weights alone, no run to resume: without --resume, load_from starts a "
                "new run from them"
            )
        try:
            check_weights(runner.model, checkpoint, whole_model=resume or self.whole_model)
        except CheckpointError as error:
            raise CheckpointError(f"{runner.cfg.load_from}: {error}") from error


def check_weights(model: nn.Module, checkpoint: Mapping[str, Any], whole_model: bool) -> None:
    """Compares a checkpoint with the model that is about to be given its weights.

    Args:
        model: The model.
        checkpoint: What the file holds.
        whole_model: Whether to compare heads and necks as well as the SwinV2s in the model.

    Raises:
        CheckpointError: Names the tensors that are missing or mis-shaped.
    """
    model = unwrapped(model)
    weights = fit_tables(model_weights(checkpoint), model.state_dict())
    for name, backbone in backbones_in(model):
        prefix = f"{name}." if name else ""
        own = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
        _check_backbone(backbone, own, name)
    if whole_model:
        _check_all(model.state_dict(), weights)


def _check_backbone(backbone: SwinTransformerV2, weights: Mapping[str, Any], name: str) -> None:
    if not weights:
        raise CheckpointError(
            f"the checkpoint holds nothing for the model's {name}: it is no checkpoint of this model. Weights of a "
            f"backbone alone belong in its init_cfg: model.{name}.init_cfg=dict(type='Pretrained', checkpoint=...)"
        )
    try:
        check_position_bias(weights, backbone.position_bias)
        match_state(weights, backbone.state_dict())
    except CheckpointError as error:
        raise CheckpointError(f"the checkpoint's {name}: {error}") from error


def _check_all(model: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
    names = [name for name in model if name.rpartition(".")[2] != PRETRAINED_WINDOWS]
    faults = {
        "not in the checkpoint": [name for name in names if name not in weights],
        "of another shape": [name for name in names if name in weights and weights[name].shape != model[name].shape],
    }
    lines = list_faults(faults)
    if lines:
        advice = "to train from its backbone alone: model.backbone.init_cfg=dict(type='Pretrained', checkpoint=...)"
        raise CheckpointError(
            "\n  ".join(["the checkpoint is one of another model than the config's:", *lines, advice])
        )
