"""Predicts for one image, or for all images of a folder and the folders in it.

The folder vis in --out-dir gets pictures with the predictions drawn, the folder preds what was predicted:
- detection: NAME.json with a list of objects, each with label (index), class, score, bbox (x1, y1, x2, y2 in pixels
  of the image) and, where the model makes masks, mask (COCO's run-length encoding);
- segmentation: NAME.png with one channel, the index of the class at every pixel, from 0;
- panoptic: NAME.png with one channel, index of the class + 1000 * instance; the index after the last class is void;
- classes.txt: the names of the classes in the order of their indices.
"""

import argparse
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mmcv import imread
from mmengine import dump, track_iter_progress
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.model import BaseModel
from mmengine.registry import VISUALIZERS
from mmengine.structures import BaseDataElement
from mmengine.visualization import Visualizer
from PIL import Image

from ..checkpoint import model_weights, read_checkpoint
from ..errors import ConfigError, DataError
from ..preflight import DECODED_SUFFIXES, check_weights, dataset_class, decode_fault, end_fault, leaf_datasets
from .runs import add_config_arguments, check_file, explained, load_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add_config_arguments(parser)
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="checkpoint: a path, a URL or hf-hub:OWNER/NAME")
    parser.add_argument("images", metavar="IMAGES", help="an image or a folder, whose folders are looked into as well")
    parser.add_argument("--out-dir", required=True, help="folder for vis/ and preds/")
    parser.add_argument("--device", default=get_device(), help="cpu, cuda:0, ...; default: a GPU if there is one")
    parser.add_argument(
        "--score-thr", type=float, default=0.3, help="draw objects of at least this score, 0 to 1; predictions keep all"
    )


def run(args: argparse.Namespace) -> None:
    """Predicts for every image. In the end it names those that cannot be read."""
    check_file(args.checkpoint, "checkpoint")
    cfg = load_config(args.config, args.cfg_options)
    images = find_images(Path(args.images))
    faults = []
    explained(lambda: faults.extend(infer(cfg, images, args)), cfg)
    print(
        f"\nPictures in {args.out_dir}/vis, predictions in {args.out_dir}/preds, of {len(images) - len(faults)} images"
    )
    if faults:
        raise DataError(f"{len(faults)} of {len(images)} images could not be read:\n  " + "\n  ".join(faults))


def find_images(path: Path) -> dict[Path, Path]:
    """Returns the images by the name, without suffix, that their outputs get below ``vis`` and ``preds``.

    Raises:
        ConfigError: There is no image, or two images would have the same name.
    """
    if path.is_file():
        return {Path(path.stem): path}
    if not path.exists():
        raise ConfigError(f"There is no image or folder {path.resolve()}")
    images: dict[Path, Path] = {}
    for file in sorted(file for file in path.rglob("*") if file.suffix.lower() in DECODED_SUFFIXES):
        name = file.relative_to(path).with_suffix("")
        if name in images:
            raise ConfigError(f"{images[name]} and {file} would overwrite each other's results: rename one")
        images[name] = file
    if not images:
        raise ConfigError(f"The folder {path.resolve()} has no images ({', '.join(sorted(DECODED_SUFFIXES))})")
    return images


def infer(cfg: Config, images: dict[Path, Path], args: argparse.Namespace) -> list[str]:
    """Writes pictures and predictions. Images that cannot be read are left out, and their faults returned."""
    out = Path(args.out_dir)
    model, predict = load_model(cfg, args.checkpoint, args.device)
    visualizer = build_visualizer(cfg, model)
    classes = model.dataset_meta["classes"]
    (out / "preds").mkdir(parents=True, exist_ok=True)
    (out / "preds/classes.txt").write_text("".join(f"{name}\n" for name in classes))
    faults = []
    for name, path in track_iter_progress(list(images.items())):
        fault = end_fault(str(path)) or decode_fault(str(path))
        if fault:
            faults.append(fault)
            continue
        result = predict(model, str(path)).cpu()
        save_prediction(result, out / "preds" / name, classes)
        visualizer.add_datasample(
            path.name,
            imread(str(path), channel_order="rgb"),
            data_sample=result,
            draw_gt=False,
            out_file=str(out / "vis" / f"{name}.png"),
            **({"pred_score_thr": args.score_thr} if cfg.default_scope == "mmdet" else {}),
        )
    return faults


