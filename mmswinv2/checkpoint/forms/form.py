"""A form: how one family of releases names and lays out the tensors of SwinV2."""

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

StateDict = dict[str, Tensor]


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
        single_norm: Whether every file has that norm; else norms of any levels, or none, are whole too.
        merging_begins_stage: Whether a patch merging bears the number of the stage after it.
    """

    name: str
    attention = r"layers\.\d+\.blocks\.\d+\.attn\."
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
        """The backbone's tensors in this project's names and layout; a name nobody knows stays as it is."""
        renamed = {self._native_name(name): tensor for name, tensor in state.items() if name.startswith(self.roots)}
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


def num_stages(names: Iterable[str]) -> int:
    """Stages in names ``layers.S.blocks.B``."""
    return 1 + max(int(match[1]) for name in names if (match := re.match(r"layers\.(\d+)\.blocks\.", name)))


def shift_merging(name: str, step: int) -> str:
    """Moves the number that a patch merging bears by ``step`` stages."""
    return re.sub(r"^layers\.(\d+)\.downsample", lambda match: f"layers.{int(match[1]) + step}.downsample", name)


def replace_root(name: str, old: str, new: str) -> str:
    """``name`` with ``new`` in place of ``old`` where it begins with that."""
    return new + name[len(old) :] if name.startswith(old) else name
