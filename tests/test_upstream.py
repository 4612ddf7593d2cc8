"""What this project touches of other packages and they do not document. Where a test fails, theirs has changed.

The mend is in ``mmswinv2/upstream.py`` alone: find in the new version what the name was for, and change the function.
Names of configs are in ``test_upstream_configs.py``.
"""

import ast
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from mmengine.dataset import BaseDataset
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from torch.utils.data import DataLoader

from mmswinv2 import upstream

from .support import ROOT


class Numbers(BaseDataset):
    """Ten entries, which is all that these tests ask of a data set."""

    METAINFO: ClassVar[dict[str, Any]] = dict(classes=("a", "b"))

    def load_data_list(self) -> list[dict[str, Any]]:
        return [{"number": number} for number in range(10)]


def python(script: str) -> str:
    """What a new process prints: whether MMEngine is imported already matters here."""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_imports_neither_torch_nor_mmengine() -> None:
    """The finder waits for MMEngine's import, it does not bring it about."""
    assert python("import sys, mmswinv2; print('torch' in sys.modules, 'mmengine' in sys.modules)") == "False False\n"


def test_the_finder_leaves_when_its_work_is_done() -> None:
    script = "import sys, mmswinv2\nbefore = len(sys.meta_path)\nimport mmengine.config\n"
    script += "print(before - len(sys.meta_path), type(sys.modules['mmengine.config.config'].__spec__).__name__)"
    assert python(script).split() == ["1", "ModuleSpec"]


def test_module_is_recorded_while_mmengine_initialises_it() -> None:
    """BaseModule._params_init_info: without it, MMEngine's log of initial values says nothing of loaded weights."""
    seen = []

    class Module(BaseModule):
        def _initialize(self) -> None: ...

        def init_weights(self) -> None:
            super().init_weights()

    def initializer(module: Module) -> None:
        seen.append(upstream.is_recorded(module))

    module = Module(init_cfg=dict(type=lambda: initializer))
    assert not upstream.is_recorded(module)
    module.init_weights()
    assert seen == [True] and not upstream.is_recorded(module)


def test_state_of_a_data_set() -> None:
    """BaseDataset._fully_initialized, _indices, _metainfo: ImageDataset lists its images in its own way."""
    dataset = Numbers(indices=3, lazy_init=True)
    assert not upstream.is_listed(dataset)
    assert upstream.chosen_indices(dataset) == 3
    upstream.set_listed(dataset)
    dataset.full_init()  # does nothing: the data set counts as listed
    assert upstream.is_listed(dataset) and not dataset.data_list
    upstream.own_metainfo(dataset)["classes"] = ("c",)
    assert dataset.metainfo["classes"] == ("c",)


def test_metainfo_without_a_data_set(tmp_path: Path) -> None:
    """BaseDataset._load_metainfo: the check of annotations needs class names before anything is built."""
    assert upstream.read_metainfo(Numbers, None)["classes"] == ("a", "b")
    (tmp_path / "names.txt").write_text("x\ny\n")
    assert upstream.read_metainfo(Numbers, dict(classes=str(tmp_path / "names.txt")))["classes"] == ["x", "y"]


def test_kinds_of_data_sets() -> None:
    """Told by the module that defines their load_data_list."""
    from mmdet.datasets import CityscapesDataset, CocoDataset, VOCDataset
    from mmseg.datasets import ADE20KDataset, BaseSegDataset

    assert upstream.reads_coco(CocoDataset) and not upstream.reads_coco(VOCDataset)
    assert not upstream.reads_coco(ADE20KDataset) and not upstream.reads_coco(object)
    assert upstream.lists_a_folder(BaseSegDataset) and upstream.lists_a_folder(ADE20KDataset)
    assert not upstream.lists_a_folder(CityscapesDataset)


def test_transform_that_loads_label_maps() -> None:
    """MMSegmentation's LoadAnnotations, told by name and module from those of MMDetection and mmcv."""
    from mmcv.transforms import LoadAnnotations as OfMmcv
    from mmdet.datasets.transforms import LoadAnnotations as OfMmdet
    from mmseg.datasets.transforms import LoadAnnotations as OfMmseg

    assert upstream.loads_label_map(OfMmseg())
    assert not upstream.loads_label_map(OfMmdet()) and not upstream.loads_label_map(OfMmcv())


