# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Read the fields of video headers bit by bit."""


class BitReader:
    """Reads from the first bytes of a header; past their end every read raises ValueError."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def bits(self, count: int) -> int:
        """Read an unsigned number of `count` bits, the highest first. Also skips them."""
        if count > self._left:
            raise ValueError("header is cut off")
        self._left -= count
        return self._value >> self._left & (1 << count) - 1

    def flag(self) -> bool:
        return bool(self.bits(1))

    def golomb(self) -> int:
        """Read an unsigned Exp-Golomb number (ITU-T H.264, 9.1; H.265, 9.2)."""
        zeros = 0
        while not self.flag():
            zeros += 1
            if zeros > 32:
                raise ValueError("number of more than 32 bits")
        return (1 << zeros) - 1 + self.bits(zeros)

    def signed_golomb(self) -> int:
        """Read a signed Exp-Golomb number."""
        value = self.golomb()
        return (value + 1) // 2 if value % 2 else -(value // 2)
