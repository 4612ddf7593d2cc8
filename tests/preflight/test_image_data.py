"""Class folders, list files and shards that cannot work stop a run before its first iteration."""

import logging
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from mmswinv2.datasets.listing import write_index
from mmswinv2.errors import ConfigError
from mmswinv2.preflight import check_config

from ..datasets.test_image_shards import write_shards
from ..datasets.trees import CLASSES, IMAGES, write_classes

BACKBONE = dict(
    type="mmswinv2.SwinTransformerV2",
    arch=dict(embed_dims=8, depths=[1, 1], num_heads=[1, 2]),
    window_size=4,
    out_indices=(1,),
)
PIPELINE = [dict(type="mmswinv2.LoadImage"), dict(type="mmswinv2.TimmTransform", input_size=32)]


def loader(root: Path, split: str, **settings: object) -> dict:
    """A loader of two images a batch."""
    dataset = dict(type="mmswinv2.ImageDataset", data_root=str(root), data_prefix=dict(img_path=split))
    sampler = dict(type="DefaultSampler", shuffle=False)
    return dict(
        batch_size=2,
        num_workers=0,
        sampler=sampler,
        collate_fn=dict(type="default_collate"),
        dataset=dict(dataset, pipeline=PIPELINE, **settings),
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Class folders to train and evaluate on."""
    for split in ("train", "val"):
        write_classes(tmp_path / "data" / split)
    return tmp_path / "data"


@pytest.fixture
def cfg(root: Path, tmp_path: Path) -> Config:
    """A classifier of one iteration, with the hook."""
    return Config(
        dict(
            default_scope="mmengine",
            model=dict(type="mmswinv2.ImageClassifier", backbone=BACKBONE, num_classes=3),
            train_dataloader=loader(root, "train"),
            val_dataloader=loader(root, "val", test_mode=True),
            train_cfg=dict(by_epoch=False, max_iters=1, val_interval=9),
            val_cfg=dict(),
            val_evaluator=dict(type="mmswinv2.Accuracy"),
            optim_wrapper=dict(optimizer=dict(type="SGD", lr=1e-3)),
            custom_hooks=[dict(type="mmswinv2.DataCheckHook")],
            work_dir=str(tmp_path / "work"),
            experiment_name=tmp_path.name,
        )
    )


def train(cfg: Config) -> Runner:
    """Checks and runs as tools/train.py does."""
    check_config(cfg)
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def refused(cfg: Config) -> str:
    """The error that stops a run; nothing has been trained."""
    check_config(cfg)
    runner = Runner.from_cfg(cfg)
    with pytest.raises(ValueError) as error:
        runner.train()
    assert getattr(runner._train_loop, "iter", 0) == 0  # where its data stops it, there is no loop yet
    return str(error.value)


def test_good_data_trains(cfg: Config) -> None:
    """Nothing is wrong with what the other tests break."""
    assert train(cfg).iter == 1


def test_a_root_that_is_not_there_is_named(cfg: Config, root: Path) -> None:
    cfg.train_dataloader.dataset.data_root = f"{root}/nowhere"
    with pytest.raises(ConfigError, match=rf"train_dataloader\.dataset\.data_root: no such folder: {root}/nowhere"):
        check_config(cfg)


@pytest.mark.parametrize("split", ["train", "val"])
def test_an_empty_class_folder_is_named(cfg: Config, root: Path, split: str) -> None:
    """Of the validation data too, before anything is trained."""
    (root / split / "cow").mkdir()
    assert re.search(rf"{root}/{split}: 1 of the 4 classes have no image: cow\.", refused(cfg))


def test_more_classes_than_the_model_has_are_refused(cfg: Config, root: Path) -> None:
    """Both counts, with the config key of each."""
    for split in ("train", "val"):
        write_classes(root / split, ["cow"])
    message = refused(cfg)
    assert "train_dataloader.dataset disagree" in message
    assert "model.num_classes is 3, the data has 4" in message


def test_a_label_beyond_the_model_is_refused(cfg: Config, root: Path) -> None:
    """A list that counts from 1, its classes without names."""
    (root / "train.txt").write_text("".join(f"{path} {label}\n" for label, path in enumerate(IMAGES[:3], 1)))
    cfg.train_dataloader.dataset.ann_file = "train.txt"
    message = refused(cfg)
    assert (
        f"train_dataloader.dataset.ann_file ({root}/train.txt) has the label 3, but model.num_classes is 3" in message
    )


def test_missing_images_of_a_list_are_named_and_counted(cfg: Config, root: Path) -> None:
    lines = [f"bird/missing{index}.jpg 0\n" for index in range(7)] + [f"{IMAGES[0]} 1\n"]
    (root / "train.txt").write_text("".join(lines))
    cfg.train_dataloader.dataset.ann_file = "train.txt"
    message = refused(cfg)
    assert "train_dataloader.dataset: 7 of the 8 files looked at are missing or broken" in message
    assert f"{root}/train/bird/missing0.jpg: no such file" in message and "and 2 more" in message


def test_validation_with_other_classes_is_refused(cfg: Config, root: Path) -> None:
    """The same number of folders under other names: labels would mean other classes, and accuracy drop to nothing."""
    (root / "val/cat").rename(root / "val/eel")
    assert "numbered differently:\n  label 1: cat and dog\n  label 2: dog and eel\nLabels" in refused(cfg)


def test_validation_with_a_class_of_another_name_is_refused(cfg: Config, root: Path) -> None:
    """Names that the config gives count as well."""
    (root / "val/cat").rename(root / "val/eel")
    cfg.val_dataloader.dataset.metainfo = dict(classes=("bird", "eel", "dog"))
    assert "numbered differently:\n  label 1: cat and eel\nLabels" in refused(cfg)


def test_simmim_does_not_look_at_classes(cfg: Config, root: Path) -> None:
    """Pretraining takes any tree, of whatever classes."""
    (root / "val/cat").rename(root / "val/eel")
    cfg.model = dict(type="mmswinv2.SimMIM", backbone=BACKBONE, target_window=15)
    mask = dict(type="mmswinv2.RandomPatchMask", input_size=32, mask_patch_size=8)
    for part in (cfg.train_dataloader, cfg.val_dataloader):
        part.dataset.pipeline = [*PIPELINE, mask]
    cfg.val_evaluator = dict(type="mmswinv2.ReconstructionError")
    assert train(cfg).iter == 1


def test_a_corrupt_image_is_named(cfg: Config, root: Path) -> None:
    path = next((root / "val/dog").iterdir())
    path.write_bytes(path.read_bytes()[:3000])
    assert re.search(rf"val_dataloader\.dataset: 1 of the 6 files .*\n  {path}: .*truncated", refused(cfg))


def test_images_to_be_skipped_are_named_and_counted_at_the_start(cfg: Config, root: Path) -> None:
    """With skip_unreadable the same check warns."""
    path = next((root / "train/bird").iterdir())
    path.write_bytes(b"")
    cfg.train_dataloader.dataset.skip_unreadable = True
    messages = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())
    runner = Runner.from_cfg(cfg)
    MMLogger.get_current_instance().addHandler(handler)
    runner.train()
    assert runner.iter == 1
    (start,) = [message for message in messages if "looked at" in message]
    assert re.search(rf"1 of the 6 files .*\n  {path}: the file is empty\nTraining skips them", start)


# --- shards


@pytest.fixture
def shards(cfg: Config, root: Path) -> Path:
    """Shards in the place of the training folders."""
    write_shards(root / "shards")
    write_index(str(root / "shards"), str(root / "shards.txt"))
    dataset = cfg.train_dataloader.dataset
    dataset.update(type="mmswinv2.ImageShards", ann_file="shards.txt", data_prefix=dict(img_path="shards"))
    dataset.metainfo = dict(classes=CLASSES)
    return root / "shards"


def remove(shard: Path) -> None:
    shard.unlink()


def cut(shard: Path) -> None:
    shard.write_bytes(shard.read_bytes()[:5000])


def rewrite(shard: Path) -> None:
    """Other images in other places."""
    shard.write_bytes(b"\0" * 512 + shard.read_bytes())


def test_good_shards_train(cfg: Config, shards: Path) -> None:
    assert train(cfg).iter == 1


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (remove, r"1 of the 3 shards .*\n  {shard}: No such file"),
        (cut, r"1 of the 3 shards .*\n  {shard}: it ends after 5000 bytes, its last image after \d+"),
        (rewrite, r"2 of the 6 files .*\n  {shard}/sample2\.jpg: it is not an image"),
    ],
)
def test_shards_that_the_index_does_not_fit_are_refused(
    cfg: Config, shards: Path, spoil: Callable, message: str
) -> None:
    """A shard that is missing, cut short or written anew since."""
    shard = shards / "000001.tar"
    spoil(shard)
    assert re.search("train_dataloader.dataset: " + message.format(shard=shard), refused(cfg))