@pytest.fixture
def bare_loops() -> Iterator[tuple[EpochBasedTrainLoop, IterBasedTrainLoop]]:
    """Loops without a runner."""
    epochs, iterations = (
        EpochBasedTrainLoop.__new__(EpochBasedTrainLoop),
        IterBasedTrainLoop.__new__(IterBasedTrainLoop),
    )
    epochs._epoch = 2
    iterations._iter, iterations.val_interval = 20, 7
    iterations.dynamic_milestones, iterations.dynamic_intervals = [0, 10], [7, 3]
    yield epochs, iterations


def test_state_of_loops(bare_loops: tuple[EpochBasedTrainLoop, IterBasedTrainLoop]) -> None:
    """_epoch and _decide_current_val_interval: resumable loops have a run of their own."""
    epochs, iterations = bare_loops
    upstream.count_epoch(epochs)
    assert epochs.epoch == 3
    upstream.choose_val_interval(iterations)
    assert iterations.val_interval == 3


PUBLIC = ("_asdict", "_fields", "_replace")  # a named tuple's, documented in spite of their underscore


def private_names(path: Path) -> Iterator[str]:
    """Attributes that begin with one underscore, of anything but self and cls, and that the module does not define."""
    tree = ast.parse(path.read_text())
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            of_itself = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if not of_itself and node.attr not in own and node.attr not in PUBLIC:
                yield f"{path.relative_to(ROOT)}:{node.lineno} {node.attr}"


def test_private_names_of_others_stand_in_one_file() -> None:
    modules = [path for path in sorted((ROOT / "mmswinv2").rglob("*.py")) if path.name != "upstream.py"]
    assert [name for path in modules for name in private_names(path)] == []


class Ends(list):
    """A data set whose entry 1 kills its process, or never comes."""

    def __init__(self, ends: bool) -> None:
        super().__init__(range(4))
        self.ends = ends

    def __getitem__(self, index: int) -> int:
        if index == 1 and self.ends:
            os.kill(os.getpid(), signal.SIGKILL)
        elif index == 1:
            time.sleep(60)
        return index


def test_torch_tells_of_a_worker_that_died() -> None:
    with pytest.raises(RuntimeError) as error:
        list(DataLoader(Ends(True), num_workers=1))
    fault = upstream.worker_fault(error.value)
    assert fault is not None and fault.reason == "was killed by signal: Killed" and len(fault.pids) == 1
    assert fault.seconds is None


def test_torch_tells_of_a_batch_that_does_not_come() -> None:
    with pytest.raises(RuntimeError) as error:
        list(DataLoader(Ends(False), num_workers=1, timeout=1))
    assert upstream.worker_fault(error.value) == upstream.WorkerFault("", (), 1.0)
    assert upstream.worker_fault(RuntimeError("shapes do not fit")) is None


def test_gloo_tells_of_a_process_that_is_gone(tmp_path: Path) -> None:
    """Here it ends of itself; that one hangs is tested in tests/engine/test_processes.py, with whole runs."""
    script = (
        "import sys, torch, torch.distributed as d\nfrom mmswinv2.upstream import lost_process\n"
        "rank = int(sys.argv[1])\n"
        f"d.init_process_group('gloo', init_method='file://{tmp_path}/meet', rank=rank, world_size=2)\n"
        "if rank:\n    import os; d.barrier(); os._exit(0)\n"
        "d.barrier()\ntry:\n    [d.all_reduce(torch.ones(1)) for _ in range(9)]\n"
        "except RuntimeError as error: print(lost_process(error), lost_process(RuntimeError('shapes')))"
    )
    ranks = [
        subprocess.Popen([sys.executable, "-c", script, str(rank)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    told, _ = ranks[0].communicate(timeout=120)
    ranks[1].wait(120)
    assert re.fullmatch(r"[^\[].*(closed by peer|reset by peer).* None\n", told, re.IGNORECASE), told


def test_the_part_that_was_being_built_is_told() -> None:
    """build_from_cfg keeps the config in ``cfg`` and the class in ``obj_cls``; of nested parts the inner one counts."""
    neck = dict(type="FPN", in_channels=3, out_channels=4, num_outs=1)
    model = dict(type="SingleStageDetector", backbone=dict(type="ResNet", depth=18), neck=neck, _scope_="mmdet")
    with pytest.raises(AssertionError) as error:
        MODELS.build(model)
    found = upstream.failed_build(error.value)
    assert found is not None
    assert found[0]["type"] == "FPN" and found[1].__name__ == "FPN"
    assert upstream.failed_build(ValueError()) is None
