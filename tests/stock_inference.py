"""Predicts as a user's script does, through both interfaces of MMDetection or MMSegmentation.

Run by itself: ``python stock_inference.py mmdet|mmseg CONFIG CHECKPOINT IMAGE OUT``. Nothing here imports mmswinv2:
the config's ``type`` has to bring it.
"""

import sys
from typing import Any

import torch
from torch import Tensor


def detect(config: str, checkpoint: str, image: str) -> list[Any]:
    """Data samples of ``inference_detector`` and of ``DetInferencer``."""
    from mmdet.apis import DetInferencer, inference_detector, init_detector

    refuse_import()
    model = init_detector(config, checkpoint, device="cpu")
    inferencer = DetInferencer(config, checkpoint, device="cpu", show_progress=False)
    return [inference_detector(model, image), *inferencer(image, return_datasamples=True)["predictions"]]


def segment(config: str, checkpoint: str, image: str) -> list[Any]:
    """Data samples of ``inference_model`` and of ``MMSegInferencer``."""
    from mmseg.apis import MMSegInferencer, inference_model, init_model

    refuse_import()
    model = init_model(config, checkpoint, device="cpu")
    inferencer = MMSegInferencer(config, checkpoint, device="cpu")
    return [inference_model(model, image), inferencer(image, return_datasamples=True)]


def refuse_import() -> None:
    """Fails if the package came along before a config named it."""
    if "mmswinv2" in sys.modules:
        raise RuntimeError("mmswinv2 is imported already: this script proves nothing")


def predicted_tensors(sample: Any) -> dict[str, Tensor]:
    """What a data sample of either library predicts."""
    if "pred_instances" in sample:
        return {name: sample.pred_instances[name] for name in ("bboxes", "scores", "labels", "masks")}
    return {"logits": sample.seg_logits.data, "labels": sample.pred_sem_seg.data}


if __name__ == "__main__":
    package, *paths, out = sys.argv[1:]
    samples = {"mmdet": detect, "mmseg": segment}[package](*paths)
    torch.save([predicted_tensors(sample) for sample in samples], out)
