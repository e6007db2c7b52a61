"""Loudness over time, as the line that a voice note shows."""

from __future__ import annotations

from typing import Final

from av.audio.frame import AudioFrame

_POINTS: Final = 64
_LOUDEST: Final = 100
_EVERY: Final = 6
"""One sample of so many is looked at: the loudness of speech is the same with 8,000 a second."""


class Waveform:
    """Takes in mono frames of 16-bit samples, of any length altogether."""

    def __init__(self, rate: int) -> None:
        """*rate* is samples a second."""
        self.samples = 0
        self._block = rate // 20
        self._levels: list[int] = []
        self._sum = self._counted = 0

    def add(self, frame: AudioFrame) -> None:
        """The next frame."""
        samples = memoryview(frame.planes[0]).cast("B")[: 2 * frame.samples].cast("h")
        self.samples += frame.samples
        looked_at = samples[::_EVERY]
        self._sum += sum(map(abs, looked_at))
        self._counted += len(looked_at)
        if self._counted * _EVERY >= self._block:
            self._levels.append(self._sum // self._counted)
            self._sum = self._counted = 0

    def points(self) -> bytes:
        """64 mean loudnesses from 0 to 100, the loudest of which is 100; all 0 when it is silent."""
        levels = [*self._levels, self._sum // self._counted] if self._counted else self._levels
        means = [_mean(levels, number) for number in range(_POINTS)]
        loudest = max(means)
        return bytes(_POINTS) if loudest <= 0 else bytes(round(_LOUDEST * mean / loudest) for mean in means)


def _mean(levels: list[int], number: int) -> float:
    if not levels:
        return 0.0
    first = number * len(levels) // _POINTS
    some = levels[first : max(first + 1, (number + 1) * len(levels) // _POINTS)]
    return sum(some) / len(some)
