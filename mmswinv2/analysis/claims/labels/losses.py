"""How SimMIM's loss on held-out images develops with the number of images and the width of the model.

Each is trained as the SimMIM from which the tasks of nuclei start. The one of all images in its width is that one.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

from ...study import Measurement, Options, Trained, Training, tested, validated
from ...subsets import nested_order, subset, write_list
from .tasks import NUCLEI_PRETRAINING, nuclei_classes

METRIC = "reconstruction/l1"
HEAD_WIDTH = 32  # channels of a head, as in every arch
TASKS_OWN = (100, 32)  # percent of the images and width of the tasks' SimMIM, as its config has them


class Measured(NamedTuple):
    """What is measured of a SimMIM.

    Attributes:
        held_out: Its curve on held-out images.
        seen: Its loss at the end on the smallest part of the images, which every SimMIM has been trained on, with the
            crops and masks of a test. What is learnt by heart is better there than on images held out.
    """

    held_out: Measurement
    seen: Measurement


def measured_losses(
    files: Path, percents: Sequence[int], widths: Sequence[int], options: Options
) -> Iterator[tuple[tuple[int, int], Measured]]:
    """Yields for each percent of the images and width what is measured, with seed 0.

    Args:
        files: Folder for the lists of images.
        percents: Percent of the images, ascending; a smaller part lies inside a larger one.
        widths: Channels of the first stage, multiples of 32.
        options: Settings of the trainings besides their own.
    """
    order = nested_order(nuclei_classes(), seed=0)
    lists = {percent: write_list(files / f"simmim_{percent}.txt", subset(order, percent)) for percent in percents}
    for width, percent in product(widths, percents):
        if (percent, width) == TASKS_OWN:
            training = NUCLEI_PRETRAINING.training(files, options)
        else:
            training = training_on(lists[percent], percent, width, options)
        trained_on = f"{percent} % of the images, width {width}"
        seen = lists[percents[0]]
        yield (
            (percent, width),
            Measured(
                Measurement(f"held-out loss, {trained_on}", training, held_out_losses, cost=0.1),
                Measurement(f"loss on {percents[0]} % of the images, {trained_on}", training, loss_on(seen), cost=5.0),
            ),
        )


def training_on(images: str, percent: int, width: int, options: Options) -> Training:
    """Returns the SimMIM of this width on this part of the images, of which ``images`` is the list."""
    own = (
        ("train_dataloader.dataset.ann_file", images),
        ("model.backbone.arch.embed_dims", width),
        ("model.backbone.arch.num_heads", tuple(width // HEAD_WIDTH * times for times in (1, 2, 4))),
        ("randomness.seed", 0),
    )
    name = f"{NUCLEI_PRETRAINING.name}_{percent}_width{width}"
    return Training(name, NUCLEI_PRETRAINING.config, (*own, *options), cost=45.0 * width)


def held_out_losses(trained: Trained) -> list[tuple[int, float]]:
    """Returns the loss curve of a SimMIM: (iteration, loss on held-out images)."""
    return [(record["step"], record[METRIC]) for record in validated(trained)]


def loss_on(images: str) -> Callable[[Trained], float]:
    """Returns a measurement: the loss of a SimMIM on training images, with the crops and masks of a test.

    Args:
        images: File with a list of them.
    """
    dataset = "test_dataloader.dataset"
    test = tested(((f"{dataset}.data_root", "demo/nuclei/train"), (f"{dataset}.ann_file", images)))
    return lambda trained: test(trained)[METRIC]
