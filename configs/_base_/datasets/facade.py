# Photographs of building facades, 249 to train and 54 to validate, 512 x 512, half of the objects smaller than 32 x 32
# px. From https://github.com/a-hwang/building-facade-segmentation (CC BY 4.0).
data_root = "{{$MMSWINV2_DATA:../shared/data}}/facade_instances/"
metainfo = dict(
    classes=(
        "balcony-fence",
        "car",
        "facade",
        "fence",
        "non-building-infrastructure",
        "shop",
        "street",
        "traffic-infrastructure",
        "vegetation",
        "window",
    )
)
