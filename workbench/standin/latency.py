"""Latency distributions, written as ``kind:number[:number]`` in milliseconds."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from random import Random

from workbench.errors import SettingsError

Sampler = Callable[[Random], float]

_SHAPES = "constant:MS, uniform:LOW:HIGH, exponential:MEAN or lognormal:MEDIAN:SIGMA"


@lru_cache(maxsize=64)
def parse_latency(text: str) -> Sampler:
    """A function that draws a latency in milliseconds from a random generator.

    Raises SettingsError if the text is not ``constant:MS``, ``uniform:LOW:HIGH``, ``exponential:MEAN`` or
    ``lognormal:MEDIAN:SIGMA``, or a number is negative or not finite.
    """
    kind, *words = text.split(":")
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = [math.nan]
    if all(math.isfinite(number) and number >= 0 for number in numbers):
        match kind, numbers:
            case "constant", [ms]:
                return lambda rng: ms
            case "uniform", [low, high] if low <= high:
                return lambda rng: rng.uniform(low, high)
            case "exponential", [mean] if mean > 0:
                return lambda rng: rng.expovariate(1 / mean)
            case "lognormal", [median, sigma] if median > 0:
                return lambda rng: rng.lognormvariate(math.log(median), sigma)
    raise SettingsError(f"expected a latency such as {_SHAPES}, found {text!r}", where="backend_latency")
