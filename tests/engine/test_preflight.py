"""Bad input gets an error that names the file or config key, before any work is lost."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import mmdet
import mmseg
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, HOOKS, MODELS, DefaultScope
from mmengine.runner import Runner
from PIL import Image

from mmswinv2.engine.preflight import ConfigError, check_config, check_work_dir, explain_unknown_type
from mmswinv2.engine.preflight.class_counts import check_class_counts
from mmswinv2.engine.preflight.coco_annotations import check_file
from mmswinv2.engine.preflight.data_check_hook import check_files
from mmswinv2.engine.preflight.dataset_configs import dataset_class
from mmswinv2.engine.preflight.image_files import decode_fault, end_fault, spread

from ..support import ROOT
from ..tiny_nuclei import write_tiny_nuclei

TINY_CONFIGS = ROOT / "tests/tools"
TRAIN_JSON = "annotations/instances_train.json"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny data set that the tiny configs find."""
    monkeypatch.setenv("TINY_ROOT", str(tmp_path / "data"))
    return write_tiny_nuclei(tmp_path / "data")


@pytest.fixture
def detection(root: Path) -> Config:
    """Config of the tiny Mask R-CNN."""
    return Config.fromfile(TINY_CONFIGS / "tiny_mask_rcnn.py")


@pytest.fixture
def segmentation(root: Path) -> Config:
    """Config of the tiny UPerNet."""
    return Config.fromfile(TINY_CONFIGS / "tiny_upernet.py")


def built_dataset(cfg: Config, loader: str = "train_dataloader") -> object:
    """The data set of a loader, inside its wrapper."""
    dataset = cfg[loader]["dataset"]
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        return DATASETS.build(dataset.get("dataset", dataset))


def edit_json(path: Path, edit: Callable[[dict], None]) -> None:
    """Changes a JSON file in place."""
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


# --- paths


def test_good_configs_pass(detection: Config, segmentation: Config) -> None:
    """Nothing is wrong with the data that the other tests break."""
    check_config(detection)
    check_config(segmentation)


def test_missing_root_names_key_path_and_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment variable that the root comes from is named, with every config key that uses it."""
    monkeypatch.setenv("TINY_ROOT", str(tmp_path / "nowhere"))
    cfg = Config.fromfile(TINY_CONFIGS / "tiny_mask_rcnn.py")
    with pytest.raises(ConfigError) as error:
        check_config(cfg)
    message = str(error.value)
    assert f"train_dataloader.dataset.dataset.data_root: no such folder: {tmp_path}/nowhere" in message
    assert "val_dataloader.dataset.data_root" in message
    assert f"val_evaluator.ann_file: no such file: {tmp_path}/nowhere/annotations" in message
    assert "setting the environment variable TINY_ROOT" in message


@pytest.mark.parametrize("wrapper", ["RepeatDataset", "ClassBalancedDataset", "MultiImageMixDataset", "ConcatDataset"])
def test_missing_annotation_file_is_found_through_wrappers(detection: Config, root: Path, wrapper: str) -> None:
    """The config key goes through the wrapper, so that it can be given to --cfg-options as it stands."""
    leaf = detection.train_dataloader.dataset.dataset
    leaf.ann_file = "annotations/typo.json"
    inner, key = ({"datasets": [leaf]}, "datasets.0") if wrapper == "ConcatDataset" else ({"dataset": leaf}, "dataset")
    detection.train_dataloader.dataset = {"type": wrapper, **inner}
    with pytest.raises(ConfigError) as error:
        check_config(detection)
    key = f"train_dataloader.dataset.{key}.ann_file"
    assert f"{key}: no such file: {root}/annotations/typo.json" in str(error.value)
    detection.merge_from_dict({key: TRAIN_JSON})
    check_config(detection)


def test_missing_image_folder_of_validation_stops_training(segmentation: Config, root: Path) -> None:
    """What validation lacks is found before training, not after its first epoch."""
    shutil.rmtree(root / "semantic/val")
    with pytest.raises(ConfigError, match=r"val_dataloader\.dataset\.data_prefix\.seg_map_path: no such folder"):
        check_config(segmentation)


def test_folder_without_images_of_the_ending(segmentation: Config, root: Path) -> None:
    """One's own PNGs under the default ending .jpg: the endings found are named."""
    for path in (root / "train").iterdir():
        path.rename(path.with_suffix(".png"))
    with pytest.raises(ConfigError, match=rf"no image in {root}/train ends in '\.jpg'; endings there: \.png"):
        check_config(segmentation)
    segmentation.train_dataloader.dataset.img_suffix = ".png"
    check_config(segmentation)


