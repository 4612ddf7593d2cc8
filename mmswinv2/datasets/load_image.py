"""Reads the image of a data set's entry."""

from io import BytesIO
from typing import Any

from mmengine.fileio import get
from PIL import Image, UnidentifiedImageError

from ..registry import TRANSFORMS
from .unreadable import UnreadableImageError

PLACE_IN_SHARD = ("shard", "offset", "size")


@TRANSFORMS.register_module()
class LoadImage:
    """Adds ``inputs``, a PIL image in RGB, as torchvision's ImageFolder reads it: EXIF does not turn it.

    Args:
        backend_args: MMEngine's, for images elsewhere than on a disk.
    """

    def __init__(self, backend_args: dict | None = None) -> None:
        self.backend_args = backend_args

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Reads ``img_path``, or ``size`` bytes at ``offset`` of the file ``shard``.

        Raises:
            UnreadableImageError: Names the image and why it cannot be read.
        """
        try:
            with Image.open(BytesIO(self._bytes(results))) as image:
                inputs = image.convert("RGB")
        except UnidentifiedImageError as error:
            raise UnreadableImageError(f"{results['img_path']}: it is not an image") from error
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # PIL's, for broken content
            reason = getattr(error, "strerror", None) or str(error)
            raise UnreadableImageError(f"{results['img_path']}: {reason}") from error
        return {**{key: value for key, value in results.items() if key not in PLACE_IN_SHARD}, "inputs": inputs}

    def _bytes(self, results: dict[str, Any]) -> bytes:
        if "shard" not in results:
            return get(results["img_path"], backend_args=self.backend_args)
        with open(results["shard"], "rb") as file:
            file.seek(results["offset"])
            return file.read(results["size"])
