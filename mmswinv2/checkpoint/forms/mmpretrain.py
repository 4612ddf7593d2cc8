"""mmpretrain's form (formerly mmclassification)."""

from torch import Tensor

from .form import Form, StateDict


class MMPretrain(Form):
    """Own names, and patch mergings that unfold: channels of the 2 x 2 neighbours in another order."""

    name = "mmpretrain"
    attention = r"stages\.\d+\.blocks\.\d+\.attn\.w_msa\."
    roots = ("patch_embed.", "stages.", "norm", "absolute_pos_embed")
    renames = (
        ("patch_embed.projection.", "patch_embed.proj."),
        ("stages.", "layers."),
        (".attn.w_msa.", ".attn."),
        (".ffn.layers.0.0.", ".mlp.fc1."),
        (".ffn.layers.1.", ".mlp.fc2."),
        (".norm3.", ".enorm."),
    )
    merging_begins_stage = True
    single_norm = False

    def join(self, state: StateDict) -> StateDict:
        """Reorders the inputs of the patch mergings; their norm comes after the reduction and stays."""
        return {
            name: fold_order(tensor) if name.endswith(".downsample.reduction.weight") else tensor
            for name, tensor in state.items()
        }


def fold_order(weight: Tensor) -> Tensor:
    """Columns of a patch merging's reduction from ``nn.Unfold``'s order to the official one.

    Args:
        weight: (2C, 4C); column c * 4 + k belongs to channel c of neighbour k, the neighbours along rows:
            (0, 0), (0, 1), (1, 0), (1, 1).

    Returns:
        (2C, 4C); column k * C + c, the neighbours along columns: (0, 0), (1, 0), (0, 1), (1, 1).
    """
    if weight.dim() != 2 or weight.size(1) % 4:
        return weight  # mis-shaped: reported by name when it is compared with the model
    by_neighbour = weight.unflatten(1, (-1, 4)).transpose(1, 2)  # (2C, 4, C)
    return by_neighbour[:, [0, 2, 1, 3]].flatten(1)
