"""Large images as overlapping tiles."""


def tiles(height: int, width: int, tile: tuple[int, int], overlap: int) -> list[tuple[int, int, int, int]]:
    """Return tiles that cover an image, as (top, left, height, width) in reading order.

    The last tile of a line is shifted back to end with the image, so that all have one size; along a side that is
    shorter than the tile there is one, of the image's own length.

    Parameters
    ----------
    height, width : int
        Of the image in pixels.
    tile : (int, int)
        Height and width of a tile.
    overlap : int
        Pixels that neighbours share, below both sides of the tile; the last two may share more.
    """
    tall, wide = min(tile[0], height), min(tile[1], width)
    return [
        (top, left, tall, wide)
        for top in _starts(height, tile[0], tile[0] - overlap)
        for left in _starts(width, tile[1], tile[1] - overlap)
    ]


def _starts(length: int, tile: int, step: int) -> list[int]:
    last = max(length - tile, 0)
    return [*range(0, last, step), last]
