/* Elementary functions on vectors. The comment of each states its largest error in units in the last place (ULP), which
 * tests/core/test_vmath.py reads and checks. Unless a comment says otherwise, a series is Taylor's, cut where the next
 * term is below the rounding error. */

/* Replaces the n sums s0, s1, s2, ... by the (n + 1) / 2 sums s0 + t s1, s2 + t s3, ...; returns their number. */
FP_INLINE int FP(add_in_pairs)(V(t) *sums, int n, V(t) t)
{
    FP_UNROLL_FOR (int k = 0; k < n / 2; k++)
        sums[k] = V(fma)(sums[2 * k + 1], t, sums[2 * k]);
    if (n % 2)
        sums[n / 2] = sums[n - 1];
    return (n + 1) / 2;
}

/* The polynomial of t with at most 32 coefficients, the constant first. It is evaluated as a tree with powers of t
 * (Estrin 1960), whose operations depend on each other less than those of Horner's scheme. */
FP_INLINE V(t) FP(polynomial)(V(t) t, const T *series, int terms)
{
    V(t) sums[32], t2 = V(mul)(t, t), t4 = V(mul)(t2, t2), t8 = V(mul)(t4, t4);
    FP_UNROLL_FOR (int k = 0; k < terms; k++)
        sums[k] = V(set1)(series[k]);
    terms = FP(add_in_pairs)(sums, terms, t);
    terms = FP(add_in_pairs)(sums, terms, t2);
    terms = FP(add_in_pairs)(sums, terms, t4);
    terms = FP(add_in_pairs)(sums, terms, t8);
    FP(add_in_pairs)(sums, terms, V(mul)(t8, t8));
    return sums[0];
}

/* The sum of r^(k - 2) / k! for k = 2..FP_EXP_TERMS, so that expm1(r) = r + r^2 tail(r). */
FP_INLINE V(t) FP(exp_tail)(V(t) r)
{
    /* clang-format off */
    static const T inverse_factorial[] = {(T)1, (T)1, (T)(1.0 / 2), (T)(1.0 / 6), (T)(1.0 / 24), (T)(1.0 / 120),
        (T)(1.0 / 720), (T)(1.0 / 5040), (T)(1.0 / 40320), (T)(1.0 / 362880), (T)(1.0 / 3628800),
        (T)(1.0 / 39916800), (T)(1.0 / 479001600), (T)(1.0 / 6227020800)};
    /* clang-format on */
    return FP(polynomial)(r, inverse_factorial + 2, FP_EXP_TERMS - 1);
}

/* Splits x = n ln 2 + r with an integer n and |r| <= ln(2) / 2: returns r, sets n. */
FP_INLINE V(t) FP(reduce_ln2)(V(t) x, V(t) *n)
{
    *n = V(round)(V(mul)(x, V(set1)((T)1.4426950408889634)));
    V(t) r = V(fnma)(*n, V(set1)(FP_LN2_HIGH), x);
    return V(fnma)(*n, V(set1)(FP_LN2_LOW), r);
}

/* e^x: 1.1 ULP. It is 0 where the result would be denormal, infinity above the range, and NaN for NaN. */
FP_INLINE V(t) FP(exp)(V(t) x)
{
    V(t) n, low = V(set1)(FP_EXP_MIN);
    V(t) in_range = V(min)(V(set1)(FP_EXP_MAX), V(max)(low, x));
    V(t) r = FP(reduce_ln2)(in_range, &n);
    V(t) y = V(add)(V(set1)(1), V(fma)(V(mul)(r, r), FP(exp_tail)(r), r));
    /* 2^n in two factors, since 2^n alone overflows for some x for which e^x does not */
    V(t) half = V(round)(V(mul)(n, V(set1)((T)0.5)));
    y = V(mul)(V(mul)(y, V(pow2)(half)), V(pow2)(V(sub)(n, half)));
    return V(select)(V(gt)(low, x), V(set1)(0), y);
}

/* e^x for x <= 0, with the bits of exp, by one factor 2^n, which does not overflow here. */
FP_INLINE V(t) FP(exp_below_0)(V(t) x)
{
    V(t) n, low = V(set1)(FP_EXP_MIN);
    V(t) r = FP(reduce_ln2)(V(max)(low, x), &n);
    V(t) y = V(add)(V(set1)(1), V(fma)(V(mul)(r, r), FP(exp_tail)(r), r));
    return V(select)(V(gt)(low, x), V(set1)(0), V(mul)(y, V(pow2)(n)));
}