def test_test_run_does_not_ask_for_training_data(detection: Config, root: Path) -> None:
    """Who only tests needs no training data."""
    shutil.rmtree(root / "train")
    check_config(detection, ("test_dataloader",))
    with pytest.raises(ConfigError, match=r"train_dataloader\.dataset\.dataset\.data_prefix\.img"):
        check_config(detection)


def test_remote_data_is_left_alone(detection: Config, root: Path) -> None:
    """With backend_args the paths are none of this machine's."""
    shutil.rmtree(root)
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        dataset = detection[loader].dataset
        dataset.get("dataset", dataset).backend_args = dict(backend="petrel")
    for evaluator in ("val_evaluator", "test_evaluator"):
        detection[evaluator].backend_args = dict(backend="petrel")
    check_config(detection)


def test_work_dir_below_a_file(tmp_path: Path) -> None:
    """A work dir that cannot be made is named."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=rf"work dir {tmp_path}/file/run cannot be written \(Not a directory\)"):
        check_work_dir(str(tmp_path / "file/run"))


def test_work_dir_is_made_and_left_empty(tmp_path: Path) -> None:
    """The check leaves nothing behind."""
    check_work_dir(str(tmp_path / "a/b"))
    assert list((tmp_path / "a/b").iterdir()) == []


# --- annotation files


def test_unreadable_json_names_file_and_place(detection: Config, root: Path) -> None:
    """A JSON cut short is named with line and column."""
    path = root / TRAIN_JSON
    path.write_text(path.read_text()[:500])
    with pytest.raises(ConfigError, match=rf"{path}\) is not readable as JSON: .* at line 1, column \d+"):
        check_config(detection)


def test_binary_annotation_file(detection: Config, root: Path) -> None:
    """An image in the annotation file's place is named."""
    shutil.copy(next((root / "train").iterdir()), root / TRAIN_JSON)
    with pytest.raises(ConfigError, match=r"instances_train\.json\) is not readable as JSON: it is no text file"):
        check_config(detection)


@pytest.mark.parametrize("lacking", ["images", "annotations", "categories"])
def test_empty_lists_of_a_coco_file(detection: Config, root: Path, lacking: str) -> None:
    """Nothing to train on is said, where MMEngine would fail to concatenate no arrays."""
    edit_json(root / TRAIN_JSON, lambda content: content.update({lacking: []}))
    with pytest.raises(ConfigError, match=rf"the list '{lacking}' is empty"):
        check_config(detection)


@pytest.mark.parametrize("lacking", ["images", "annotations", "categories"])
def test_lists_of_a_coco_file(detection: Config, root: Path, lacking: str) -> None:
    """A file without one of COCO's lists trains on nothing; it is refused."""
    edit_json(root / TRAIN_JSON, lambda content: content.pop(lacking))
    with pytest.raises(
        ConfigError, match=rf"instances_train\.json\) is no COCO annotation file: it has no list '{lacking}'"
    ):
        check_config(detection)


def test_unlabelled_test_set_passes_where_nothing_is_scored(detection: Config, root: Path) -> None:
    """COCO's test-dev files have no annotations: fine for format_only, not otherwise."""
    edit_json(root / "annotations/instances_val.json", lambda content: content.pop("annotations"))
    with pytest.raises(ConfigError, match="it has no list 'annotations'"):
        check_config(detection, ("test_dataloader",))
    detection.test_evaluator.format_only = True
    check_config(detection, ("test_dataloader",))


