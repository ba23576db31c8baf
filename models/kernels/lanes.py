"""Instructions for Fourier transforms of several frames side by side: one frame in each lane of a vector.

`butterfly` and `first_butterfly` write a small transform (2, 3, 4, 5 or 8 points) for all lanes at once. They need no
shuffles, and no frame's result depends on the others. `transposed` brings neighbouring samples into the lanes' order.
The logarithm and the exponential are Cephes' `logf` and `expf`, within 2 units in the last place.
"""

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from llvmlite import ir
from numba import types

from models.kernels.simd import FUSED, _constant, _intrinsic, _mask

RADICES = (8, 5, 4, 3, 2)
"""Points of the transforms that a longer one is made of."""
_f, _i32 = ir.FloatType(), ir.IntType(32)
_LOG = (
    7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
    2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
)  # fmt: skip
_EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
_LN2 = 0.693359375, -2.12194440e-4
"""The logarithm of 2 in two parts, the first of few digits."""


class _Value:
    """A vector while instructions are written."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    def _of(self, value: Any) -> Self:
        return type(self)(self.builder, value)

    def _other(self, other: "_Value | float") -> Any:
        if isinstance(other, _Value):
            return other.value
        count = self.value.type.count
        return ir.Constant(self.value.type, [float(np.float32(other))] * count)

    def __add__(self, other: "_Value | float") -> Self:
        return self._of(self.builder.fadd(self.value, self._other(other), flags=FUSED))

    def __sub__(self, other: "_Value | float") -> Self:
        return self._of(self.builder.fsub(self.value, self._other(other), flags=FUSED))

    def __mul__(self, other: "_Value | float") -> Self:
        return self._of(self.builder.fmul(self.value, self._other(other), flags=FUSED))


class _Complex:
    """A vector of complex numbers while instructions are written."""

    def __init__(self, real: _Value, imag: _Value) -> None:
        self.real, self.imag = real, imag

    def __add__(self, other: "_Complex") -> "_Complex":
        return _Complex(self.real + other.real, self.imag + other.imag)

    def __sub__(self, other: "_Complex") -> "_Complex":
        return _Complex(self.real - other.real, self.imag - other.imag)

    def scaled(self, factor: "_Value | float") -> "_Complex":
        return _Complex(self.real * factor, self.imag * factor)

    def times(self, real: "_Value", imag: "_Value") -> "_Complex":
        return _Complex(self.real * real - self.imag * imag, self.real * imag + self.imag * real)

    def less_i(self, other: "_Complex") -> "_Complex":
        """Return self - i other."""
        return _Complex(self.real + other.imag, self.imag - other.real)

    def plus_i(self, other: "_Complex") -> "_Complex":
        """Return self + i other."""
        return _Complex(self.real - other.imag, self.imag + other.real)


def _transform(a: Sequence[_Complex]) -> list[_Complex]:
    """Return the forward transform of 2, 3, 4, 5 or 8 points."""
    if len(a) == 2:
        return [a[0] + a[1], a[0] - a[1]]
    if len(a) == 3:
        both = a[1] + a[2]
        middle, off = a[0] - both.scaled(0.5), (a[1] - a[2]).scaled(math.sqrt(0.75))
        return [a[0] + both, middle.less_i(off), middle.plus_i(off)]
    if len(a) == 4:
        even, odd = a[0] + a[2], a[1] + a[3]
        left, right = a[0] - a[2], a[1] - a[3]
        return [even + odd, left.less_i(right), even - odd, left.plus_i(right)]
    if len(a) == 5:
        c1, c2, s1, s2 = (f(2 * math.pi * k / 5) for f in (math.cos, math.sin) for k in (1, 2))
        outer, inner = a[1] + a[4], a[2] + a[3]
        apart, within = a[1] - a[4], a[2] - a[3]
        one, two = a[0] + outer.scaled(c1) + inner.scaled(c2), a[0] + outer.scaled(c2) + inner.scaled(c1)
        first = apart.scaled(s1) + within.scaled(s2)
        second = apart.scaled(s2) - within.scaled(s1)
        return [a[0] + outer + inner, one.less_i(first), two.less_i(second), two.plus_i(second), one.plus_i(first)]
    evens, odds = _transform(a[0::2]), _transform(a[1::2])
    half = math.sqrt(0.5)
    turned = [
        odds[0],
        _Complex((odds[1].real + odds[1].imag) * half, (odds[1].imag - odds[1].real) * half),
        odds[2],
        _Complex((odds[3].imag - odds[3].real) * half, (odds[3].real + odds[3].imag) * -half),
    ]
    results = [evens[0] + odds[0], evens[1] + turned[1], evens[2].less_i(odds[2]), evens[3] + turned[3]]
    return [*results, evens[0] - odds[0], evens[1] - turned[1], evens[2].plus_i(odds[2]), evens[3] - turned[3]]


def _data(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    return context.make_array(kind)(context, builder, value).data


class _Writer:
    """What the instructions of an intrinsic have in common: arrays by position, vectors by width."""

    def __init__(self, context: Any, builder: Any, sig: Any, args: Any, width: int) -> None:
        self.builder, self.width = builder, width
        self.args = [
            _data(context, builder, kind, value)
            if isinstance(kind, types.Array)
            else context.cast(builder, value, kind, types.intp)
            for kind, value in zip(sig.args, args, strict=True)
        ]

    def add(self, left: Any, right: Any) -> Any:
        return self.builder.add(left, right if isinstance(right, ir.Value) else ir.IntType(64)(right))

    def times(self, left: Any, right: Any) -> Any:
        return self.builder.mul(left, right if isinstance(right, ir.Value) else ir.IntType(64)(right))

    def _place(self, array: Any, at: Any) -> Any:
        place = self.builder.gep(array, [at])
        return self.builder.bitcast(place, ir.VectorType(_f, self.width).as_pointer())

    def load(self, array: Any, at: Any) -> _Value:
        return _Value(self.builder, self.builder.load(self._place(array, at), align=4))

    def store(self, array: Any, at: Any, value: _Value) -> None:
        self.builder.store(value.value, self._place(array, at), align=4)

    def scalar(self, array: Any, at: Any) -> Any:
        return self.builder.load(self.builder.gep(array, [at]))

    def spread(self, array: Any, at: Any) -> _Value:
        empty = ir.Constant(ir.VectorType(_f, self.width), ir.Undefined)
        one = self.builder.insert_element(empty, self.scalar(array, at), _i32(0))
        return _Value(self.builder, self.builder.shuffle_vector(one, empty, _mask([0] * self.width)))

    def finish(self, results: list[_Complex], out: Any, at: Any, step: Any, factors: Any, factor: Any) -> None:
        """Store a transform's results, all but the first one times their factors."""
        for q, result in enumerate(results):
            if q and factors is not None:
                place = self.add(factor, 2 * q - 2)
                result = result.times(self.spread(factors, place), self.spread(factors, self.add(place, 1)))
            here = self.times(self.add(at, self.times(step, q)), 2 * self.width)
            self.store(out, here, result.real)
            self.store(out, self.add(here, self.width), result.imag)


