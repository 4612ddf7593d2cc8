"""The form of Hugging Face transformers (``Swinv2Model``, ``Swinv2Backbone``, ...)."""

import torch

from .form import Form, StateDict

PARTS = ("query", "key", "value")


class HuggingFace(Form):
    """Queries, keys and values in layers of their own; a key has no bias here as there."""

    name = "hf"
    attention = r"encoder\.layers\.\d+\.blocks\.\d+\.attention\."
    roots = ("embeddings.", "encoder.", "layernorm.")
    renames = (
        ("embeddings.patch_embeddings.projection.", "patch_embed.proj."),
        ("embeddings.norm.", "patch_embed.norm."),
        ("encoder.layers.", "layers."),
        (".attention.self.continuous_position_bias_mlp.", ".attn.cpb_mlp."),
        (".attention.self.query.bias", ".attn.q_bias"),
        (".attention.self.value.bias", ".attn.v_bias"),
        (".attention.output.dense.", ".attn.proj."),
        (".attention.self.", ".attn."),
        (".layernorm_before.", ".norm1."),
        (".layernorm_after.", ".norm2."),
        (".intermediate.dense.", ".mlp.fc1."),
        (".output.dense.", ".mlp.fc2."),
    )
    final_norm = "layernorm."
    single_norm = False  # a Swinv2Backbone has none

    def join(self, state: StateDict) -> StateDict:
        """Joins queries, keys and values; where one is missing or mis-shaped they stay, to be reported by name."""
        joined = dict(state)
        for stem in [name.removesuffix("query.weight") for name in state if name.endswith(".attn.query.weight")]:
            names = [f"{stem}{part}.weight" for part in PARTS]
            if len({state[name].shape if name in state else None for name in names}) == 1:
                joined[f"{stem}qkv.weight"] = torch.cat([joined.pop(name) for name in names])  # (3C, C)
        return joined

    def split(self, state: StateDict) -> StateDict:
        """The reverse of :meth:`join`."""
        split = {}
        for name, tensor in state.items():
            if name.endswith(".attn.qkv.weight"):
                stem = name.removesuffix("qkv.weight")
                for part, weight in zip(PARTS, tensor.chunk(3), strict=True):
                    split[f"{stem}{part}.weight"] = weight.clone()
            else:
                split[name] = tensor
        return split
