"""The forms in which SwinV2 weights are published, side by side.

To add one, write a :class:`Form` and list it in :data:`FORMS`.
"""

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from ..errors import CheckpointError

StateDict = dict[str, Tensor]

# Of a stage or block. A longer one belongs to no model, and what counts up to it would not end.
NUMBER = r"(?:0|[1-9][0-9]{0,2})"


class Form:
    """Maps the tensors of a release to this project's names and layout, and back.

    Names come without the prefix of a wrapper. What a subclass does not mention is as in the official
    release.

    Attributes:
        name: Name of the form, for reports.
        attention: Pattern of what names in attention modules begin with; a prefix may precede it.
        roots: What names of backbone tensors begin with. Other names are heads and the like.
        renames: Pairs (theirs, ours) of parts of names, replaced in this order.
        aliases: Pairs (theirs, ours) that only reading knows: names of older releases.
        final_norm: Name of the single norm after the last stage, the last of this project's.
        single_norm: Whether every file has that norm. If not, a file may have the norms of any levels, or none.
        merging_begins_stage: Whether a patch merging bears the number of the stage after it.
    """

    name: str
    attention = rf"layers\.{NUMBER}\.blocks\.{NUMBER}\.attn\."
    roots: tuple[str, ...] = ("patch_embed.", "layers.", "norm", "absolute_pos_embed")
    renames: tuple[tuple[str, str], ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    final_norm = "norm."
    single_norm = True
    merging_begins_stage = False

    def recognises(self, names: Iterable[str]) -> bool:
        """Whether names of which some match :attr:`attention` are of this form."""
        return True

    def to_native(self, state: Mapping[str, Tensor]) -> StateDict:
        """The backbone's tensors in this project's names and layout; a name nobody knows stays as it is.

        Raises:
            CheckpointError: A tensor is there under two names.
        """
        renamed: StateDict = {}
        for name, tensor in state.items():
            if name.startswith(self.roots):
                add(renamed, self._native_name(name), tensor)
        final = f"norm{num_stages(renamed) - 1}."
        return self.join({replace_root(name, "norm.", final): tensor for name, tensor in renamed.items()})

    def from_native(self, state: Mapping[str, Tensor]) -> StateDict:
        """The reverse of :meth:`to_native`, of a state without what the form cannot hold."""
        final = f"norm{num_stages(state) - 1}."
        split = self.split({replace_root(name, final, self.final_norm): tensor for name, tensor in state.items()})
        return {self._foreign_name(name): tensor for name, tensor in split.items()}

    def join(self, state: StateDict) -> StateDict:
        """Brings tensors that the form lays out otherwise to this project's layout; names are ours already."""
        return state

    def split(self, state: StateDict) -> StateDict:
        """The reverse of :meth:`join`."""
        return state

    def _native_name(self, name: str) -> str:
        name = replace_root(name, self.final_norm, "norm.")
        for theirs, ours in (*self.aliases, *self.renames):
            name = name.replace(theirs, ours)
        return shift_merging(name, -1) if self.merging_begins_stage else name

    def _foreign_name(self, name: str) -> str:
        name = shift_merging(name, 1) if self.merging_begins_stage else name
        for theirs, ours in self.renames:
            name = name.replace(ours, theirs)
        return name


def add(state: StateDict, name: str, tensor: Tensor) -> None:
    """Adds a tensor under a name that is not there yet.

    Raises:
        CheckpointError: The name is there.
    """
    if name in state:
        raise CheckpointError(
            f"{name} is there twice, under an older name or as parts as well: nothing tells which holds"
        )
    state[name] = tensor


def num_stages(names: Iterable[str]) -> int:
    """Stages in names ``layers.S.blocks.B``; 0 if there are none."""
    return 1 + max((int(match[1]) for name in names if (match := STAGE.match(name))), default=-1)


STAGE = re.compile(rf"layers\.({NUMBER})\.blocks\.")


def shift_merging(name: str, step: int) -> str:
    """Moves the number that a patch merging bears by ``step`` stages."""
    return re.sub(rf"^layers\.({NUMBER})\.downsample", lambda match: f"layers.{int(match[1]) + step}.downsample", name)


def replace_root(name: str, old: str, new: str) -> str:
    """``name`` with ``new`` in place of ``old`` where it begins with that."""
    return new + name[len(old) :] if name.startswith(old) else name


class Official(Form):
    """The official release; early SimMIM files call the position-bias network ``rpe_mlp``."""

    name = "official"
    aliases = ((".rpe_mlp.", ".cpb_mlp."),)


class FeatureDistillation(Official):
    """Feature-Distillation: the ``enorm`` of huge and giant; one bias network may serve a whole stage."""

    name = "feature-distillation"

    def recognises(self, names: Iterable[str]) -> bool:
        return any(".rel_pos_bias." in name or ".enorm." in name for name in names)

    def join(self, state: StateDict) -> StateDict:
        """Gives each block its stage's bias network, which computes the same."""
        joined: StateDict = {}
        for name, tensor in state.items():
            shared = SHARED.fullmatch(name)
            if shared is None:
                add(joined, name, tensor)
            else:
                stage, rest = shared.groups()
                for block in _blocks(state, stage):
                    add(joined, f"layers.{stage}.blocks.{block}.attn.{rest}", tensor)
        return joined


# No other names: each makes as many as the stage has blocks.
SHARED = re.compile(
    rf"layers\.({NUMBER})\.rel_pos_bias\.(cpb_mlp\.[02]\.(?:weight|bias)|relative_[a-z]+_(?:table|index))"
)


def _blocks(names: Iterable[str], stage: str) -> set[str]:
    """Numbers of the blocks of a stage."""
    return {match[1] for name in names if (match := re.match(rf"layers\.{stage}\.blocks\.({NUMBER})\.", name))}


PRETRAINED_WINDOWS = "pretrained_window_sizes"


class Native(Form):
    """Official names, but one norm per level, and the pretrained windows in a buffer."""

    name = "native"
    roots = (*Form.roots, PRETRAINED_WINDOWS)
    single_norm = False

    def recognises(self, names: Iterable[str]) -> bool:
        return any(name == PRETRAINED_WINDOWS or re.match(r"norm\d+\.", name) for name in names)


class Timm(Form):
    """Official names, but a stage begins with the patch merging that ends the official one before it.

    Before timm 0.9 its files had the official places and are taken for official ones.
    """

    name = "timm"
    merging_begins_stage = True

    def recognises(self, names: Iterable[str]) -> bool:
        names = list(names)
        last_merging = f"layers.{num_stages(names) - 1}.downsample."
        return any(name.startswith(last_merging) for name in names)


PARTS = ("query", "key", "value")


class HuggingFace(Form):
    """Queries, keys and values in layers of their own; a key has no bias here as there."""

    name = "hf"
    attention = rf"encoder\.layers\.{NUMBER}\.blocks\.{NUMBER}\.attention\."
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
            shapes = {state[name].shape if name in state else None for name in names}
            if len(shapes) == 1 and state[names[0]].dim() == 2:
                add(joined, f"{stem}qkv.weight", torch.cat([joined.pop(name) for name in names]))  # (3C, C)
        return joined

    def split(self, state: StateDict) -> StateDict:
        """The reverse of :meth:`join`."""
        split = {}
        for name, tensor in state.items():
            if name.endswith(".attn.qkv.weight"):
                if tensor.dim() != 2 or tensor.size(0) % 3 or not tensor.numel():
                    raise CheckpointError(f"{name} has the shape {tuple(tensor.shape)}: no queries, keys and values")
                stem = name.removesuffix("qkv.weight")
                for part, weight in zip(PARTS, tensor.chunk(3), strict=True):
                    split[f"{stem}{part}.weight"] = weight.clone()
            else:
                split[name] = tensor
        return split


class MMPretrain(Form):
    """Own names, and patch mergings that unfold: channels of the 2 x 2 neighbours in another order."""

    name = "mmpretrain"
    attention = rf"stages\.{NUMBER}\.blocks\.{NUMBER}\.attn\.w_msa\."
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
    if weight.dim() != 2 or weight.size(1) % 4 or not weight.numel():
        return weight  # mis-shaped: reported by name when it is compared with the model
    by_neighbour = weight.reshape(weight.size(0), -1, 4).transpose(1, 2)  # (2C, 4, C)
    return by_neighbour[:, [0, 2, 1, 3]].flatten(1)


class Torchvision(Form):
    """Patches, stages and patch mergings are numbered in turn; the bias of q, k and v is one tensor."""

    name = "torchvision"
    attention = rf"features\.{NUMBER}\.{NUMBER}\.attn\."
    roots = ("features.", "norm.")
    renames = (
        ("features.0.0.", "patch_embed.proj."),
        ("features.0.2.", "patch_embed.norm."),
        (".mlp.0.", ".mlp.fc1."),
        (".mlp.3.", ".mlp.fc2."),
    )

    def join(self, state: StateDict) -> StateDict:
        joined: StateDict = {}
        for name, tensor in state.items():
            # one that is mis-shaped stays, to be reported by name
            if name.endswith(".attn.qkv.bias") and tensor.dim() == 1 and tensor.numel() and tensor.numel() % 3 == 0:
                stem = name.removesuffix("qkv.bias")
                # torchvision multiplies the keys' part by zero at each step
                q_bias, _, v_bias = tensor.chunk(3)
                add(joined, f"{stem}q_bias", q_bias)
                add(joined, f"{stem}v_bias", v_bias)
            else:
                add(joined, name, tensor)
        return joined

    def _native_name(self, name: str) -> str:
        name = super()._native_name(name)
        name = re.sub(
            rf"^features\.({NUMBER})\.({NUMBER})\.", lambda m: f"layers.{int(m[1]) // 2}.blocks.{m[2]}.", name
        )
        return re.sub(rf"^features\.({NUMBER})\.", lambda m: f"layers.{int(m[1]) // 2 - 1}.downsample.", name)


# Asked in this order: the later ones take whatever has the official names.
FORMS: tuple[Form, ...] = (
    HuggingFace(),
    Torchvision(),
    MMPretrain(),
    Native(),
    Timm(),
    FeatureDistillation(),
    Official(),
)

__all__ = ["FORMS", "NUMBER", "PRETRAINED_WINDOWS", "Form", "StateDict", "num_stages"]
