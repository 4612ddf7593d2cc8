"""timm's form (``swinv2_*``; its ``swinv2_cr_*`` are another architecture)."""

from collections.abc import Iterable

from .form import Form, num_stages


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
