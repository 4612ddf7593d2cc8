"""Which images are found, in which order, under which label."""

from pathlib import Path

import pytest
from torchvision.datasets import ImageFolder

from mmswinv2.datasets.listing import class_folder_lines, class_folders, folder_lines, labelled_list_file_lines

from ..support import shared_data
from .trees import CLASSES, write_classes


def test_class_folders_are_read_as_torchvision_does() -> None:
    """Same classes, images, order and labels as ImageFolder, which official checkpoints were trained with."""
    root = shared_data("flowers5") / "train"
    peer = ImageFolder(root)
    classes = class_folders(str(root))
    assert classes == peer.classes
    lines = [line.rsplit(maxsplit=1) for line in class_folder_lines(str(root), classes)]
    assert [(str(root / path), int(label)) for path, label in lines] == peer.samples


def test_images_in_nested_folders_and_of_all_suffixes_are_found(tmp_path: Path) -> None:
    """Upper case suffixes as ImageNet's, folders within a class, names with blanks; no hidden and no other files."""
    names = ["b/z.jpg", "b/1.JPEG", "b/below/two words.png", "b/._1.JPEG", "b/readme.txt", "a/x.webp", ".cache/y.jpg"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert class_folders(str(tmp_path)) == ["a", "b"]
    lines = list(class_folder_lines(str(tmp_path), ["a", "b"]))
    assert lines == ["a/x.webp 0", "b/1.JPEG 1", "b/z.jpg 1", "b/below/two words.png 1"]
    assert list(folder_lines(str(tmp_path))) == ["a/x.webp", "b/1.JPEG", "b/z.jpg", "b/below/two words.png"]


def test_shards_of_a_tree_on_other_disks_are_found_through_links(tmp_path: Path) -> None:
    """A set may be spread over file systems by symbolic links."""
    write_classes(tmp_path / "disk")
    (tmp_path / "tree").mkdir()
    for name in CLASSES:
        (tmp_path / "tree" / name).symlink_to(tmp_path / "disk" / name)
    assert class_folders(str(tmp_path / "tree")) == list(CLASSES)
    assert list(folder_lines(str(tmp_path / "tree"))) == list(folder_lines(str(tmp_path / "disk")))


def test_empty_class_folders_are_named_and_counted(tmp_path: Path) -> None:
    """A class without images would silently never be learnt."""
    write_classes(tmp_path)
    for index in range(7):
        (tmp_path / f"empty{index}").mkdir()
    with pytest.raises(ValueError, match=r"7 of the 10 classes have no image: empty0, .*empty6\. Fill"):
        list(class_folder_lines(str(tmp_path), class_folders(str(tmp_path))))


def test_a_folder_without_class_folders_is_refused(tmp_path: Path) -> None:
    """Images in one heap have no labels: said, with what to do."""
    (tmp_path / "x.jpg").touch()
    with pytest.raises(ValueError, match=rf"{tmp_path} has no folder of a class.*with_label=False"):
        class_folders(str(tmp_path))


@pytest.mark.parametrize("lines", [folder_lines, class_folders])
def test_a_folder_that_is_not_there_is_named(tmp_path: Path, lines: object) -> None:
    with pytest.raises(ValueError, match=rf"no folder {tmp_path}/nowhere: mend data_root"):
        list(lines(str(tmp_path / "nowhere")))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a.jpg 0\nb.jpg\n", r"line 2: 'b\.jpg' does not end in a label"),
        ("a.jpg 0\n\nb.jpg cat\n", r"line 3: 'b\.jpg cat' does not end in a label"),
        ("a.jpg -1\n", "line 1: .* does not end in a label"),
        ("a.jpg 0\nb.jpg 3\n", r"line 2: 'b\.jpg 3' has the label 3, and metainfo\.classes names 3 classes, 0 to 2"),
    ],
)
def test_bad_lines_of_a_list_file_are_named(tmp_path: Path, content: str, message: str) -> None:
    """File and line are named."""
    path = tmp_path / "train.txt"
    path.write_text(content)
    with pytest.raises(ValueError, match=rf"{path}, {message}"):
        list(labelled_list_file_lines(str(path), 3))
