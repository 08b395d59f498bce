"""What a deflated stream (RFC 1951) copies from where: how long a reader takes for it, without a clock."""

from collections.abc import Iterator, Mapping, Sequence

_CODE_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)
_LENGTH_BITS = (*[0] * 8, *[1] * 4, *[2] * 4, *[3] * 4, *[4] * 4, *[5] * 4)
_DISTANCE_BITS = (0, 0, *(bits for bits in range(14) for _ in range(2)))
_LONGEST, _LONGEST_SYMBOL = 258, 285
_END = 256
_FIXED = (*[8] * 144, *[9] * 112, *[7] * 24, *[8] * 8), (5,) * 30

Codes = Mapping[tuple[int, int], int]
"""Symbol of each code, by its length in bits and its value."""


def matches(deflated: bytes) -> Iterator[tuple[int, int]]:
    """Yield how many bytes each match copies, and from how many bytes back."""
    bits = _Bits(deflated)
    is_last = False
    while not is_last:
        is_last, kind = bool(bits.take(1)), bits.take(2)
        if kind == 0:
            bits.skip_stored()
            continue
        lengths, distances = map(_codes, _FIXED if kind == 1 else _described(bits))
        while (symbol := bits.symbol(lengths)) != _END:
            if symbol > _END:
                yield _length(symbol, bits), _distance(bits.symbol(distances), bits)


class _Bits:
    """Bits of a stream, those of a byte from the least on."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> int:
        """Return a number of so many bits."""
        value = 0
        for place in range(count):
            value |= (self._data[self._at >> 3] >> (self._at & 7) & 1) << place
            self._at += 1
        return value

    def symbol(self, codes: Codes) -> int:
        """Return the symbol of the code that comes next, whose first bit is its greatest."""
        length = code = 0
        while (length, code) not in codes or not length:
            length, code = length + 1, code << 1 | self.take(1)
        return codes[length, code]

    def skip_stored(self) -> None:
        """Pass a block that is not compressed."""
        self._at = -(-self._at // 8) * 8
        size = self.take(16)
        self._at += 16 + 8 * size


def _codes(lengths: Sequence[int]) -> Codes:
    found, code = {}, 0
    for length in range(1, 16):
        for symbol, own in enumerate(lengths):
            if own == length:
                found[length, code] = symbol
                code += 1
        code <<= 1
    return found


def _described(bits: _Bits) -> tuple[Sequence[int], Sequence[int]]:
    """Return the lengths of both codes of a block that brings its own."""
    n_lengths, n_distances, n_codes = bits.take(5) + 257, bits.take(5) + 1, bits.take(4) + 4
    own = [0] * len(_CODE_ORDER)
    for place in _CODE_ORDER[:n_codes]:
        own[place] = bits.take(3)
    codes, found = _codes(own), list[int]()
    while len(found) < n_lengths + n_distances:
        symbol = bits.symbol(codes)
        if symbol < 16:
            found.append(symbol)
        elif symbol == 16:
            found += found[-1:] * (3 + bits.take(2))
        else:
            found += [0] * (3 + bits.take(3) if symbol == 17 else 11 + bits.take(7))
    return found[:n_lengths], found[n_lengths:]


def _length(symbol: int, bits: _Bits) -> int:
    if symbol == _LONGEST_SYMBOL:
        return _LONGEST
    place = symbol - _END - 1
    return 3 + sum(1 << extra for extra in _LENGTH_BITS[:place]) + bits.take(_LENGTH_BITS[place])


def _distance(symbol: int, bits: _Bits) -> int:
    return 1 + sum(1 << extra for extra in _DISTANCE_BITS[:symbol]) + bits.take(_DISTANCE_BITS[symbol])
