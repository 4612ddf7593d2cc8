# SimMIM with a SwinV2-B backbone. Source: the official release, simmim_pretrain__swinv2_base__img192_window12__800ep:
# window 12, stochastic depth 0.1, targets normalised over windows of 47 pixels.
model = dict(
    type="mmswinv2.SimMIM",
    backbone=dict(
        type="mmswinv2.SwinTransformerV2",
        arch="base",
        window_size=[12, 12, 12, 6],  # at 192 px the last stage's map has 6 x 6 tokens
        out_indices=(3,),
        drop_path_rate=0.1,
    ),
    target_window=47,
)
