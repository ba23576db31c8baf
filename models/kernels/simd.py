"""Vectors of float32 for numba: `load`, arithmetic, `store`, on the widest registers that the processor has.

A loop over vectors is as fast as its instructions, while the speed of one that LLVM has to vectorise itself depends on
what it can prove. LLVM splits a vector of 64 into as many registers as it takes, interleaved, which hides the latency
of each; the same code runs on any processor.
"""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import types
from numba.core import cgutils, config
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

FUSED = ("contract",)  # a product and a sum may become one instruction
_FOR_ANOTHER = any(getattr(config, name) for name in ("CPU_NAME", "CPU_FEATURES"))  # of NUMBA_CPU_NAME, ...
_ESTIMATES = not _FOR_ANOTHER and get_host_cpu_features().get("avx512f", False)
_f, _i = ir.FloatType(), ir.IntType(32)
_CHEBYSHEV = np.polynomial.Chebyshev.interpolate(np.exp2, 4, domain=(-0.5, 0.5))
_POWER: list[float] = _CHEBYSHEV.convert(kind=np.polynomial.Polynomial).coef.tolist()
"""2^r for |r| ≤ 1/2, 4e-6 relative; a sigmoid of it is within 1e-6."""


def _intrinsic(write: Callable[..., Any]) -> Any:
    """Return the function for compiled code whose LLVM instructions `write` writes."""
    return intrinsic(prefer_literal=True)(write)


class Vector(types.Type):
    """numba's type of `width` float32."""

    def __init__(self, width: int) -> None:
        self.width = width
        super().__init__(name=f"Vector({width})")


@register_model(Vector)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Vector) -> None:
        super().__init__(manager, kind, ir.VectorType(_f, kind.width))