@pytest.mark.parametrize(
    ("key", "message"),
    [("image_id", "there is no image 999"), ("category_id", "there is no category 999")],
)
def test_dangling_annotations(detection: Config, root: Path, key: str, message: str) -> None:
    """Annotations that point nowhere are named and counted, not skipped in silence."""
    edit_json(root / TRAIN_JSON, lambda content: [one.update({key: 999}) for one in content["annotations"][:7]])
    with pytest.raises(ConfigError, match=rf"(?s)annotation \d+: {message}\n.*and 2 more"):
        check_config(detection)


def test_class_names_that_the_file_lacks(detection: Config, root: Path) -> None:
    """MMDetection drops the objects of a class whose name is spelt otherwise in the file, without a word."""
    edit_json(root / TRAIN_JSON, lambda content: content["categories"][0].update(name="Fluorescence-Nucleus"))
    with pytest.raises(ConfigError) as error:
        check_config(detection)
    assert "lacks 1 of the 2 classes" in str(error.value)
    assert "'fluorescence-nucleus'" in str(error.value) and "'Fluorescence-Nucleus'" in str(error.value)


def test_class_names_in_another_order(detection: Config, root: Path) -> None:
    """MMDetection numbers classes in the file's order, so another order in the config swaps their names."""
    edit_json(root / TRAIN_JSON, lambda content: content["categories"].reverse())
    with pytest.raises(ConfigError, match=r"another order.*classes=\('histology-nucleus', 'fluorescence-nucleus'\)"):
        check_config(detection)


def test_classes_default_to_those_of_the_data_set_class(detection: Config) -> None:
    """Without metainfo a CocoDataset asks for COCO's 80 names, a common slip with one's own file."""
    del detection.train_dataloader.dataset.dataset["metainfo"]
    with pytest.raises(ConfigError, match="lacks 80 of the 80 classes"):
        check_config(detection)


def test_panoptic_file(tmp_path: Path) -> None:
    """In a panoptic file the categories stand in each annotation's segments."""
    path = tmp_path / "panoptic.json"
    segments = [{"id": 5, "category_id": 1}, {"id": 6, "category_id": 1}]
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "height": 2, "width": 2}],
        "annotations": [{"image_id": 1, "file_name": "a.png", "segments_info": segments}],
        "categories": [{"id": 1, "name": "sky", "isthing": 0}],
    }
    path.write_text(json.dumps(content))
    check_file(str(path), "ann_file", ("sky",))
    segments[1]["category_id"] = 2
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="annotation 6: there is no category 2"):
        check_file(str(path), "ann_file", ("sky",))


def test_annotation_file_not_set(detection: Config) -> None:
    """MMEngine's default is an empty name, which would end in a FileNotFoundError for ''."""
    del detection.train_dataloader.dataset.dataset["ann_file"]
    with pytest.raises(ConfigError, match=r"train_dataloader\.dataset\.dataset\.ann_file is not set"):
        check_config(detection)


def test_entry_without_an_id(detection: Config, root: Path) -> None:
    """An incomplete entry names the key that it lacks."""
    edit_json(root / TRAIN_JSON, lambda content: content["images"][0].pop("file_name"))
    with pytest.raises(ConfigError, match=r"an entry lacks what COCO asks of it .*'file_name'"):
        check_config(detection)


# --- images and label maps


def test_missing_images_are_named_and_counted(detection: Config, root: Path) -> None:
    """The first few missing images are named, with their number."""
    removed = sorted((root / "train").iterdir())
    for path in removed:
        path.unlink()
    with pytest.raises(ConfigError, match=rf"(?s)6 of the 6 files .*{removed[0]}: no such file.*and 1 more"):
        check_files(built_dataset(detection), "train_dataloader.dataset")


