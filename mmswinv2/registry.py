"""Child registries of MMEngine's roots, scope ``mmswinv2``.

MMEngine imports this module by itself when a config names the scope, as in
``type='mmswinv2.SwinTransformerV2'``, and then the modules listed as locations.
"""

from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.registry import RUNNERS as MMENGINE_RUNNERS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry

MODELS = Registry("model", parent=MMENGINE_MODELS, scope="mmswinv2", locations=["mmswinv2.models"])
DATASETS = Registry("dataset", parent=MMENGINE_DATASETS, scope="mmswinv2", locations=["mmswinv2.datasets"])
TRANSFORMS = Registry("transform", parent=MMENGINE_TRANSFORMS, scope="mmswinv2", locations=["mmswinv2.datasets"])
HOOKS = Registry("hook", parent=MMENGINE_HOOKS, scope="mmswinv2", locations=["mmswinv2.engine", "mmswinv2.preflight"])
LOOPS = Registry("loop", parent=MMENGINE_LOOPS, scope="mmswinv2", locations=["mmswinv2.engine"])
DATA_SAMPLERS = Registry("data sampler", parent=MMENGINE_DATA_SAMPLERS, scope="mmswinv2", locations=["mmswinv2.engine"])
METRICS = Registry("metric", parent=MMENGINE_METRICS, scope="mmswinv2", locations=["mmswinv2.evaluation"])
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    "optimizer wrapper constructor",
    parent=MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS,
    scope="mmswinv2",
    locations=["mmswinv2.engine"],
)
RUNNERS = Registry("runner", parent=MMENGINE_RUNNERS, scope="mmswinv2", locations=["mmswinv2.engine"])