@_intrinsic
def butterfly(typing: Any, data: Any, at: Any, step: Any, factors: Any, factor: Any, radix: Any, width: Any) -> Any:
    """Transform points at, at + step, … of `data`, in place, times factors from `factors[factor]` on.

    A point is a vector of real parts and, after it, one of imaginary parts.
    """
    points, lanes = radix.literal_value, width.literal_value

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        w = _Writer(context, builder, sig, args, lanes)
        data, at, step, factors, factor = w.args[:5]
        found = []
        for q in range(points):
            here = w.times(w.add(at, w.times(step, q)), 2 * lanes)
            found.append(_Complex(w.load(data, here), w.load(data, w.add(here, lanes))))
        w.finish(_transform(found), data, at, step, factors, factor)
        return context.get_dummy_value()

    return types.void(data, at, step, factors, factor, radix, width), generate


@_intrinsic
def last_butterfly(typing: Any, data: Any, at: Any, radix: Any, width: Any) -> Any:
    """Transform neighbouring points in place, as `butterfly` does with factors of 1."""
    points, lanes = radix.literal_value, width.literal_value

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        w = _Writer(context, builder, sig, args, lanes)
        data, at = w.args[:2]
        found = []
        for q in range(points):
            here = w.times(w.add(at, q), 2 * lanes)
            found.append(_Complex(w.load(data, here), w.load(data, w.add(here, lanes))))
        w.finish(_transform(found), data, at, ir.IntType(64)(1), None, None)
        return context.get_dummy_value()

    return types.void(data, at, radix, width), generate


@_intrinsic
def first_butterfly(
    typing: Any, samples: Any, places: Any, window: Any, data: Any, at: Any, step: Any, factors: Any, factor: Any,
    radix: Any, width: Any,
) -> Any:  # fmt: skip
    """Transform as `butterfly` does; point n is samples 2n and 2n + 1 of all frames, weighted by the window.

    Sample i of all frames begins at `samples[places[i]]`.
    """
    points, lanes = radix.literal_value, width.literal_value

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        w = _Writer(context, builder, sig, args, lanes)
        samples, places, window, data, at, step, factors, factor = w.args[:8]
        found = []
        for q in range(points):
            even = w.times(w.add(at, w.times(step, q)), 2)
            parts = []
            for sample in (even, w.add(even, 1)):
                parts.append(w.load(samples, w.scalar(places, sample)) * w.spread(window, sample))
            found.append(_Complex(*parts))
        w.finish(_transform(found), data, at, step, factors, factor)
        return context.get_dummy_value()

    kinds = (samples, places, window, data, at, step, factors, factor, radix, width)
    return types.void(*kinds), generate