def test_truncated_jpeg_is_found_by_its_end(root: Path) -> None:
    """OpenCV decodes a truncated JPEG to a half grey picture without an error; its missing end gives it away."""
    path = next((root / "train").iterdir())
    data = path.read_bytes()
    assert end_fault(str(path)) is None
    path.write_bytes(data[: len(data) // 2])
    assert re.search("truncated", end_fault(str(path)))
    path.write_bytes(data + b"\n\0 something appended")
    assert end_fault(str(path)) is None


def test_truncated_png_is_found_by_its_end(root: Path) -> None:
    """The same for PNG."""
    path = next((root / "semantic/train").iterdir())
    path.write_bytes(path.read_bytes()[:-200])
    assert str(path) in end_fault(str(path))


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "the file is empty"), (b"<html>404</html>", "it is not an image")]
)
def test_file_that_is_no_image(root: Path, content: bytes, message: str) -> None:
    """An empty file and a saved error page are named."""
    path = next((root / "train").iterdir())
    path.write_bytes(content)
    assert end_fault(str(path)) == f"{path}: {message}"


def test_png_with_a_broken_middle_is_found_by_decoding(root: Path) -> None:
    """A file whole at both ends and broken between needs the decoder."""
    path = next((root / "semantic/train").iterdir())
    data = bytearray(path.read_bytes())
    data[60:90] = bytes(30)
    path.write_bytes(data)
    assert end_fault(str(path)) is None
    assert str(path) in decode_fault(str(path))


def test_corrupt_image_stops_the_check(segmentation: Config, root: Path) -> None:
    """The check of a data set names the corrupt image and its config key."""
    path = sorted((root / "train").iterdir())[3]
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ConfigError, match=rf"train_dataloader\.dataset: 1 of the 12 files .*\n  {path}: .*truncated"):
        check_files(built_dataset(segmentation), "train_dataloader.dataset")


@pytest.mark.parametrize("reduce_zero_label", [True, False])
def test_label_values_outside_the_classes(segmentation: Config, root: Path, reduce_zero_label: bool) -> None:
    """File, value and number of classes are named, and reduce_zero_label, the usual cause."""
    path = sorted((root / "semantic/train").iterdir())[0]
    label_map = np.asarray(Image.open(path)).copy()
    label_map[0, :3] = (0, 255, 7)
    Image.fromarray(label_map).save(path)
    segmentation.train_dataloader.dataset.reduce_zero_label = reduce_zero_label
    dataset = built_dataset(segmentation)
    with pytest.raises(ConfigError) as error:
        check_files(dataset, "train_dataloader.dataset")
    # Without reduction 3, the last class of six maps, is outside as well.
    values = "7" if reduce_zero_label else r"(3, )?7"
    assert re.search(rf"{path}: value {values}\n", str(error.value))
    assert f"3 classes and reduce_zero_label={reduce_zero_label}" in str(error.value)


def test_label_values_agree_with_what_the_pipeline_makes_of_them(segmentation: Config, root: Path) -> None:
    """The check predicts the very values that MMSegmentation's loader gives, for classes chosen from a set's own."""
    from mmseg.datasets import ADE20KDataset

    from mmswinv2.engine.preflight.label_maps import class_of

    path = sorted((root / "semantic/train").iterdir())[0]
    label_map = np.zeros_like(np.asarray(Image.open(path)))
    label_map.flat[:256] = np.arange(256)
    Image.fromarray(label_map).save(path)
    settings = segmentation.train_dataloader.dataset
    classes = ADE20KDataset.METAINFO["classes"][10:30]
    settings.update(type="ADE20KDataset", metainfo=dict(classes=classes), pipeline=settings.pipeline[:2])
    for reduce_zero_label in (True, False):
        settings.reduce_zero_label = reduce_zero_label
        dataset = built_dataset(segmentation)
        loaded = dataset[0]["gt_seg_map"].flat[:256].tolist()
        assert loaded == [class_of(value, dataset) for value in range(256)]


def test_corrupt_label_map(segmentation: Config, root: Path) -> None:
    """A label map that does not decode, or has three channels, is named."""
    first, second = sorted((root / "semantic/train").iterdir())[:2]
    data = bytearray(first.read_bytes())
    data[60:90] = bytes(30)
    first.write_bytes(data)
    Image.open(second).convert("RGB").save(second)
    with pytest.raises(ConfigError, match=rf"(?s)2 of the 6 files.*{first}: .*{second}: a label map has one channel"):
        check_files(built_dataset(segmentation), "train_dataloader.dataset")