def _operator(symbol: Any, instruction: str) -> None:
    @infer_global(symbol)
    class _Typing(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            fits = len(args) == 2 and isinstance(args[0], Vector) and args[0] == args[1]
            return signature(args[0], *args) if fits else None

    @lower_builtin(symbol, Vector, Vector)
    def _lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return getattr(builder, instruction)(*args, flags=FUSED)


for _symbols, _instruction in (
    ((operator.add, operator.iadd), "fadd"),
    ((operator.sub, operator.isub), "fsub"),
    ((operator.mul, operator.imul), "fmul"),
    ((operator.truediv, operator.itruediv), "fdiv"),
):
    for _symbol in _symbols:
        _operator(_symbol, _instruction)


def _place(context: Any, builder: Any, sig: Any, args: Any, width: int) -> Any:
    """Return the address of `array[row, column]` as one of a vector."""
    array = context.make_array(sig.args[0])(context, builder, args[0])
    at = [context.cast(builder, args[k], sig.args[k], types.intp) for k in (1, 2)]
    shape, strides = cgutils.unpack_tuple(builder, array.shape, 2), cgutils.unpack_tuple(builder, array.strides, 2)
    place = cgutils.get_item_pointer2(
        context, builder, array.data, shape, strides, "C", at, wraparound=False, boundscheck=False
    )
    return builder.bitcast(place, ir.VectorType(_f, width).as_pointer())


@_intrinsic
def load(typing: Any, array: Any, row: Any, column: Any, width: Any) -> Any:
    """Return `array[row, column : column + width]` of a C-contiguous float32 matrix; unchecked."""
    vector = Vector(width.literal_value)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(_place(context, builder, sig, args, vector.width), align=4)

    return vector(array, row, column, width), generate


@_intrinsic
def store(typing: Any, array: Any, row: Any, column: Any, value: Any) -> Any:
    """Put a vector into a C-contiguous float32 matrix from `array[row, column]` on; unchecked."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.store(args[3], _place(context, builder, sig, args, value.width), align=4)
        return context.get_dummy_value()

    return types.void(array, row, column, value), generate


@_intrinsic
def spread(typing: Any, value: Any, width: Any) -> Any:
    """Return a vector of one float32."""
    vector = Vector(width.literal_value)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        empty = ir.Constant(ir.VectorType(_f, vector.width), ir.Undefined)
        one = builder.insert_element(empty, args[0], _i(0))
        return builder.shuffle_vector(one, empty, _mask([0] * vector.width))

    return vector(types.float32, width), generate


@_intrinsic
def join(typing: Any, a: Any, b: Any) -> Any:
    """Return a vector of a and, after it, b."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.shuffle_vector(*args, _mask(list(range(2 * a.width))))

    return Vector(2 * a.width)(a, b), generate


@_intrinsic
def first(typing: Any, value: Any) -> Any:
    """Return the first half of a vector."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _halves(builder, args[0], value.width)[0]

    return Vector(value.width // 2)(value), generate


@_intrinsic
def second(typing: Any, value: Any) -> Any:
    """Return the second half of a vector."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _halves(builder, args[0], value.width)[1]

    return Vector(value.width // 2)(value), generate


@_intrinsic
def bounded(typing: Any, y: Any) -> Any:
    """Return y brought to [-64, 64]; NaN stays NaN."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = args[0]
        for sign, limit in (("<", _constant(y, -64)), (">", _constant(y, 64))):
            value = builder.select(builder.fcmp_ordered(sign, value, limit), limit, value)
        return value

    return y(y), generate


@_intrinsic
def divisor(typing: Any, y: Any) -> Any:
    """Return 1 + 2^y to 5e-6 for y in [-64, 64]; NaN stays NaN. Its inverse is sigmoid(x) for y = -x / ln 2."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        integers = ir.VectorType(_i, y.width)
        shift = _constant(y, 1.5 * 2**23 + 127)
        rounded = builder.fadd(args[0], shift)  # its last bits are the nearest integer and 127: an exponent
        rest = builder.fsub(args[0], builder.fsub(rounded, shift))
        power = _constant(y, _POWER[-1])
        for coefficient in reversed(_POWER[:-1]):
            power = builder.fadd(builder.fmul(power, rest, flags=FUSED), _constant(y, coefficient), flags=FUSED)
        bits = builder.shl(builder.bitcast(rounded, integers), ir.Constant(integers, [23] * y.width))
        whole = builder.bitcast(bits, rounded.type)
        return builder.fadd(builder.fmul(power, whole, flags=FUSED), _constant(y, 1), flags=FUSED)

    return y(y), generate


@_intrinsic
def inverse(typing: Any, value: Any) -> Any:
    """Return 1 / value to 2e-7 relative for values in [1e-30, 1e30]; NaN stays NaN.

    With AVX-512 the processor's estimate to 14 bits and a step of Newton's, twice as fast as its division.
    """

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        one = _constant(value, 1)
        if not _ESTIMATES or value.width % 16:
            return builder.fdiv(one, args[0])
        part, bits = ir.VectorType(_f, 16), ir.IntType(16)
        kind = ir.FunctionType(part, [part, part, bits])
        estimate = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.rcp14.ps.512")
        near = ir.Constant(args[0].type, ir.Undefined)
        for k in range(0, value.width, 16):
            lanes = builder.shuffle_vector(args[0], args[0], _mask(list(range(k, k + 16))))
            found = builder.call(estimate, [lanes, ir.Constant(part, ir.Undefined), ir.Constant(bits, -1)])
            wide = builder.shuffle_vector(found, found, _mask([i % 16 for i in range(value.width)]))
            here = [value.width + i if k <= i < k + 16 else i for i in range(value.width)]
            near = builder.shuffle_vector(near, wide, _mask(here))
        error = builder.fsub(one, builder.fmul(args[0], near, flags=FUSED), flags=FUSED)
        return builder.fadd(near, builder.fmul(near, error, flags=FUSED), flags=FUSED)

    return value(value), generate


@_intrinsic
def align_stack(typing: Any) -> Any:
    """Have the vectors that a function's registers don't hold start on a cache line; LLVM leaves that to chance."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place = cgutils.alloca_once(builder, ir.VectorType(_f, 16))
        place.align = 64
        user = ir.FunctionType(ir.VoidType(), [place.type])
        builder.asm(user, "", "r", [place], True)  # no instruction, but a use
        return context.get_dummy_value()

    return types.void(), generate


@_intrinsic
def totals(typing: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """Return a vector of 16 in which each four neighbours hold a part of the sum of a, of b, of c and of d."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vectors = [_folded(builder, vector, a.width, 16) for vector in args]

        def pair(x: Any, y: Any, first: tuple[int, ...], second: tuple[int, ...]) -> Any:
            """Add two choices among the four x and the four y of each quarter."""
            parts = []
            for choice in (first, second):
                places = [4 * quarter + (k if k < 4 else 12 + k) for quarter in range(4) for k in choice]
                parts.append(builder.shuffle_vector(x, y, _mask(places)))
            return builder.fadd(*parts)

        ab = pair(vectors[0], vectors[1], (0, 4, 1, 5), (2, 6, 3, 7))  # of a, b, a, b
        cd = pair(vectors[2], vectors[3], (0, 4, 1, 5), (2, 6, 3, 7))
        return pair(ab, cd, (0, 1, 4, 5), (2, 3, 6, 7))

    return Vector(16)(a, b, c, d), generate


def _halves(builder: Any, vector: Any, width: int) -> tuple[Any, Any]:
    first, second = (_mask(list(range(start, start + width // 2))) for start in (0, width // 2))
    return builder.shuffle_vector(vector, vector, first), builder.shuffle_vector(vector, vector, second)


def _folded(builder: Any, vector: Any, width: int, least: int) -> Any:
    """Return the sum of a vector's parts of `least`."""
    while width > least:
        vector, width = builder.fadd(*_halves(builder, vector, width), flags=FUSED), width // 2
    return vector


def _constant(kind: Vector, value: float) -> Any:
    return ir.Constant(ir.VectorType(_f, kind.width), [float(np.float32(value))] * kind.width)


def _mask(places: list[int]) -> Any:
    return ir.Constant(ir.VectorType(_i, len(places)), places)
