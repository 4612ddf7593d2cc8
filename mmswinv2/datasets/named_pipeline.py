"""Errors of a pipeline that say which image of which data set and which transform failed."""

from typing import Any

from mmengine.dataset import BaseDataset, Compose
from torch.utils.data import DataLoader, get_worker_info

from ..errors import DataError, UserError
from ..upstream import innermost_datasets


class NamedPipeline(Compose):
    """The same transforms. What fails in them, in a worker process too, becomes a :class:`DataError` with a name.

    Where the size of a loaded image is not what its entry says, or not that of its label map, training would be on
    nonsense: that is an error too. A check before the run sees it only where it decodes all images.

    Args:
        pipeline: MMEngine's.
        key: Config key of the data set.
    """

    def __init__(self, pipeline: Compose, key: str) -> None:
        self.transforms = pipeline.transforms
        self.key = key

    def __call__(self, data: dict[str, Any]) -> dict[str, Any] | None:
        """Returns the sample that the transforms make of an entry; None if they leave it out.

        Raises:
            DataError: A transform fails, or what it loads does not fit the entry.
        """
        path = data.get("img_path")
        said = (data["height"], data["width"]) if data.get("height") and data.get("width") else None
        sample: dict[str, Any] | None = data
        for transform in self.transforms:
            mapped = sample is not None and "gt_seg_map" in sample
            try:
                sample = transform(sample)
            except UserError:
                raise  # it has a name
            except Exception as error:  # a transform may be the user's own, it raises anything
                reason = f"{type(transform).__name__} fails with {type(error).__name__}: {error}"
                raise self._error(path, reason) from error
            if sample is None:
                return None
            self._check_sizes(path, sample, said, mapped)
        return sample

    def _check_sizes(self, path: object, sample: dict[str, Any], said: tuple[int, int] | None, mapped: bool) -> None:
        """Compares the size of the image, as it was loaded, with the entry's and the label map's."""
        if not isinstance(sample, dict) or "ori_shape" not in sample:
            return
        size = tuple(sample["ori_shape"][:2])
        if said and size != said:
            raise self._error(
                path,
                f"it is loaded with {size[1]} x {size[0]} px, but its entry says {said[1]} x {said[0]} px, to which "
                "boxes and masks belong",
            )
        if "gt_seg_map" in sample and not mapped and (shape := sample["gt_seg_map"].shape[:2]) != size:
            sides = " x ".join(map(str, reversed(shape)))
            raise self._error(path, f"it has {size[1]} x {size[0]} px, but its label map {sides} px")

    def _error(self, path: object, reason: str) -> UserError:
        error = DataError(f"{self.key}: {path}: {reason}\n'mmswinv2 check CONFIG' lists all faults of the data")
        return error.framed() if get_worker_info() else error


def name_pipelines(loader: DataLoader, key: str) -> None:
    """Makes the pipelines of all data sets in a loader name what fails.

    Args:
        loader: Its workers have not started yet.
        key: Config key of the loader.
    """
    for name, dataset in innermost_datasets(f"{key}.dataset", loader.dataset):
        if isinstance(dataset, BaseDataset):
            dataset.pipeline = NamedPipeline(dataset.pipeline, name)