def test_sample_is_even_and_keeps_small_sets_whole() -> None:
    """A sample covers a sorted set from end to end."""
    assert spread([1, 2, 3], 3) == [1, 2, 3]
    sample = spread(range(118_287), 500)
    assert len(set(sample)) == 500
    assert set(np.diff(sample).tolist()) <= {236, 237}


# --- class counts


def stock(package: object, path: str) -> Config:
    """A stock config of MMDetection or MMSegmentation."""
    return Config.fromfile(Path(package.__file__).parent / ".mim/configs" / path)


def built_model(cfg: Config) -> torch.nn.Module:
    """A model without memory for its weights."""
    with DefaultScope.overwrite_default_scope(cfg.default_scope), torch.device("meta"):
        return MODELS.build(cfg.model)


STOCK = {
    "faster-rcnn": (mmdet, "faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py", "model.roi_head.bbox_head.num_classes"),
    "cascade": (
        mmdet,
        "cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco.py",
        r"model.roi_head.bbox_head.2.num_classes is 80(?s:.*)model.roi_head.mask_head.0.num_classes is 80",
    ),
    "htc": (mmdet, "htc/htc_r50_fpn_1x_coco.py", "model.roi_head.mask_head.2.num_classes"),
    "retinanet": (mmdet, "retinanet/retinanet_r50_fpn_1x_coco.py", "model.bbox_head.num_classes"),
    "deformable-detr": (mmdet, "deformable_detr/deformable-detr_r50_16xb2-50e_coco.py", "model.bbox_head.num_classes"),
    "mask2former": (
        mmdet,
        "mask2former/mask2former_r50_8xb2-lsj-50e_coco.py",
        r"model.panoptic_head.num_things_classes \+ num_stuff_classes",
    ),
    "panoptic-fpn": (mmdet, "panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco.py", "model.roi_head.bbox_head.num_classes"),
    "mask2former-panoptic": (
        mmdet,
        "mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py",
        r"model.panoptic_head.num_things_classes \+ num_stuff_classes",
    ),
    "upernet": (
        mmseg,
        "upernet/upernet_r50_4xb4-160k_ade20k-512x512.py",
        r"model.decode_head.num_classes is 150(?s:.*)model.auxiliary_head.num_classes is 150",
    ),
    "mask2former-semantic": (
        mmseg,
        "mask2former/mask2former_r50_8xb2-160k_ade20k-512x512.py",
        "model.decode_head.num_classes",
    ),
}


@pytest.mark.parametrize("name", STOCK)
def test_class_counts_of_stock_configs(name: str) -> None:
    """Stock configs pass with their own data, RPN and stuff heads included; with other data their keys are named."""
    package, path, keys = STOCK[name]
    cfg = stock(package, path)
    model = built_model(cfg)
    metainfo = dataset_class(cfg.train_dataloader.dataset, cfg.default_scope).METAINFO
    check_class_counts(model, metainfo, "train_dataloader.dataset")
    with pytest.raises(ConfigError, match=rf"train_dataloader\.dataset disagree(?s:.*){keys}(?s:.*)the data has 2"):
        check_class_counts(model, dict(classes=("cat", "dog")), "train_dataloader.dataset")


def test_region_proposals_have_one_class_by_design() -> None:
    """The detector RPN, whose head tells objects from background only, passes on COCO's 80 classes."""
    cfg = stock(mmdet, "rpn/rpn_r50_fpn_1x_coco.py")
    check_class_counts(built_model(cfg), dict(classes=tuple(map(str, range(80)))), "train_dataloader.dataset")


def test_single_class_without_its_comma(detection: Config) -> None:
    """classes=('cat') is a string of three letters."""
    with pytest.raises(ConfigError, match=r"write classes=\('cat',\)"):
        check_class_counts(built_model(detection), dict(classes="cat"), "train_dataloader.dataset")


# --- the hook


@pytest.fixture
def runner(segmentation: Config, tmp_path: Path) -> Iterator[Runner]:
    """A runner of the tiny UPerNet with the hook."""
    segmentation.custom_hooks = [dict(type="mmswinv2.DataCheckHook")]
    segmentation.work_dir = str(tmp_path / "work")
    segmentation.experiment_name = tmp_path.name
    return Runner.from_cfg(segmentation)