def load_model(cfg: Config, source: str, device: str) -> tuple[BaseModel, Callable]:
    """Returns the model of a detection or segmentation config, and the function that predicts for an image file."""
    build, predict = model_functions(cfg)
    checkpoint = read_checkpoint(source).content
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MMDetection's, that without a checkpoint the classes are COCO's
        model = build(cfg, None, device=device)
    check_weights(model, checkpoint, whole_model=True)
    model.load_state_dict(model_weights(checkpoint), strict=False)  # the file may hold more than the model
    model.dataset_meta = dataset_meta(cfg, checkpoint)
    return model, predict


def model_functions(cfg: Config) -> tuple[Callable, Callable]:
    """Returns the functions of MMDetection or MMSegmentation that build a model and predict for an image file."""
    if cfg.get("default_scope") == "mmdet":
        from mmdet.apis import inference_detector, init_detector

        return init_detector, inference_detector
    if cfg.get("default_scope") == "mmseg":
        from mmseg.apis import inference_model, init_model

        return init_model, inference_model
    raise ConfigError(
        f"The config has default_scope={cfg.get('default_scope')!r}: this command predicts with 'mmdet' and 'mmseg'"
    )


def dataset_meta(cfg: Config, checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Returns classes and colours: those that the checkpoint was trained with, else those of the config's test data."""
    meta = {}
    for _, dataset in leaf_datasets(cfg, ("test_dataloader",)):
        meta = {**dataset_class(dataset, cfg.get("default_scope")).METAINFO, **dataset.get("metainfo", {})}
    trained = (checkpoint.get("meta") or {}).get("dataset_meta") or {}
    meta |= {name.lower(): value for name, value in trained.items()}
    if not meta.get("classes"):
        raise ConfigError("Neither the checkpoint nor the config's test_dataloader tells the names of the classes")
    return meta


def build_visualizer(cfg: Config, model: BaseModel) -> Visualizer:
    """Builds the config's visualizer without its backends, which would log every picture once more."""
    visualizer = VISUALIZERS.build({"name": "infer", **cfg.visualizer, "vis_backends": None})
    visualizer.dataset_meta = model.dataset_meta
    return visualizer


def save_prediction(result: BaseDataElement, stem: Path, classes: list[str]) -> None:
    """Writes a prediction beside ``stem`` in the form that suits it."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    if "pred_sem_seg" in result:
        save_map(result.pred_sem_seg.data.squeeze(0).numpy(), stem)
    if "pred_panoptic_seg" in result:
        save_map(result.pred_panoptic_seg.sem_seg.squeeze(0).numpy(), stem)
    if "pred_instances" in result:
        dump(objects(result.pred_instances, classes), f"{stem}.json")


def save_map(indices: np.ndarray, stem: Path) -> None:
    """Writes a map (H, W) of indices as PNG, of one byte a pixel if they fit."""
    dtype = np.uint8 if indices.max() < 256 else np.uint16
    Image.fromarray(indices.astype(dtype)).save(f"{stem}.png")


def objects(instances: BaseDataElement, classes: list[str]) -> list[dict]:
    """Turns predicted instances into plain dicts."""
    from mmdet.structures.mask import encode_mask_results

    found = [
        {"label": label, "class": classes[label], "score": score, "bbox": bbox}
        for label, score, bbox in zip(
            instances.labels.tolist(), instances.scores.tolist(), instances.bboxes.tolist(), strict=True
        )
    ]
    if "masks" in instances:
        for entry, mask in zip(found, encode_mask_results(instances.masks.numpy()), strict=True):
            entry["mask"] = {"size": mask["size"], "counts": mask["counts"].decode()}
    return found