/* e^-(x - error) for 0 <= x <= FP_DECAY_MAX and an `error` below the rounding error of x: 1.5 ULP. At FP_DECAY_MAX the
 * result is denormal, and so 0 where denormals are flushed: a caller that clamps x to it needs no comparison to get 0
 * beyond. Most activations spend most of their time here, so signs are in the constants, and rounding takes two
 * additions. */
FP_INLINE V(t) FP(decay)(V(t) x, V(t) error)
{
    /* clang-format off */
    static const T inverse_factorial[] = {(T)1, (T)-1, (T)(1.0 / 2), (T)(-1.0 / 6), (T)(1.0 / 24), (T)(-1.0 / 120),
        (T)(1.0 / 720), (T)(-1.0 / 5040), (T)(1.0 / 40320), (T)(-1.0 / 362880), (T)(1.0 / 3628800),
        (T)(-1.0 / 39916800), (T)(1.0 / 479001600), (T)(-1.0 / 6227020800)};
    /* clang-format on */
    V(t) magic = V(set1)(FP_ROUND_MAGIC), n = V(sub)(V(fma)(x, V(set1)((T)-1.4426950408889634), magic), magic);
    V(t) r = V(fma)(n, V(set1)(FP_LN2_LOW), V(fma)(n, V(set1)(FP_LN2_HIGH), x)); /* x = r - n ln 2 */
    r = V(sub)(r, error);
    V(t) sum = FP(polynomial)(r, inverse_factorial + 2, FP_EXP_TERMS - 1);
    return V(mul)(V(fma)(V(mul)(r, r), sum, V(sub)(V(set1)(1), r)), V(pow2)(n));
}

/* e^(-x y) of the exact product x y, for 0 <= x y <= FP_DECAY_MAX: 1.6 ULP. */
FP_INLINE V(t) FP(decay_product)(V(t) x, V(t) y)
{
    V(t) xy = V(mul)(x, y);
    return FP(decay)(xy, V(fnma)(x, y, xy));
}

/* e^x - 1 for |x| <= 2 FP_TANH_MAX: 1.5 ULP. */
FP_INLINE V(t) FP(expm1)(V(t) x)
{
    V(t) n, r = FP(reduce_ln2)(x, &n), power = V(pow2)(n);
    V(t) e = V(fma)(V(mul)(r, r), FP(exp_tail)(r), r);
    return V(fma)(power, e, V(sub)(power, V(set1)(1)));
}

/* tanh x = 2 t / (1 + t^2) = 2 p q / (q^2 + p^2) with t = tanh(x / 2) = p / q: 4 ULP. p = x + x^3 P(x^2) and
 * q = 2 + x^2 Q(x^2), with the coefficients that minimise the largest error of tanh x (which depends on that of t less
 * and less as t goes to 1). The result never exceeds 1, since 1 - tanh^2 must not be negative. */
FP_INLINE V(t) FP(tanh)(V(t) x)
{
    static const T above[] = {FP_TANH_P}, below[] = {FP_TANH_Q};
    V(t) size = V(min)(V(set1)(FP_TANH_MAX), V(abs)(x)), square = V(mul)(size, size);
    V(t) p = FP(polynomial)(square, above, sizeof above / sizeof *above);
    V(t) q = FP(polynomial)(square, below, sizeof below / sizeof *below);
    p = V(fma)(V(mul)(size, square), p, size); /* the leading terms x and 2 are added last, with one rounding */
    q = V(fma)(square, q, V(set1)(2));
    V(t) quotient = V(div)(V(mul)(V(add)(p, p), q), V(fma)(q, q, V(mul)(p, p)));
    return V(copysign)(V(min)(V(set1)(1), quotient), x);
}

/* The sigmoid s(x) = 1 / (1 + e^-x), computed as e^x / (1 + e^x) below 0, so that both need e^-|x| only: 2.5 ULP. */
FP_INLINE V(t) FP(sigmoid)(V(t) x)
{
    V(t) one = V(set1)(1), zero = V(set1)(0), e = FP(exp_below_0)(V(sub)(zero, V(abs)(x)));
    return V(div)(V(select)(V(gt)(zero, x), e, one), V(add)(one, e));
}

