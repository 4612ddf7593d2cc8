"""How SimMIM's loss on held-out images develops with the number of images and the width of the model."""

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

from ...study import Measurement, Options, Trained, Training, validated
from ...subsets import nested_order, subset, write_list
from .tasks import nuclei_classes

CONFIG = "analysis/labels_simmim-losses.py"
HEAD_WIDTH = 32  # channels of a head, as in every arch


def loss_curves(
    files: Path, percents: Sequence[int], widths: Sequence[int], options: Options
) -> Iterator[tuple[tuple[int, int], Measurement]]:
    """Yields for each percent of the images and width its loss curve, with seed 0.

    Args:
        files: Folder for the lists of images.
        percents: Percent of the images; a smaller part lies inside a larger one.
        widths: Channels of the first stage, multiples of 32.
        options: Settings of the trainings besides their own.
    """
    order = nested_order(nuclei_classes(), seed=0)
    for width, percent in product(widths, percents):
        images = write_list(files / f"simmim_{percent}.txt", subset(order, percent))
        heads = tuple(width // HEAD_WIDTH * times for times in (1, 2, 4))
        own = (
            ("train_dataloader.dataset.ann_file", images),
            ("model.backbone.arch.embed_dims", width),
            ("model.backbone.arch.num_heads", heads),
            ("randomness.seed", 0),
        )
        training = Training(f"simmim_width{width}_{percent}", CONFIG, (*own, *options), cost=20.0 * width)
        name = f"held-out loss, {percent} % of the images, width {width}"
        yield (percent, width), Measurement(name, training, held_out_losses, cost=0.1)


def held_out_losses(trained: Trained) -> list[tuple[int, float]]:
    """Returns the loss curve of a SimMIM: (iteration, loss on held-out images)."""
    return [(record["step"], record["reconstruction/l1"]) for record in validated(trained)]
