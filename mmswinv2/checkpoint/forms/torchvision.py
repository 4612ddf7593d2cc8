"""torchvision's form (``swin_v2_t``, ``_s``, ``_b``)."""

import re

from .form import Form, StateDict


class Torchvision(Form):
    """Patches, stages and patch mergings are numbered in turn; the bias of q, k and v is one tensor."""

    name = "torchvision"
    attention = r"features\.\d+\.\d+\.attn\."
    roots = ("features.", "norm.")
    renames = (
        ("features.0.0.", "patch_embed.proj."),
        ("features.0.2.", "patch_embed.norm."),
        (".mlp.0.", ".mlp.fc1."),
        (".mlp.3.", ".mlp.fc2."),
    )

    def join(self, state: StateDict) -> StateDict:
        joined = {}
        for name, tensor in state.items():
            # one that is mis-shaped stays, to be reported by name
            if name.endswith(".attn.qkv.bias") and tensor.dim() == 1 and tensor.numel() % 3 == 0:
                stem = name.removesuffix("qkv.bias")
                # torchvision multiplies the keys' part by zero at each step
                joined[f"{stem}q_bias"], _, joined[f"{stem}v_bias"] = tensor.chunk(3)
            else:
                joined[name] = tensor
        return joined

    def _native_name(self, name: str) -> str:
        name = super()._native_name(name)
        name = re.sub(r"^features\.(\d+)\.(\d+)\.", lambda m: f"layers.{int(m[1]) // 2}.blocks.{m[2]}.", name)
        return re.sub(r"^features\.(\d+)\.", lambda m: f"layers.{int(m[1]) // 2 - 1}.downsample.", name)
