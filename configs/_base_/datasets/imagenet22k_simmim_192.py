# ImageNet-22k for SimMIM at 192 px: all images below train/ of the root that is set here or by the environment variable
# IMAGENET22K_ROOT. As in the official zoo, the images held out are those of ImageNet-1k, val/ below IMAGENET_ROOT.
_base_ = "./imagenet_simmim_192.py"

train_dataloader = dict(dataset=dict(data_root="{{$IMAGENET22K_ROOT:data/imagenet22k/}}"))
