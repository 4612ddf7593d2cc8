"""Evaluates a checkpoint on the config's test data."""

import argparse
import os
from copy import deepcopy

from mmengine.config import Config, ConfigDict

from ..errors import ConfigError
from ..preflight import leaf_datasets
from .runs import (
    add_config_arguments,
    add_run_arguments,
    build_runner,
    check_file,
    explained,
    require,
    run_config,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options, those of MMDetection's tools/test.py."""
    add_config_arguments(parser)
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="checkpoint: a path, a URL or hf-hub:OWNER/NAME")
    add_run_arguments(parser)
    parser.add_argument(
        "--out",
        help="keep the predictions: a .pkl file for detection; a .csv file for classification, with the path of each "
        "image, its label, the predicted class and its probability; for segmentation a folder of label maps, numbered "
        "as the data set's own (from 1 where it has reduce_zero_label)",
    )
    parser.add_argument("--show", action="store_true", help="show predictions in a window")
    parser.add_argument("--show-dir", help="folder for pictures of the predictions")
    parser.add_argument("--wait-time", type=float, default=2, help="seconds that --show shows a picture")
    parser.add_argument("--tta", action="store_true", help="test time augmentation: tta_model and tta_pipeline")


def run(args: argparse.Namespace) -> None:
    """Checks everything, then tests."""
    check_file(args.checkpoint, "checkpoint")
    cfg = run_config(args, training=False)
    cfg.load_from = args.checkpoint
    require(cfg, "model", "test_dataloader", "test_evaluator", "test_cfg")
    if args.show or args.show_dir:
        enable_visualization(cfg, args)
    if args.tta:
        enable_tta(cfg)
    if args.out:
        enable_dump(cfg, args.out)
    explained(lambda: build_runner(cfg, ("test_dataloader",)).test(), cfg)


def enable_visualization(cfg: Config, args: argparse.Namespace) -> None:
    """Turns the config's visualization hook on."""
    hook = cfg.get("default_hooks", {}).get("visualization")
    if hook is None:
        raise ConfigError(
            "--show and --show-dir need the visualization hook: in the config, "
            "default_hooks=dict(visualization=dict(type='DetVisualizationHook')), SegVisualizationHook for segmentation"
        )
    hook.draw = True
    hook.interval = 1  # upstream's MMSegmentation draws every 50th image
    if args.show:
        hook.show = True
        hook.wait_time = args.wait_time
    if args.show_dir and cfg.get("default_scope") == "mmdet":
        # MMDetection joins the folder to the run's own anew at every image; only an absolute one stays what it is.
        hook.test_out_dir = os.path.abspath(args.show_dir)
    elif args.show_dir:
        cfg.visualizer.save_dir = args.show_dir


def enable_tta(cfg: Config) -> None:
    """Puts the model under the config's ``tta_model`` and the data under its ``tta_pipeline``."""
    datasets = [dataset for _, dataset in leaf_datasets(cfg, ("test_dataloader",))]
    if cfg.get("default_scope") == "mmdet":
        if cfg.model.get("roi_head", {}).get("mask_head"):
            raise ConfigError(
                "--tta: MMDetection cannot merge masks. Test boxes alone, with "
                "--cfg-options model.roi_head.mask_head=None test_evaluator.metric=bbox"
            )
        cfg.setdefault("tta_model", default_det_tta_model())
        cfg.setdefault("tta_pipeline", default_det_tta_pipeline(datasets[0]))
    for name in ("tta_model", "tta_pipeline"):
        if name not in cfg:
            raise ConfigError(f"--tta needs {name} in the config")
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    for dataset in datasets:
        dataset.pipeline = cfg.tta_pipeline


def default_det_tta_model() -> ConfigDict:
    """Returns MMDetection's default, which merges the boxes of all views by non-maximum suppression."""
    return ConfigDict(type="DetTTAModel", tta_cfg=dict(nms=dict(type="nms", iou_threshold=0.5), max_per_img=100))


def default_det_tta_pipeline(dataset: ConfigDict) -> list[dict]:
    """Returns MMDetection's default: the test pipeline with and without a horizontal flip."""
    meta_keys = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor", "flip", "flip_direction")
    views = [
        [dict(type="RandomFlip", prob=1.0), dict(type="RandomFlip", prob=0.0)],
        [dict(type="PackDetInputs", meta_keys=meta_keys)],
    ]
    return [*deepcopy(dataset.pipeline[:-1]), dict(type="TestTimeAug", transforms=views)]


def enable_dump(cfg: Config, out: str) -> None:
    """Lets the evaluator keep the predictions in ``out``."""
    evaluators = cfg.test_evaluator if isinstance(cfg.test_evaluator, list) else [cfg.test_evaluator]
    if cfg.get("default_scope") == "mmseg":
        for evaluator in evaluators:
            evaluator.update(output_dir=out)
        return
    if str(cfg.model.type).endswith("ImageClassifier"):
        suffixes: tuple[str, ...] = (".csv",)
        dump = dict(type="mmswinv2.PredictionTable", out_file=out)
    else:
        kind = "mmdet.DumpDetResults" if cfg.get("default_scope") == "mmdet" else "DumpResults"
        suffixes = (".pkl", ".pickle")
        dump = dict(type=kind, out_file_path=out)
    if not out.endswith(suffixes):
        raise ConfigError(f"--out takes a {suffixes[0]} file for this config, got {out}")
    cfg.test_evaluator = [*evaluators, dump]
