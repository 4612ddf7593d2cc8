"""Metadata of the package. Tool settings are in pyproject.toml, the set-up for developers in the Makefile."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "mmswinv2/__init__.py").read_text()).group(1)


class BuildWithRecipes(build_py):
    """Puts the recipes, the tools and their index into ``mmswinv2/.mim``, where MMEngine and MIM look for them.

    In a checkout links stand there, and an editable installation uses them; a wheel gets the files.
    """

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        mim = Path(self.build_lib, "mmswinv2/.mim")
        shutil.rmtree(mim, ignore_errors=True)  # it may hold a config that was renamed since the last build
        for folder in ("configs", "tools"):
            shutil.copytree(HERE / folder, mim / folder, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(HERE / "model-index.yml", mim)


setup(
    cmdclass={"build_py": BuildWithRecipes},
    name="mmswinv2",
    version=VERSION,
    description="Swin Transformer V2 for OpenMMLab: detection, segmentation, pretraining",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["mmswinv2", "mmswinv2.*"]),
    package_data={"mmswinv2": ["py.typed"]},
    # Before torch 2.6 its safe reader of checkpoints had a hole (CVE-2025-32434). mmcv's compiled ops do not build
    # against torch 2.14 and later, whose headers need C++20.
    install_requires=["torch>=2.6,<2.14", "huggingface_hub>=0.26", "safetensors>=0.4", "filelock"],
    entry_points={"console_scripts": ["mmswinv2 = mmswinv2.cli:main"]},
    # Both lines of OpenMMLab install the packages mmengine, mmcv, mmdet and mmseg, so each would
    # overwrite the other: they are extras, and whoever has one already takes none.
    extras_require={
        "onedl": [
            "onedl-mmengine==0.10.12",
            "onedl-mmcv==2.3.6",
            "onedl-mmdetection==3.5.1",
            "onedl-mmsegmentation==1.4.2",
        ],
        # Upstream's last releases, which nobody maintains. `make test-upstream` runs the tests beside them, with
        # mmcv-lite and torchvision's kernels for mmcv's compiled ops: mmcv's own build is not tested. The last three
        # are what the packages import and do not ask for: mmseg ftfy and regex, mmengine pkg_resources.
        "openmmlab": [
            "mmengine==0.10.7",
            "mmcv==2.1.0",
            "mmdet==3.3.0",
            "mmsegmentation==1.2.2",
            "ftfy",
            "regex",
            "setuptools<82",
        ],
        # Detection and segmentation do without: timm brings torchvision, which has to fit torch to the build.
        # Pillow 13 refuses timm's strongest posterize; RandAugment draws it now and then, and the training stops.
        "pretraining": ["timm>=1.0", "webdataset>=1.0", "pillow<13"],
        "dev": [
            "torchvision",
            "timm",
            "webdataset",
            "pillow<13",
            "transformers<5",
            "scikit-image",
            "tensorboard",
            "pytest",
            "pytest-xdist",
            "hypothesis",
            "ruff",
            "mypy",
        ],
    },
)