@pytest.mark.parametrize("split", ["train", "val"])
def test_hook_stops_before_the_first_iteration(runner: Runner, root: Path, split: str) -> None:
    """A broken image of training or validation data is named before anything is trained."""
    path = next((root / split).iterdir())
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ConfigError, match=rf"{split}_dataloader\.dataset: 1 of the \d+ files .*\n  {path}"):
        runner.train()
    assert runner.iter == 0


def test_hook_looks_at_a_test_set_of_its_own(runner: Runner, root: Path) -> None:
    """A test set other than the validation set is looked at when training starts."""
    shutil.copytree(root / "val", root / "test")
    path = next((root / "test").iterdir())
    path.write_bytes(b"")
    runner.cfg.test_dataloader.dataset.data_prefix.img_path = "test"
    with pytest.raises(ConfigError, match=rf"test_dataloader\.dataset: .*\n  {path}: the file is empty"):
        runner.train()


# --- unknown types


@pytest.mark.parametrize(
    ("key", "name", "near"),
    [
        ("model.backbone", "mmswinv2.SwinTransfomerV2", "mmswinv2.SwinTransformerV2"),
        ("model.backbone", "SwinTransformerV2", "mmswinv2.SwinTransformerV2"),
        ("model", "MaskRCN", "MaskRCNN"),
    ],
)
def test_unknown_model_type(detection: Config, key: str, name: str, near: str) -> None:
    """The config key is named, and the nearest registered name, with its scope where a config needs it."""
    detection.merge_from_dict({f"{key}.type": name})
    error = failing(MODELS.build, detection.model, detection)
    assert str(error).startswith(f"{key}.type: there is no model of type {name!r}; ")
    assert f"did you mean {near!r}?" in str(error)


def test_type_of_another_kind(detection: Config) -> None:
    """A data set in a model's place is recognised as what it is."""
    detection.model.roi_head.type = "CocoPanopticDataset"
    error = failing(MODELS.build, detection.model, detection)
    assert "the nearest name is 'CocoPanopticDataset', of the registry for 'dataset'" in str(error)


def test_type_like_nothing(detection: Config) -> None:
    """No far-fetched suggestion."""
    detection.model.roi_head.type = "Zzyzx"
    assert "no registered name is near it" in str(failing(MODELS.build, detection.model, detection))


def test_unknown_layer_of_mmcv(segmentation: Config) -> None:
    """mmcv's own words for an unknown norm, conv or upsample layer are understood as well."""
    segmentation.model.decode_head.norm_cfg = dict(type="SyncBM")
    error = failing(MODELS.build, segmentation.model, segmentation)
    assert str(error) == "model.decode_head.norm_cfg.type: there is no model of type 'SyncBM'; did you mean 'SyncBN'?"


def test_unknown_hook_and_data_set(detection: Config) -> None:
    """Every registry is known, wherever the type stands in the config."""
    detection.custom_hooks = [dict(type="mmswinv2.DataChekHook")]
    error = failing(HOOKS.build, detection.custom_hooks[0], detection)
    assert "custom_hooks.0.type: there is no hook" in str(error)
    assert "did you mean 'mmswinv2.DataCheckHook'?" in str(error)
    detection.train_dataloader.dataset.dataset.type = "CocoDatset"
    error = failing(check_config, detection, detection)
    assert str(error) == (
        "train_dataloader.dataset.dataset.type: there is no dataset of type 'CocoDatset'; did you mean 'CocoDataset'?"
    )


def test_other_key_errors_are_left_alone(detection: Config) -> None:
    """Only errors about types are rewritten."""
    assert explain_unknown_type(KeyError("img_path"), detection) is None
    assert explain_unknown_type(KeyError(), detection) is None


def failing(build: Callable[[object], object], part: object, cfg: Config) -> ConfigError:
    """The explanation of the KeyError that ``build`` raises."""
    with DefaultScope.overwrite_default_scope(cfg.default_scope), pytest.raises(KeyError) as error:
        build(part)
    return explain_unknown_type(error.value, cfg)
