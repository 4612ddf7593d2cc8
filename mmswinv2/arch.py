"""The settings of Swin V2: sizes, tiny to giant (the paper's "Model configurations"), windows, rates and keywords."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any, NamedTuple, TypeGuard

from .errors import ConfigError, ConfigTypeError


class Arch(NamedTuple):
    """Size of a model.

    Attributes:
        embed_dims: Channels of the first stage; each further stage doubles them.
        depths: Blocks of each stage.
        num_heads: Heads of each stage.
        extra_norm_period: n, where every n-th block of a stage ends with an extra norm; None: no block does.
    """

    embed_dims: int
    depths: tuple[int, ...]
    num_heads: tuple[int, ...]
    extra_norm_period: int | None = None

    @property
    def stage_dims(self) -> tuple[int, ...]:
        """Channels of each stage."""
        return tuple(self.embed_dims * 2**stage for stage in range(len(self.depths)))


# The paper does not give the heads of huge; 32 channels a head is what every other size has.
ARCHS = {
    "tiny": Arch(96, (2, 2, 6, 2), (3, 6, 12, 24)),
    "small": Arch(96, (2, 2, 18, 2), (3, 6, 12, 24)),
    "base": Arch(128, (2, 2, 18, 2), (4, 8, 16, 32)),
    "large": Arch(192, (2, 2, 18, 2), (6, 12, 24, 48)),
    "huge": Arch(352, (2, 2, 18, 2), (11, 22, 44, 88), extra_norm_period=6),
    "giant": Arch(512, (2, 2, 42, 4), (16, 32, 64, 128), extra_norm_period=6),
}


# Giant has 50 blocks and 3e9 weights. Sizes far beyond it are slips, and would take all of a machine before they fail.
MAX_BLOCKS, MAX_WEIGHTS = 1000, 10**12
MAX_PATCH = 2**20  # values of a patch, all channels


def parse_arch(arch: str | Mapping[str, Any]) -> Arch:
    """Looks up a named arch or checks a custom one.

    Args:
        arch: A name of :data:`ARCHS`, or a dict with ``embed_dims``, ``depths``, ``num_heads`` and
            optionally ``extra_norm_period``.

    Raises:
        ConfigError: The name is unknown, a key is missing or unknown, or the sizes do not fit together.
        ConfigTypeError: ``arch`` is neither a string nor a dict.
    """
    if isinstance(arch, str):
        return _named(arch)
    if not isinstance(arch, Mapping):
        raise ConfigTypeError(f"arch must be one of {', '.join(ARCHS)} or a dict, got {arch!r}")
    required, known = {"embed_dims", "depths", "num_heads"}, set(Arch._fields)
    if not required <= set(arch) <= known:
        raise ConfigError(
            f"arch must have the keys {sorted(required)} and may have 'extra_norm_period'; got {list(arch)}"
        )
    embed_dims, period = arch["embed_dims"], arch.get("extra_norm_period")
    depths, num_heads = (_positive_ints(key, arch[key]) for key in ("depths", "num_heads"))
    if not is_positive_int(embed_dims):
        raise ConfigError(f"arch['embed_dims'] must be a positive integer, got {embed_dims!r}")
    if period is not None and not is_positive_int(period):
        raise ConfigError(f"arch['extra_norm_period'] must be a positive integer or None, got {period!r}")
    if len(depths) != len(num_heads):
        raise ConfigError(f"arch: depths {depths} and num_heads {num_heads} must have one entry per stage each")
    parsed = Arch(int(embed_dims), depths, num_heads, period)
    for stage, (dims, heads) in enumerate(zip(parsed.stage_dims, num_heads, strict=True)):
        if dims % heads:
            raise ConfigError(f"arch: the {dims} channels of stage {stage} do not divide into {heads} heads")
    _check_size(parsed)
    return parsed


def _check_size(arch: Arch) -> None:
    if sum(arch.depths) > MAX_BLOCKS:
        raise ConfigError(f"arch: depths {arch.depths} are more than {MAX_BLOCKS} blocks; giant has 50")
    weights = sum(12 * depth * dims**2 for depth, dims in zip(arch.depths, arch.stage_dims, strict=True))
    if weights > MAX_WEIGHTS:
        raise ConfigError(f"arch: {arch} has more than {MAX_WEIGHTS:.0e} weights; giant has 3e+09")


def is_positive_int(value: object) -> TypeGuard[int]:
    """Whether ``value`` is an integer above 0, numpy's included; bool does not count as one."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) > 0


