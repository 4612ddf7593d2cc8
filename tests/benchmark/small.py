"""A small model and a small case, which every contender can build in a moment."""

from mmswinv2.arch import Arch
from mmswinv2.benchmark.cases import Case

ARCH = Arch(embed_dims=32, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8))
# Square, and a power of two: other libraries fill a map up to whole windows and let tokens attend to the filling.
CASE = Case(ARCH, size=(64, 64), window=8, mode="inference", threads=1)
