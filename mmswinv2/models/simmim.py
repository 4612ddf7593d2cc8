"""SimMIM: pretraining by predicting the pixels of masked patches (arXiv 2111.09886, in V2: 2111.09883, section 3.4)."""

from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import ConfigError
from ..layers.position_bias import without_autocast
from ..registry import MODELS
from .backbone import build_for_last_stage


def norm_targets(images: Tensor, window: int = 47) -> Tensor:
    """Subtracts from each pixel the mean of the window around it and divides by the deviation, by channel.

    This is what the official release computes. Near a border, mean and mean square are taken over the n
    pixels of the window that lie in the image. The variance is corrected by n / (n - 1).

    Args:
        images: (B, C, H, W).
        window: Side of the window in pixels, odd, at least 3.

    Returns:
        (B, C, H, W), float32 whatever the type of ``images`` or autocast: mean square minus squared mean
        cancels in half precision.

    Raises:
        ConfigError: ``window`` is even or below 3.
    """
    mean, deviation = local_statistics(images, window)
    return (images.float() - mean) / deviation


def local_statistics(images: Tensor, window: int = 47) -> tuple[Tensor, Tensor]:
    """Computes the mean and deviation of the window around each pixel, for :func:`norm_targets`.

    Returns:
        Two tensors of shape (B, C, H, W), float32.

    Raises:
        ConfigError: ``window`` is even or below 3.
    """
    if window < 3 or window % 2 == 0:
        raise ConfigError(f"the window of normalised targets must be an odd number of pixels, at least 3, got {window}")
    with without_autocast(images.device):
        x = images.float()
        mean = _window_mean(x, window)
        rows, columns = (_pixels_in_window(length, window, x.device) for length in x.shape[2:])
        count = rows[:, None] * columns  # (H, W)
        # An image of one pixel has no variance: its divisor would be 0.
        variance = (_window_mean(x.square(), window) - mean.square()) * count / (count - 1).clamp(min=1)
        return mean, (variance.clamp(min=0) + 1e-6).sqrt()


def _window_mean(x: Tensor, window: int) -> Tensor:
    """Computes the mean over the pixels of the window in the image, (B, C, H, W), float32."""
    return multiplied_mean(x, window) if x.device.type == "cpu" else pooled_mean(x, window)


def pooled_mean(x: Tensor, window: int) -> Tensor:
    """Averages one axis after the other, which is quicker than both together."""
    half = window // 2
    x = F.avg_pool2d(x, (window, 1), stride=1, padding=(half, 0), count_include_pad=False)
    return F.avg_pool2d(x, (1, window), stride=1, padding=(0, half), count_include_pad=False)


def multiplied_mean(x: Tensor, window: int) -> Tensor:
    """:func:`pooled_mean` as two matrix products: on CPUs pooling is slow, and most of it is the same sums again.

    In double precision, because torch may be told to round the factors of others, and mean squares cancel.
    """
    rows, columns = (_averages(length, window, x.device) for length in x.shape[2:])
    return (rows @ (x.double() @ columns.T)).float()