/* s(x) and, into *other, s(-x) = 1 - s(x), without cancellation, from e = e^-x for x >= 0: 3.5 ULP. */
FP_INLINE V(t) FP(sigmoids)(V(t) e, V(t) *other)
{
    V(t) one = V(set1)(1), s = V(div)(one, V(add)(one, e));
    *other = V(mul)(e, s);
    return s;
}

/* ln(1 + e^-x) and, into *s and *other, s(x) and s(-x), for 0 <= x <= FP_DECAY_MAX: 4.5 ULP. ln(1 + e) / e is a
 * polynomial in 2 e - 1, which interpolates it at Chebyshev's nodes. */
FP_INLINE V(t) FP(softplus_of_minus)(V(t) x, V(t) *s, V(t) *other)
{
    static const T series[] = {FP_LOG1P_SERIES};
    V(t) e = FP(decay)(x, V(set1)(0)), t = V(sub)(V(add)(e, e), V(set1)(1));
    *s = FP(sigmoids)(e, other);
    return V(mul)(e, FP(polynomial)(t, series, sizeof series / sizeof *series));
}

/* Phi(-x), the probability that a standard normal variable exceeds x, and e^(-x^2 / 2) into *e, for
 * 0 <= x <= FP_NORMAL_MAX: 7 ULP. Phi(-x) is e^(-x^2 / 2) times a smooth function of t = (x - 5) / (x + 5) (Shepherd
 * and Laframboise 1981, "Chebyshev approximation of (1 + 2x) exp(x^2) erfc x"): here (1 - t) / 2 times a polynomial
 * that interpolates at Chebyshev's nodes. */
FP_INLINE V(t) FP(normal_tail)(V(t) x, V(t) *e)
{
    static const T series[] = {FP_TAIL_SERIES};
    V(t) u = V(div)(V(set1)(5), V(add)(x, V(set1)(5))), t = V(fnma)(V(set1)(2), u, V(set1)(1));
    *e = FP(decay_product)(x, V(mul)(V(set1)((T)0.5), x));
    return V(mul)(V(mul)(u, *e), FP(polynomial)(t, series, sizeof series / sizeof *series));
}

/* ln x for positive normal x, NaN for NaN and infinity: 1 ULP. x = 2^n m with m in [sqrt(1/2), sqrt(2)), and
 * ln m = 2 atanh(s) with s = (m - 1) / (m + 1). */
FP_INLINE V(t) FP(log)(V(t) x)
{
    V(t) n = V(exponent)(x), m = V(mantissa)(x), one = V(set1)(1), half = V(set1)((T)0.5);
    V(mask) big = V(gt)(m, V(set1)((T)1.4142135623730951));
    m = V(select)(big, V(mul)(m, half), m);
    n = V(add)(n, V(keep)(big, one));
    V(t) f = V(sub)(m, one);
    V(t) s = V(div)(f, V(add)(f, V(set1)(2))), s2 = V(mul)(s, s);
    V(t) sum = V(set1)((T)(1.0 / (2 * FP_LOG_TERMS + 1)));
    FP_UNROLL_FOR (int k = FP_LOG_TERMS - 1; k >= 1; k--)
        sum = V(fma)(sum, s2, V(set1)((T)(1.0 / (2 * k + 1))));
    /* 2 s = f - s f, and f has no rounding error, which 2 s has; so ln m = f - s (f - 2 s^2 sum) */
    V(t) correction = V(mul)(s, V(fnma)(V(add)(s2, s2), sum, f));
    V(t) ln_m = V(sub)(f, V(fnma)(n, V(set1)(FP_LN2_LOW), correction));
    V(t) nan_or_0 = V(sub)(x, x);
    return V(add)(V(fma)(n, V(set1)(FP_LN2_HIGH), ln_m), nan_or_0);
}

/* ln(1 + x) for x in [0, 1]: 2 ULP. With w = 1 + x rounded, the part of x that was lost by rounding adds (x - (w - 1))
 * / w. */
FP_INLINE V(t) FP(log1p)(V(t) x)
{
    V(t) one = V(set1)(1), w = V(add)(one, x);
    V(t) lost = V(sub)(x, V(sub)(w, one));
    return V(add)(FP(log)(w), V(div)(lost, w));
}

