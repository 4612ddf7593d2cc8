"""What fails in a pipeline, in a real worker process, says which image, which data set and which transform."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import TRANSFORMS
from PIL import Image
from torch.utils.data import DataLoader

from mmswinv2.cli.runs import build_runner
from mmswinv2.datasets.named_pipeline import NamedPipeline
from mmswinv2.errors import DataError

from ..preflight import odd_images as odd
from ..preflight.test_image_data import PIPELINE
from ..tiny_nuclei import write_tiny_nuclei
from .trees import write_classes

CONFIGS = Path(__file__).parent.parent / "cli"


@TRANSFORMS.register_module()
class FailingTransform:
    """A transform of the user's own, with a fault."""

    def __call__(self, results: dict) -> dict:
        raise KeyError("mask")


def smaller_label_map(path: Path) -> None:
    label_map = path.parent.parent / f"semantic/train/{path.stem}.png"
    Image.open(label_map).resize((9, 8)).save(label_map)


DETECTION = {
    "gone": (odd.gone, "LoadImageFromFile fails with FileNotFoundError: "),
    "no image": (odd.text, "LoadImageFromFile fails with AssertionError: failed to load image"),
    "empty": (odd.empty, "LoadImageFromFile fails with "),
    "another size": (odd.sized(50, 60), "it is loaded with 50 x 60 px, but its entry says 256 x 256 px"),
    "turned": (odd.sized(256, 320), "it is loaded with 256 x 320 px, but its entry says 256 x 256 px"),
}
SEGMENTATION = {
    "gone": (odd.gone, "LoadImageFromFile fails with FileNotFoundError: "),
    "label map of another size": (smaller_label_map, "it has 256 x 256 px, but its label map 9 x 8 px"),
}
CASES = [
    ("tiny_mask_rcnn", "gone"),
    ("tiny_mask_rcnn", "turned"),
    *(pytest.param("tiny_mask_rcnn", fault, marks=pytest.mark.full) for fault in ("no image", "empty", "another size")),
    *(("tiny_upernet", fault) for fault in SEGMENTATION),
]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny data set that the tiny configs find."""
    monkeypatch.setenv("TINY_ROOT", str(tmp_path / "data"))
    return write_tiny_nuclei(tmp_path / "data")


def training_loader(cfg: Config, folder: Path, workers: int) -> DataLoader:
    """The loader of ``mmswinv2 train``, which goes through the images in their order."""
    cfg.update(work_dir=str(folder), experiment_name=folder.parent.name)
    cfg.train_dataloader.update(num_workers=workers, sampler=dict(type="DefaultSampler", shuffle=False))
    runner = build_runner(cfg, ("train_dataloader",))
    return runner.build_dataloader(runner.cfg.train_dataloader, seed=0)


@pytest.mark.parametrize("workers", [pytest.param(0, marks=pytest.mark.full), 1])
@pytest.mark.parametrize(("config", "fault"), CASES)
def test_a_fault_that_no_check_saw_has_a_name(
    config: str, fault: str, workers: int, root: Path, tmp_path: Path
) -> None:
    """A file that changes after the checks stands for one that their sample missed."""
    cfg = Config.fromfile(CONFIGS / f"{config}.py")
    change, message = (DETECTION if config == "tiny_mask_rcnn" else SEGMENTATION)[fault]
    loader = training_loader(cfg, tmp_path / "work", workers)
    key = "train_dataloader.dataset.dataset" if config == "tiny_mask_rcnn" else "train_dataloader.dataset"
    path = root / "train/00071198d059ba7f.jpg"
    change(path)
    with pytest.raises(DataError) as error:
        next(iter(loader))
    assert f"{key}: {path}: {message}" in str(error.value)
    assert str(error.value).count("00071198d059ba7f") <= 2  # the message alone, without a worker's traceback
    if "fails with" in message:
        assert error.value.__cause__ is not None


@pytest.mark.parametrize("workers", [pytest.param(0, marks=pytest.mark.full), 1])
@pytest.mark.parametrize("task", ["detection", "segmentation", "classification", "SimMIM"])
def test_a_transform_that_fails_is_named(task: str, workers: int, root: Path, tmp_path: Path) -> None:
    """For the recipes of all four kinds."""
    if task in ("detection", "segmentation"):
        cfg = Config.fromfile(CONFIGS / f"tiny_{'mask_rcnn' if task == 'detection' else 'upernet'}.py")
        dataset = cfg.train_dataloader.dataset
        dataset.get("dataset", dataset).pipeline.insert(2, dict(type=FailingTransform))
    else:
        cfg = image_config(tmp_path, with_label=task == "classification")
    loader = training_loader(cfg, tmp_path / "work", workers)
    with pytest.raises(DataError) as error:
        next(iter(loader))
    assert ".jpg: FailingTransform fails with KeyError: 'mask'" in str(error.value)
    assert "Traceback" not in str(error.value)
    cause = error.value.__cause__
    assert isinstance(cause, KeyError) if workers == 0 else "raise KeyError" in str(cause)


def image_config(folder: Path, with_label: bool) -> Config:
    """A classifier or SimMIM on class folders, with a transform that fails."""
    write_classes(folder / "images/train")
    backbone = dict(
        type="mmswinv2.SwinTransformerV2",
        arch=dict(embed_dims=8, depths=[1, 1], num_heads=[1, 2]),
        window_size=4,
        out_indices=(1,),
    )
    dataset = dict(type="mmswinv2.ImageDataset", data_root=str(folder / "images"), data_prefix=dict(img_path="train"))
    pipeline = [*PIPELINE[:1], dict(type=FailingTransform)]
    kind = dict(type="mmswinv2.ImageClassifier", num_classes=3) if with_label else dict(type="mmswinv2.SimMIM")
    return Config(
        dict(
            default_scope="mmengine",
            model=dict(**kind, backbone=backbone),
            train_dataloader=dict(batch_size=2, dataset=dict(**dataset, with_label=with_label, pipeline=pipeline)),
            train_cfg=dict(by_epoch=False, max_iters=1),
            optim_wrapper=dict(optimizer=dict(type="SGD", lr=1e-3)),
        )
    )


def test_good_data_is_the_same(root: Path, tmp_path: Path) -> None:
    """The same samples as without names, and of the same transforms."""
    cfg = Config.fromfile(CONFIGS / "tiny_mask_rcnn.py")
    loader = training_loader(cfg, tmp_path / "work", 0)
    pipeline = loader.dataset.dataset.pipeline
    assert isinstance(pipeline, NamedPipeline)
    entry = loader.dataset.dataset.get_data_info
    plain = Compose(pipeline.transforms)(entry(0))
    named = pipeline(entry(0))
    assert (plain["inputs"] == named["inputs"]).all()
    assert len(pickle.loads(pickle.dumps(pipeline)).transforms) == len(pipeline.transforms)


@pytest.mark.parametrize("change", [lambda results: None, lambda results: {"anything": 1}])
def test_samples_of_any_form_pass(change: Callable) -> None:
    """A transform may leave a sample out, and return what it likes."""
    pipeline = NamedPipeline(Compose([change]), "dataset")
    assert pipeline({"img_path": "a.jpg", "height": 1, "width": 1}) == change(None)
