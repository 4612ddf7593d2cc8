"""Do batches come in pairs where Mixup mixes pairs? An odd last one would stop the run at an epoch's end."""

from mmengine.config import Config

from .errors import ConfigError


def check_mixed_batches(cfg: Config, loaders: tuple[str, ...]) -> None:
    """Checks the training batches of a model with :class:`MixupPreprocessor`.

    Raises:
        ConfigError: Some batch can have an odd number of images.
    """
    preprocessor = (cfg.get("model") or {}).get("data_preprocessor") or {}
    loader = cfg.get("train_dataloader")
    if not loader or "train_dataloader" not in loaders or not _mixes(preprocessor.get("type")):
        return
    batch_size = loader.get("batch_size")
    if isinstance(batch_size, int) and batch_size % 2:
        raise ConfigError(
            f"train_dataloader.batch_size is {batch_size}, but Mixup and CutMix mix pairs: set an even one, or take "
            "model.data_preprocessor out"
        )
    if not loader.get("drop_last") and not _never_ends(loader.get("sampler") or {}):
        raise ConfigError(
            "The last batch of an epoch can have an odd number of images, but Mixup and CutMix mix pairs: set "
            "train_dataloader.drop_last=True"
        )


def _mixes(kind: str | type | None) -> bool:
    name = kind if isinstance(kind, str) else getattr(kind, "__name__", "")
    return name.split(".")[-1] == "MixupPreprocessor"


def _never_ends(sampler: dict) -> bool:
    return bool(sampler.get("infinite")) or "InfiniteSampler" in str(sampler.get("type"))