/* Splits x = n pi / 2 + r with an integer n and |r| <= pi / 4, plus what the rounding of x 2 / pi adds: returns r, sets
 * n. n times each part of pi / 2 is exact within an FMA, and so is the first difference (Cody and Waite 1980, "Software
 * Manual for the Elementary Functions"). */
FP_INLINE V(t) FP(reduce_half_pi)(V(t) x, V(t) *n)
{
    *n = V(round)(V(mul)(x, V(set1)((T)0.6366197723675814)));
    V(t) r = V(fnma)(*n, V(set1)(FP_HALF_PI_1), x);
    r = V(fnma)(*n, V(set1)(FP_HALF_PI_2), r);
    return V(fnma)(*n, V(set1)(FP_HALF_PI_3), r);
}

/* r - r^3 / 3! + r^5 / 5! - ... */
FP_INLINE V(t) FP(sin_series)(V(t) r, V(t) r2)
{
    /* clang-format off */
    static const T inverse_factorial[] = {(T)1, (T)(-1.0 / 6), (T)(1.0 / 120), (T)(-1.0 / 5040), (T)(1.0 / 362880),
        (T)(-1.0 / 39916800), (T)(1.0 / 6227020800), (T)(-1.0 / 1307674368000), (T)(1.0 / 355687428096000)};
    /* clang-format on */
    V(t) sum = V(set1)(inverse_factorial[FP_SIN_TERMS]);
    FP_UNROLL_FOR (int k = FP_SIN_TERMS - 1; k >= 1; k--)
        sum = V(fma)(sum, r2, V(set1)(inverse_factorial[k]));
    return V(fma)(V(mul)(r, r2), sum, r);
}

/* 1 - r^2 / 2! + r^4 / 4! - ... */
FP_INLINE V(t) FP(cos_series)(V(t) r2)
{
    /* clang-format off */
    static const T inverse_factorial[] = {(T)1, (T)(-1.0 / 2), (T)(1.0 / 24), (T)(-1.0 / 720), (T)(1.0 / 40320),
        (T)(-1.0 / 3628800), (T)(1.0 / 479001600), (T)(-1.0 / 87178291200), (T)(1.0 / 20922789888000)};
    /* clang-format on */
    V(t) sum = V(set1)(inverse_factorial[FP_COS_TERMS]);
    FP_UNROLL_FOR (int k = FP_COS_TERMS - 1; k >= 0; k--)
        sum = V(fma)(sum, r2, V(set1)(inverse_factorial[k]));
    return sum;
}

#define FP_SINCOS_MAX 1e5 /* beyond it x 2 / pi may round to an n that is not the nearest, so that r grows */

/* sin x and, into *cosine, cos x: 1.6 ULP for |x| <= FP_SINCOS_MAX, NaN for NaN. */
FP_INLINE V(t) FP(sincos)(V(t) x, V(t) *cosine)
{
    V(t) n, one = V(set1)(1);
    V(t) r = FP(reduce_half_pi)(x, &n);
    V(t) quarter = V(fnma)(V(round)(V(mul)(n, V(set1)((T)0.25))), V(set1)(4), n); /* n modulo 4, from -2 to 2 */
    V(t) sign = V(sub)(one, V(abs)(quarter)); /* 1 where n mod 4 is 0, -1 where it is 2, 0 where it is odd */
    V(mask) even = V(gt)(V(abs)(sign), V(set1)((T)0.5));
    V(t) r2 = V(mul)(r, r), s = FP(sin_series)(r, r2), c = FP(cos_series)(r2);
    *cosine = V(select)(even, V(mul)(sign, c), V(mul)(V(sub)(V(set1)(0), quarter), s));
    return V(select)(even, V(mul)(sign, s), V(mul)(quarter, c));
}

/* sin(omega z) and, into *cosine, cos(omega z) for any z, by libm, whose range reduction is exact. A product that
 * overflows is replaced by the largest double: its sine is arbitrary, but in [-1, 1]. */
static V(t) FP(libm_sincos)(T omega, V(t) z, V(t) *cosine)
{
    T values[L], sines[L], cosines[L];
    V(store)(values, z);
    for (int i = 0; i < L; i++) {
        double x = (double)omega * (double)values[i];
        if (isinf(x) && !isinf(values[i]))
            x = copysign(DBL_MAX, x);
        sines[i] = (T)sin(x);
        cosines[i] = (T)cos(x);
    }
    *cosine = V(load)(cosines);
    return V(load)(sines);
}
