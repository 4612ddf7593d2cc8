default_scope = "mmseg"
# The model needs no import. This lets inferencers, which read weights before they build it, read them safely.
custom_imports = dict(imports=["mmswinv2.checkpoint.openmmlab"], allow_failed_imports=False)

env_cfg = dict(
    cudnn_benchmark=True,  # every training crop has the same size
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    dist_cfg=dict(backend="nccl"),
)

vis_backends = [dict(type="LocalVisBackend")]
visualizer = dict(type="SegLocalVisualizer", vis_backends=vis_backends, name="visualizer")
log_processor = dict(type="LogProcessor", window_size=50, by_epoch=False)

log_level = "INFO"
load_from = None
resume = False
