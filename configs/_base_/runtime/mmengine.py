# For SimMIM and classification, which need neither MMDetection nor MMSegmentation.
# mmswinv2's own types are written with their scope; all others are MMEngine's.
default_scope = "mmengine"
# The model needs no import. This makes MMEngine read checkpoints safely in tools other than this project's as well.
custom_imports = dict(imports=["mmswinv2.checkpoint.openmmlab"], allow_failed_imports=False)

env_cfg = dict(
    cudnn_benchmark=True,  # every image has the same size
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    dist_cfg=dict(backend="nccl"),
)

vis_backends = [dict(type="LocalVisBackend")]
visualizer = dict(type="Visualizer", vis_backends=vis_backends, name="visualizer")
log_processor = dict(type="LogProcessor", window_size=50, by_epoch=True)

log_level = "INFO"
load_from = None
resume = False