def _averages(length: int, window: int, device: torch.device) -> Tensor:
    """A matrix (length, length) whose product with a line of pixels is the mean of the window around each."""
    place = torch.arange(length, device=device)
    band = ((place[:, None] - place).abs() <= window // 2).double()
    return band / band.sum(dim=1, keepdim=True)


def _pixels_in_window(length: int, window: int, device: torch.device) -> Tensor:
    """Counts for each place on an axis the pixels of the window around it that lie on the axis, (length,)."""
    place, half = torch.arange(length, device=device), window // 2
    return (place + half).clamp(max=length - 1) - (place - half).clamp(min=0) + 1


@MODELS.register_module()
class SimMIM(BaseModel):
    """Pretrains a SwinV2: masked patches become one learnt token, and a linear head predicts their pixels.

    The head is a 1x1 convolution on the last stage. It predicts for each token the pixels below it. The loss
    is L1 on masked pixels alone.

    Args:
        backbone: Config of a :class:`SwinTransformerV2`; its ``out_indices`` is the last stage alone.
        target_window: Side in pixels, odd and at least 3, of the window over which targets are normalised; None: the
            pixels themselves are the targets.
        data_preprocessor: MMEngine's; images arrive normalised, so by default it only moves them.
        init_cfg: MMEngine's.

    Raises:
        ConfigError: The backbone returns other stages, or ``target_window`` has another value.
    """

    def __init__(
        self,
        backbone: dict[str, Any],
        target_window: int | None = 47,
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.backbone = build_for_last_stage(backbone, "SimMIM")
        if target_window is not None and (target_window < 3 or target_window % 2 == 0):
            raise ConfigError(
                f"target_window must be an odd number of pixels, at least 3, or None, got {target_window!r}"
            )
        self.target_window = target_window
        self.patch_size = self.backbone.patch_size
        self.stride = self.patch_size * 2 ** (len(self.backbone.arch.depths) - 1)
        dims = self.backbone.arch.stage_dims
        self.mask_token = nn.Parameter(torch.zeros(dims[0]))
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        self.head = nn.Sequential(
            nn.Conv2d(dims[-1], self.stride**2 * self.backbone.in_channels, kernel_size=1), nn.PixelShuffle(self.stride)
        )

    def forward(self, inputs: Tensor, mask: Tensor, mode: str = "tensor", **info: Any) -> Any:
        """Reconstructs images of which part is masked.

        Args:
            inputs: Normalised images (B, C, H, W); H and W are multiples of the last stage's stride.
            mask: (B, H / patch_size, W / patch_size), true or 1 where a patch is masked.
            mode: ``tensor``, ``loss`` or ``predict``.
            info: What else the data says of the images, such as ``img_path``; not used.

        Returns:
            ``tensor``: the prediction (B, C, H, W), in the space of the targets. ``loss``: a dict with
            ``loss``. ``predict``: for every image a dict with its ``loss``, a float.

        Raises:
            ConfigError: The shape of ``inputs`` or ``mask`` is another.
        """
        self._check_shapes(inputs, mask)
        prediction = self.reconstruct(inputs, mask)
        if mode == "tensor":
            return prediction
        error, pixels = self.masked_error(prediction, inputs, mask)
        if mode == "loss":
            return {"loss": error.sum() / pixels.sum().clamp(min=1)}
        return [{"loss": loss} for loss in (error / pixels.clamp(min=1)).tolist()]

    def get_layer_depth(self, param_name: str, prefix: str = "") -> tuple[int, int]:
        """Returns the layer of a parameter and the number of layers: first the mask token, last the head."""
        last, count = self.backbone.get_layer_depth(param_name, f"{prefix}backbone.")
        return (0 if param_name == f"{prefix}mask_token" else last), count

    def no_weight_decay_keywords(self) -> set[str]:
        """Returns the keywords of the backbone, and the mask token."""
        return {*self.backbone.no_weight_decay_keywords(), "mask_token"}

    def reconstruct(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """Predicts images (B, C, H, W) of which the backbone does not see the patches in ``mask``."""
        tokens = self.backbone.embed(inputs)  # (B, H / patch_size, W / patch_size, C)
        tokens = torch.where(mask.bool().unsqueeze(-1), self.mask_token.to(tokens.dtype), tokens)
        (features,) = self.backbone.forward_stages(tokens)  # (B, 8C, H / stride, W / stride)
        return self.head(features)

    def targets(self, inputs: Tensor) -> Tensor:
        """Returns what is to be predicted for normalised images, (B, C, H, W), float32."""
        return inputs.float() if self.target_window is None else norm_targets(inputs, self.target_window)

    def masked_error(self, prediction: Tensor, inputs: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the absolute error of each image's masked pixels and their number, both (B,).

        The error is averaged over channels and summed over the pixels.
        """
        masked = mask.to(torch.float32).unsqueeze(1)
        masked = masked.repeat_interleave(self.patch_size, 2).repeat_interleave(self.patch_size, 3)  # (B, 1, H, W)
        error = (prediction.float() - self.targets(inputs)).abs().mean(dim=1, keepdim=True)
        return (error * masked).sum(dim=(1, 2, 3)), masked.sum(dim=(1, 2, 3))

    def _check_shapes(self, inputs: Tensor, mask: Tensor) -> None:
        height, width = inputs.shape[2:]
        self.check_size(height, width)
        expected = (len(inputs), height // self.patch_size, width // self.patch_size)
        if tuple(mask.shape) != expected:
            raise ConfigError(f"the mask must have the shape {expected}, one entry a patch, got {tuple(mask.shape)}")

    def check_size(self, height: int, width: int) -> None:
        """Checks the size of an image in pixels.

        Raises:
            ConfigError: A side is no multiple of the last stage's stride.
        """
        if height % self.stride or width % self.stride:
            raise ConfigError(
                f"SimMIM needs images whose sides are multiples of the last stage's stride, {self.stride} px, "
                f"got {height} x {width}: change the pipeline's image size"
            )
