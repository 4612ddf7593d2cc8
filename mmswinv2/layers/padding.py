"""Windows by padding and masking, for models that are exported.

How windows of a map are cut (:mod:`.windows`) depends on its size. An exported model holds for many sizes, and it
knows only operations that work the same for each. So here a map is filled up to whole windows, as the official code
does it, and what was filled in is hidden as keys. The result is the same. It costs the windows that are not full.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from .windows import WindowGrid

HIDDEN = -1e4  # added to the logit of a key that is none; exp(-1e4) is 0


class Axis(NamedTuple):
    """An axis of ``size`` tokens, filled up to ``number`` windows of ``window`` tokens, ``before`` of them in front."""

    size: int
    window: int
    before: int
    number: int


def attend_padded(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, grid: WindowGrid, dropout: float = 0.0) -> Tensor:
    """softmax(q k + B) v inside each window.

    Args:
        q, k, v: (B * H * W, heads, d) in raster order.
        bias: B of the window ``grid.fitted_window`` of N tokens, (heads, N, N).
        grid: How the maps are cut into windows.
        dropout: Dropout rate on the attention weights.

    Returns:
        (B * H * W, heads * d) in raster order.
    """
    rows, columns = (_filled(*axis) for axis in zip(grid.size, grid.fitted_window, grid.shift, strict=True))
    place, is_token = _token_of_place(rows, columns, grid.batch, q.device)
    windows, area, (heads, dims) = grid.batch * rows.number * columns.number, rows.window * columns.window, q.shape[1:]
    # One more channel hides keys without a mask for each window: 1 in q, 0 or HIDDEN in k.
    hidden = torch.where(is_token, 0.0, HIDDEN).to(k.dtype).view(-1, 1, 1).expand(-1, heads, 1)
    q, k, v = (x.index_select(0, place) for x in (q, k, v))
    q, k, v = F.pad(q, (0, 1), value=1.0), torch.cat([k, hidden], dim=2), F.pad(v, (0, 1))
    q, k, v = (x.view(windows, area, heads, dims + 1).transpose(1, 2) for x in (q, k, v))  # (n, heads, N, d + 1)
    out = F.scaled_dot_product_attention(q, k, v, bias[None], dropout, scale=1.0)
    out = out.transpose(1, 2).reshape(windows * area, heads, dims + 1)[:, :, :dims]
    return out.reshape(windows * area, heads * dims).index_select(
        0, _place_of_token(rows, columns, grid.batch, q.device)
    )


def _filled(size: int, window: int, shift: int) -> Axis:
    # The first window ends at the shift. An axis no longer than the window is not shifted.
    is_longer = torch.sym_min(1, (size - 1) // window)  # type: ignore[no-untyped-call] # torch has no types for it
    before = (window - shift) * is_longer if shift else 0
    return Axis(size, window, before, (before + size + window - 1) // window)


# Places count from window to window, tokens from row to row. Both are computed on one axis. Tensors with an axis each
# for B, rows, columns, h and w would make a graph depend on which of them are 1.


def _token_of_place(rows: Axis, columns: Axis, batch: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """For each place of each window its token in raster order, and whether it has one (else any), (n * N,)."""
    area = rows.window * columns.window
    place = torch.arange(batch * rows.number * columns.number * area, device=device)
    window, inside = place // area, place % area
    y = window // columns.number % rows.number * rows.window + inside // columns.window - rows.before
    x = window % columns.number * columns.window + inside % columns.window - columns.before
    is_token = (y >= 0) & (y < rows.size) & (x >= 0) & (x < columns.size)
    image = window // (rows.number * columns.number)
    return torch.where(is_token, (image * rows.size + y) * columns.size + x, 0), is_token


def _place_of_token(rows: Axis, columns: Axis, batch: int, device: torch.device) -> Tensor:
    """For each token in raster order its place, (B * H * W,)."""
    token = torch.arange(batch * rows.size * columns.size, device=device)
    image, y, x = token // (rows.size * columns.size), token // columns.size % rows.size, token % columns.size
    y, x = y + rows.before, x + columns.before
    window = (image * rows.number + y // rows.window) * columns.number + x // columns.window
    return (window * rows.window + y % rows.window) * columns.window + x % columns.window
