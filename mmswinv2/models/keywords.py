"""Says what a keyword of another Swin implementation is called here."""

from collections.abc import Collection, Iterable
from difflib import get_close_matches

_ARCH = "give arch='tiny' ... 'giant', or arch=dict(embed_dims=, depths=, num_heads=)"
_FIXED = "Swin V2 fixes it; remove it"
_ANY_SIZE = "any input size works; remove it"

# Keywords of the Swin V1 of MMDetection and MMSegmentation, and of MMPretrain's Swin V2.
FOREIGN_KEYWORDS = {
    "embed_dims": _ARCH,
    "depths": _ARCH,
    "num_heads": _ARCH,
    "mlp_ratio": "always 4 in Swin V2; remove it",
    "strides": "always (4, 2, 2, 2); for the first one set patch_size",
    "qkv_bias": "q and v always have a bias and k never has one; remove it",
    "qk_scale": "the cosine attention learns a scale per head (logit_scale); remove it",
    "patch_norm": "patches are always normalised; remove it",
    "use_abs_pos_embed": "Swin V2 has the log-CPB position bias alone; remove it",
    "act_cfg": _FIXED,
    "norm_cfg": _FIXED,
    "pretrained": "give init_cfg=dict(type='Pretrained', checkpoint=...); model.pretrained, if there, is None",
    "convert_weights": "it would permute Swin V2 weights wrongly; remove it",
    "pretrain_img_size": "give pretrained_window_sizes, or leave it to the checkpoint",
    "img_size": _ANY_SIZE,
    "pad_small_map": _ANY_SIZE,
    "interpolate_mode": "log-CPB needs no interpolation; remove it",
    "norm_eval": "there is no batch norm; remove it",
    "stage_cfgs": _FIXED,
    "patch_cfg": _FIXED,
}


def reject_keywords(unknown: Iterable[str], known: Collection[str]) -> None:
    """Raises for keywords that the backbone does not have.

    Args:
        unknown: The keywords in question; with none, nothing happens.
        known: Keywords that it has, to suggest the nearest.

    Raises:
        TypeError: With a line for each keyword, saying what to write instead.
    """
    unknown = list(unknown)
    if not unknown:
        return
    lines = []
    for name in unknown:
        near = get_close_matches(name, known, n=1)
        suggestion = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(known)}"
        lines.append(f"  {name}: {FOREIGN_KEYWORDS.get(name, suggestion)}")
    if any(name in FOREIGN_KEYWORDS for name in unknown):
        lines.append(
            "A config that inherits a Swin V1 backbone replaces its whole dict: backbone=dict(_delete_=True, ...)"
        )
    raise TypeError("SwinTransformerV2 has no such keyword:\n" + "\n".join(lines))
