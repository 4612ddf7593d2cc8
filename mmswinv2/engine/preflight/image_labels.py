"""Do the labels of an image data set fit the classifier, and do its splits number the classes alike?"""

from ...datasets import ImageDataset
from ...models.image_classifier import ImageClassifier
from .errors import ConfigError, name_some


def check_labels(model: ImageClassifier, dataset: ImageDataset, key: str) -> None:
    """Compares the greatest label with the classifier's number of classes.

    Args:
        model: The classifier.
        dataset: The data, whose classes may have no names.
        key: Its config key, for the error.

    Raises:
        ConfigError: Names the list file, the label and the setting of the model.
    """
    if dataset.max_label >= model.num_classes:
        raise ConfigError(
            f"{key}.ann_file ({dataset.ann_file}) has the label {dataset.max_label}, but model.num_classes is "
            f"{model.num_classes}: labels count from 0, so they go up to {model.num_classes - 1}. Mend the list or the "
            "model"
        )


def check_same_classes(train: ImageDataset, other: ImageDataset, key: str) -> None:
    """Compares the classes of the training data with those of a data set to evaluate on, where both have names.

    Raises:
        ConfigError: Names the first labels that mean different classes.
    """
    names, others = train.metainfo.get("classes"), other.metainfo.get("classes")
    if not names or not others or names == others:
        return
    pairs = enumerate(zip(names, others, strict=False))
    differing = [f"label {label}: {name} and {another}" for label, (name, another) in pairs if name != another]
    raise ConfigError(
        f"Training has {len(names)} classes and {key} {len(others)}, numbered differently:\n"
        f"{name_some(differing or [f'one ends after label {min(len(names), len(others)) - 1}'])}\n"
        "Labels follow the sorted names of the class folders: mend these, or set the same metainfo.classes in both"
    )