def check_positive_int(name: str, value: object) -> None:
    """Raises :class:`ConfigError` unless ``value``, whose config key is ``name``, is an integer above 0."""
    if not is_positive_int(value):
        raise ConfigError(f"{name} must be a positive integer, got {value!r}")


def check_patch(in_channels: object, patch_size: object, owner: str = "") -> None:
    """Checks the shape of a patch.

    Args:
        in_channels: Channels of an image.
        patch_size: Pixels of its side.
        owner: Config key of the backbone with a dot, for the error.

    Raises:
        ConfigError: One of them is no positive integer, or a patch has far too many values.
    """
    check_positive_int(f"{owner}in_channels", in_channels)
    check_positive_int(f"{owner}patch_size", patch_size)
    if in_channels * patch_size**2 > MAX_PATCH:  # type: ignore[operator] # they are integers
        raise ConfigError(
            f"{owner}in_channels={in_channels}, patch_size={patch_size}: a patch has more than {MAX_PATCH} values"
        )


def check_frozen_stages(name: str, value: object, num_stages: int) -> None:
    """Raises :class:`ConfigError` unless ``value``, whose config key is ``name``, is a count of stages or -1."""
    if type(value) is not int or not -1 <= value <= num_stages:
        raise ConfigError(f"{name} must be an integer from -1 to {num_stages}, got {value!r}")


def check_out_indices(name: str, value: object, num_stages: int) -> tuple[int, ...]:
    """Returns the stages that are outputs as a tuple, if they ascend without repetition.

    Args:
        name: Config key, for the error.
        value: The stages.
        num_stages: Stages of the model.

    Raises:
        ConfigError: ``value`` is something else.
    """
    stages = tuple(value) if isinstance(value, list | tuple) else ()
    if not stages or not all(type(stage) is int and 0 <= stage < num_stages for stage in stages):
        raise ConfigError(f"{name} must be stages from 0 to {num_stages - 1}, at least one, got {value!r}")
    if list(stages) != sorted(set(stages)):
        raise ConfigError(f"{name} must ascend without repetition, got {value!r}")
    return stages


def check_rate(name: str, rate: object) -> None:
    """Checks a share of a whole, such as a dropout rate.

    Args:
        name: Config key, for the error.
        rate: The value.

    Raises:
        ConfigTypeError: ``rate`` is no number but, say, a string.
        ConfigError: ``rate`` does not lie in [0, 1).
    """
    if not isinstance(rate, Real) or isinstance(rate, bool):
        raise ConfigTypeError(f"{name} must be a number in [0, 1), got {rate!r}")
    if rate < 0 or not rate < 1:  # NaN is refused too
        raise ConfigError(f"{name} must lie in [0, 1), got {rate!r}")


def check_choice(name: str, value: object, choices: Collection[str]) -> None:
    """Raises :class:`ConfigError` unless ``value``, whose config key is ``name``, is one of the strings ``choices``."""
    if value not in choices:
        near = get_close_matches(str(value), choices, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}{hint}")


def _named(name: str) -> Arch:
    if name in ARCHS:
        return ARCHS[name]
    lowered = name.lower()
    near = (
        [full for full in ARCHS if full in lowered]  # swinv2_tiny
        or [full for full in ARCHS if full[0] == lowered]  # t
        or get_close_matches(lowered, ARCHS, n=1)
    )
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ConfigError(f"unknown arch {name!r}: choose one of {', '.join(ARCHS)} or pass a dict{hint}")