@_intrinsic
def real_powers(
    typing: Any, data: Any, left: Any, right: Any, factors: Any, k: Any, power: Any, mirror: Any, width: Any
) -> Any:
    """Put the power of points k and M - k of a real transform into `power`, from points `left`, `right` of `data`.

    `factors` holds -i e^(-πik / M) for each k.
    """
    lanes = width.literal_value

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        w = _Writer(context, builder, sig, args, lanes)
        data, left, right, factors, k, power, mirror = w.args[:7]
        near, far = w.times(left, 2 * lanes), w.times(right, 2 * lanes)
        a = _Complex(w.load(data, near), w.load(data, w.add(near, lanes)))
        b = _Complex(w.load(data, far), w.load(data, w.add(far, lanes)))
        even = _Complex(a.real + b.real, a.imag - b.imag)
        odd = _Complex(a.real - b.real, a.imag + b.imag)
        place = w.times(k, 2)
        odd = odd.times(w.spread(factors, place), w.spread(factors, w.add(place, 1)))
        for at, value in ((k, even + odd), (mirror, even - odd)):
            w.store(power, w.times(at, lanes), value.real * value.real + value.imag * value.imag)
        return context.get_dummy_value()

    return types.void(data, left, right, factors, k, power, mirror, width), generate


@_intrinsic
def transposed(typing: Any, source: Any, at: Any, stride: Any, target: Any, place: Any, step: Any) -> Any:
    """Put eight rows of eight values, `stride` apart in `source`, as columns into `target`, `step` apart."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        w = _Writer(context, builder, sig, args, 8)
        source, at, stride, target, place, step = w.args
        rows = [w.load(source, w.add(at, w.times(stride, r))).value for r in range(8)]
        for size in (1, 2, 4):  # exchanges the off-diagonal quarters of each block of twice the size
            low = _mask([i if not i & size else 8 + i - size for i in range(8)])
            high = _mask([i + size if not i & size else 8 + i for i in range(8)])
            for r in range(8):
                if not r & size:
                    a, b = rows[r], rows[r + size]
                    rows[r], rows[r + size] = builder.shuffle_vector(a, b, low), builder.shuffle_vector(a, b, high)
        for r, row in enumerate(rows):
            w.store(target, w.add(place, w.times(step, r)), _Value(builder, row))
        return context.get_dummy_value()

    return types.void(source, at, stride, target, place, step), generate


@_intrinsic
def at_least(typing: Any, value: Any, other: Any) -> Any:
    """Return the larger of each pair; NaN of the first one stays NaN."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value, other = args
        return builder.select(builder.fcmp_ordered("<", value, other), other, value)

    return value(value, other), generate


@_intrinsic
def instead_of_small(typing: Any, value: Any, least: Any, other: Any) -> Any:
    """Return the other where a value is below the least."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value, least, other = args
        return builder.select(builder.fcmp_ordered("<", value, least), other, value)

    return value(value, least, other), generate


def _kept(builder: Any, value: Any, result: Any) -> Any:
    """Return the result, or the value where that is infinite or NaN."""
    infinite = ir.Constant(value.type, [float("inf")] * value.type.count)
    return builder.select(builder.fcmp_ordered("<", value, infinite), result, value)


def _bits(kind: Any, value: int) -> Any:
    return ir.Constant(ir.VectorType(_i32, kind.width), [value] * kind.width)


@_intrinsic
def logarithm(typing: Any, x: Any) -> Any:
    """Return the natural logarithm of normal positive numbers; infinity and NaN stay."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        integers = ir.VectorType(_i32, x.width)
        bits = builder.bitcast(args[0], integers)
        exponent = builder.ashr(builder.sub(bits, _bits(x, 0x3F3504F3)), _bits(x, 23))
        mantissa = builder.bitcast(builder.sub(bits, builder.shl(exponent, _bits(x, 23))), args[0].type)
        e = _Value(builder, builder.sitofp(exponent, args[0].type))
        f = _Value(builder, mantissa) - 1.0
        y = _Value(builder, _constant(x, _LOG[0]))
        for coefficient in _LOG[1:]:
            y = y * f + coefficient
        square = f * f
        y = y * f * square + e * _LN2[1] - square * 0.5
        return _kept(builder, args[0], (f + y + e * _LN2[0]).value)

    return x(x), generate


@_intrinsic
def exponential(typing: Any, x: Any) -> Any:
    """Return e^x of numbers in [-87, 87]; infinity and NaN stay."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = _Value(builder, args[0])
        shift = _constant(x, 1.5 * 2**23 + 127)
        rounded = builder.fadd((value * math.log2(math.e)).value, shift)  # its last bits are an exponent
        n = _Value(builder, builder.fsub(rounded, shift))
        g = value - n * _LN2[0] - n * _LN2[1]
        y = _Value(builder, _constant(x, _EXP[0]))
        for coefficient in _EXP[1:]:
            y = y * g + coefficient
        y = y * (g * g) + g + 1.0
        bits = builder.shl(builder.bitcast(rounded, ir.VectorType(_i32, x.width)), _bits(x, 23))
        return _kept(builder, args[0], (y * _Value(builder, builder.bitcast(bits, args[0].type))).value)

    return x(x), generate
