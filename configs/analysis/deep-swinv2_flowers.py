# Swin V2 as deep as SwinV2-S and a third as wide, on five kinds of flowers: how activations grow with depth.
_base_ = ["../demo/classifier_swinv2_flowers.py"]

custom_imports = dict(imports=["mmswinv2.checkpoint.openmmlab", "mmswinv2.analysis.variants"])
model = dict(
    backbone=dict(
        type="mmswinv2.SwinVariant",
        norm="post",
        attention="cosine",
        position_bias="log_cpb",
        arch=dict(embed_dims=32, depths=(2, 2, 18, 2), num_heads=(1, 2, 4, 8)),
        out_indices=(3,),
    )
)