def _positive_ints(key: str, values: object) -> tuple[int, ...]:
    if not isinstance(values, list | tuple) or not values or not all(map(is_positive_int, values)):
        raise ConfigError(f"arch[{key!r}] must be a list of positive integers, one per stage, got {values!r}")
    return tuple(int(value) for value in values)


WindowSize = int | tuple[int, int]
MAX_WINDOW = 1024  # tokens; the table of its offsets takes 34 MB, its attention would take terabytes
FORMS = "an int, a pair (h, w), or one int or pair per stage"


def per_stage_windows(
    name: str, value: WindowSize | Sequence[WindowSize], num_stages: int
) -> tuple[tuple[int, int], ...]:
    """Returns the window (h, w) of every stage, in tokens.

    Args:
        name: Config key, for the error.
        value: An int; a pair (h, w) for all stages; or one int or pair per stage. Exactly two ints
            always mean (h, w), also for a model of two stages.
        num_stages: Stages of the model.

    Raises:
        ConfigError: ``value`` has another form, a number outside 1 to :data:`MAX_WINDOW`, or entries for another number
            of stages.
    """
    for_all_stages = _pair(value)
    entries = value if isinstance(value, list | tuple) else ()
    windows = tuple(window for window in map(_pair, entries) if window is not None)
    if for_all_stages is not None:
        windows = (for_all_stages,) * num_stages
    elif not entries or len(windows) < len(entries):
        raise ConfigError(f"{name} must be {FORMS}, in tokens and at least 1, got {value!r}")
    elif len(windows) != num_stages:
        raise ConfigError(f"{name} has {len(windows)} entries, the model has {num_stages} stages: {value!r}")
    if max(map(max, windows)) > MAX_WINDOW:
        raise ConfigError(f"{name} must be at most {MAX_WINDOW} tokens a side, got {value!r}")
    return windows


def _pair(value: object) -> tuple[int, int] | None:
    """The pair (h, w) that a pair or an int stands for; None for anything else."""
    if is_positive_int(value):
        return int(value), int(value)
    if isinstance(value, list | tuple) and len(value) == 2 and all(map(is_positive_int, value)):
        return int(value[0]), int(value[1])
    return None


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


def recomputed_blocks(with_cp: bool | int | Sequence[int], depths: Sequence[int]) -> list[int]:
    """Returns of how many blocks of each stage the backward pass computes the activations anew.

    Args:
        with_cp: True: all blocks. False: none. A count: the first so many of each stage, of a shorter stage all.
            A count per stage.
        depths: Blocks of each stage.

    Raises:
        ConfigError: ``with_cp`` has another value.
    """
    if isinstance(with_cp, bool):
        return list(depths) if with_cp else [0] * len(depths)
    if isinstance(with_cp, int):
        if not 0 <= with_cp <= max(depths):
            raise ConfigError(f"with_cp={with_cp}: a count of blocks is from 0 to {max(depths)}, the deepest stage's")
        return [min(with_cp, depth) for depth in depths]
    if not isinstance(with_cp, list | tuple) or any(type(count) is not int for count in with_cp):
        raise ConfigError(f"with_cp must be a bool, a count of blocks, or a count per stage, got {with_cp!r}")
    if len(with_cp) != len(depths):
        raise ConfigError(f"with_cp={with_cp!r} has {len(with_cp)} counts for {len(depths)} stages")
    for stage, (count, depth) in enumerate(zip(with_cp, depths, strict=True)):
        if not 0 <= count <= depth:
            raise ConfigError(f"with_cp={with_cp!r}: the count of stage {stage} is from 0 to its {depth} blocks")
    return list(with_cp)


def reject_keywords(unknown: Iterable[str], known: Collection[str]) -> None:
    """Raises for keywords that the backbone does not have.

    Args:
        unknown: The keywords. Where there are none, nothing happens.
        known: The keywords that it has. The nearest one is suggested.

    Raises:
        ConfigTypeError: Has a line for each keyword, which says what to write instead.
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
    raise ConfigTypeError("SwinTransformerV2 has no such keyword:\n" + "\n".join(lines))
