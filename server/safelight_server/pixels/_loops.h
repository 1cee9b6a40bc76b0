/* The loops over pixels and latents, and the arithmetic of one sampler step; no Python in here.
 *
 * They work on blocks that stay in the first cache, so that a chain of simple loops, which compilers turn into good
 * vector code, costs one pass over memory. Every float is rounded after every operation, as NumPy rounds it.
 */
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* One copy of each outer loop per instruction set; the loader picks one. ifuncs, which this needs, are glibc's. */
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__) && __GNUC__ >= 12 && !defined(SAFELIGHT_ONE_LEVEL)
#define PER_INSTRUCTION_SET \
    __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "arch=x86-64-v2", "default")))
#define CLONED 1
#else
#define PER_INSTRUCTION_SET
#define CLONED 0
#endif

/* Inlined always: a function called from a clone would itself be compiled for the baseline only. */
#ifdef _MSC_VER
#define INLINE static __forceinline
#else
#define INLINE static inline __attribute__((always_inline))
#endif

enum { BLOCK = 256, MOST_CHANNELS = 64 };

INLINE ptrdiff_t block(ptrdiff_t left) { return left < BLOCK ? left : BLOCK; }

/* ---- pictures ---- */

/* Splits n pixels of 3 or 4 bytes into their first three channels. */
INLINE void split(const uint8_t *restrict pixel, ptrdiff_t channels, ptrdiff_t n, uint8_t (*restrict rgb)[BLOCK])
{
    for (ptrdiff_t i = 0; i < n; i++) {
        rgb[0][i] = pixel[channels * i];
        rgb[1][i] = pixel[channels * i + 1];
        rgb[2][i] = pixel[channels * i + 2];
    }
}

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define SHUFFLES 1
#endif
#endif

/* The reverse of split, to 3 bytes a pixel. Compilers do this one badly, so 16 pixels at a time are put in place by
 * byte shuffles: red and green first, then blue into the gaps. */
INLINE void join(uint8_t (*restrict rgb)[BLOCK], ptrdiff_t n, uint8_t *restrict pixel)
{
    ptrdiff_t i = 0;
#ifdef SHUFFLES
    typedef uint8_t bytes16 __attribute__((vector_size(16)));
    for (; i + 16 <= n; i += 16) {
        bytes16 r, g, b, first, second, third;
        memcpy(&r, rgb[0] + i, 16);
        memcpy(&g, rgb[1] + i, 16);
        memcpy(&b, rgb[2] + i, 16);
        first = __builtin_shufflevector(r, g, 0, 16, -1, 1, 17, -1, 2, 18, -1, 3, 19, -1, 4, 20, -1, 5);
        first = __builtin_shufflevector(first, b, 0, 1, 16, 3, 4, 17, 6, 7, 18, 9, 10, 19, 12, 13, 20, 15);
        second = __builtin_shufflevector(r, g, 21, -1, 6, 22, -1, 7, 23, -1, 8, 24, -1, 9, 25, -1, 10, 26);
        second = __builtin_shufflevector(second, b, 0, 21, 2, 3, 22, 5, 6, 23, 8, 9, 24, 11, 12, 25, 14, 15);
        third = __builtin_shufflevector(r, g, -1, 11, 27, -1, 12, 28, -1, 13, 29, -1, 14, 30, -1, 15, 31, -1);
        third = __builtin_shufflevector(third, b, 26, 1, 2, 27, 4, 5, 28, 7, 8, 29, 10, 11, 30, 13, 14, 31);
        memcpy(pixel + 3 * i, &first, 16);
        memcpy(pixel + 3 * i + 16, &second, 16);
        memcpy(pixel + 3 * i + 32, &third, 16);
    }
#endif
    for (; i < n; i++) {
        pixel[3 * i] = rgb[0][i];
        pixel[3 * i + 1] = rgb[1][i];
        pixel[3 * i + 2] = rgb[2][i];
    }
}

/* n values in -1..1 to 0..255: out of range to the nearer end, halves to the even neighbour, NaN to 0. One clamp a
 * loop: two in one loop become branches or masks, one becomes a max or a min. */
INLINE void quantize(const float *restrict value, ptrdiff_t n, uint8_t *restrict byte)
{
    const float no_fraction = 8388608.0f; /* 2^23: a sum this large is rounded to a whole number */
    float unit[BLOCK];
    for (ptrdiff_t i = 0; i < n; i++) {
        float shifted = value[i] * 0.5f + 0.5f;
        unit[i] = shifted > 0.0f ? shifted : 0.0f; /* NaN > 0 is false */
    }
    for (ptrdiff_t i = 0; i < n; i++)
        unit[i] = unit[i] < 1.0f ? unit[i] : 1.0f;
    for (ptrdiff_t i = 0; i < n; i++)
        byte[i] = (uint8_t)(int32_t)((unit[i] * 255.0f + no_fraction) - no_fraction);
}

/* (value / 255) * 2 - 1, without the division: 1/255 is 1/256 + 1/65280, the first product is exact, and the sum of
 * the two comes out as the rounded quotient for each of the 256 values (a test goes through them). */
INLINE float unit_range(uint8_t value)
{
    return ((float)value * (2.0f / 256.0f) + (float)value * (2.0f / 65280.0f)) - 1.0f;
}

/* Brings in the cache lines of a block soon to be written: a miss costs more than all the arithmetic. */
INLINE void fetch(const float *next)
{
#ifdef _MSC_VER
    (void)next;
#else
    for (int i = 0; i < BLOCK; i += 64 / (int)sizeof(float))
        __builtin_prefetch(next + i, 1);
#endif
}

PER_INSTRUCTION_SET
static void planes_loop(const uint8_t *picture, ptrdiff_t channels, ptrdiff_t count, float *planes)
{
    uint8_t rgb[3][BLOCK];
    for (ptrdiff_t start = 0; start < count; start += BLOCK) {
        ptrdiff_t n = block(count - start);
        if (channels == 3)
            split(picture + 3 * start, 3, n, rgb);
        else
            split(picture + 4 * start, 4, n, rgb);
        for (int c = 0; c < 3; c++) {
            float *restrict plane = planes + c * count + start;
            if (start + 2 * BLOCK <= count)
                fetch(plane + BLOCK);
            for (ptrdiff_t i = 0; i < n; i++)
                plane[i] = unit_range(rgb[c][i]);
        }
    }
}

PER_INSTRUCTION_SET
static void picture_loop(const float *planes, ptrdiff_t count, uint8_t *picture)
{
    uint8_t rgb[3][BLOCK];
    for (ptrdiff_t start = 0; start < count; start += BLOCK) {
        ptrdiff_t n = block(count - start);
        for (int c = 0; c < 3; c++)
            quantize(planes + c * count + start, n, rgb[c]);
        join(rgb, n, picture + 3 * start);
    }
}

/* ---- latents ---- */

INLINE void add(float weight, const float *restrict term, ptrdiff_t n, float *restrict sum)
{
    for (ptrdiff_t i = 0; i < n; i++)
        sum[i] += weight * term[i];
}

/* As add, but a weight of 0 leaves the term unread: 0 * infinity would be NaN, and the term may be absent. */
INLINE void add_weighted(float weight, const float *term, ptrdiff_t start, ptrdiff_t n, float *restrict sum)
{
    if (weight != 0.0f)
        add(weight, term + start, n, sum);
}

PER_INSTRUCTION_SET
static void preview_loop(const float *latents, ptrdiff_t channels, ptrdiff_t count, const float *matrix,
                         const float *bias, uint8_t *picture)
{
    uint8_t rgb[3][BLOCK];
    for (ptrdiff_t start = 0; start < count; start += BLOCK) {
        ptrdiff_t n = block(count - start);
        for (int colour = 0; colour < 3; colour++) {
            float sum[BLOCK] = {0};
            for (ptrdiff_t c = 0; c < channels; c++)
                add(matrix[3 * c + colour], latents + c * count + start, n, sum);
            for (ptrdiff_t i = 0; i < n; i++)
                sum[i] += bias[colour];
            quantize(sum, n, rgb[colour]);
        }
        join(rgb, n, picture + 3 * start);
    }
}

static void weights_loop(const uint8_t *mask, ptrdiff_t factor, ptrdiff_t height, ptrdiff_t width, float *weights)
{
    for (ptrdiff_t i = 0; i < height; i++)
        for (ptrdiff_t j = 0; j < width; j++)
            weights[i * width + j] = mask[(i * width * factor + j) * factor] >= 128 ? 1.0f : 0.0f;
}

PER_INSTRUCTION_SET
static void blend_loop(const float *sample, const float *weights, const float *original, const float *noise,
                       float original_scale, float noise_scale, ptrdiff_t channels, ptrdiff_t count,
                       float *restrict out)
{
    for (ptrdiff_t c = 0; c < channels; c++, sample += count, original += count, noise += count, out += count)
        for (ptrdiff_t i = 0; i < count; i++) {
            float kept = original_scale * original[i] + noise_scale * noise[i];
            out[i] = (1.0f - weights[i]) * kept + weights[i] * sample[i];
        }
}

/* ---- one sampler step ---- */

/* The network's output: one row, or two of which the first is the unconditional one. */
struct prediction {
    const float *unconditional; /* NULL when there is one row */
    const float *conditional;
    float guidance, factor;
};

/* The weights of coefficients.py; an absent clip is infinite. */
struct update {
    float x0_sample, x0_output, sample, denoised, output, previous, noise, clip;
};

struct latents {
    const float *sample, *previous, *noise;
    float *next, *denoised;
};

INLINE void guide(const struct prediction *from, ptrdiff_t start, ptrdiff_t n, float *restrict m)
{
    const float *c = from->conditional + start, *u = from->unconditional + start;
    for (ptrdiff_t i = 0; i < n; i++)
        m[i] = u[i] + from->guidance * (c[i] - u[i]);
}

enum { LANES = 64 };

/* Running sums of x - x[0] and of its square. Value i goes to lane i modulo LANES and the lanes are folded by halves:
 * an order that NumPy can follow. The shift by the first value keeps a constant row's deviation exactly 0. */
struct moments {
    double shift, sum[LANES], squares[LANES];
};

INLINE void measure(struct moments *moments, const float *restrict value, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i += LANES)
        for (ptrdiff_t lane = 0; lane < (n - i < LANES ? n - i : LANES); lane++) {
            double d = (double)value[i + lane] - moments->shift;
            moments->sum[lane] += d;
            moments->squares[lane] += d * d;
        }
}

static double deviation(struct moments *moments, ptrdiff_t count)
{
    for (int half = LANES / 2; half; half /= 2)
        for (int lane = 0; lane < half; lane++) {
            moments->sum[lane] += moments->sum[lane + half];
            moments->squares[lane] += moments->squares[lane + half];
        }
    double sum = moments->sum[0];
    double variance = (moments->squares[0] - sum * sum / (double)count) / (double)(count > 1 ? count - 1 : 1);
    return sqrt(variance < 0.0 ? 0.0 : variance); /* just below 0 by rounding; NaN stays NaN */
}

/* What brings the guided output's spread back to the conditional one's, in the share `rescale`. */
PER_INSTRUCTION_SET
static float rescaling(const struct prediction *from, ptrdiff_t count, double rescale)
{
    float m[BLOCK];
    struct moments conditional = {0}, guided = {0};
    guide(from, 0, 1, m);
    guided.shift = (double)m[0];
    conditional.shift = (double)from->conditional[0];
    for (ptrdiff_t start = 0; start < count; start += BLOCK) {
        ptrdiff_t n = block(count - start);
        guide(from, start, n, m);
        measure(&guided, m, n);
        measure(&conditional, from->conditional + start, n);
    }
    double spread = deviation(&guided, count);
    if (spread == 0.0)
        return 1.0f; /* a constant has no spread to bring back */
    return (float)(rescale * (deviation(&conditional, count) / spread) + (1.0 - rescale));
}

PER_INSTRUCTION_SET
static void advance_loop(const struct prediction *from, const struct update *weigh, const struct latents *at,
                         ptrdiff_t count)
{
    for (ptrdiff_t start = 0; start < count; start += BLOCK) {
        ptrdiff_t n = block(count - start);
        float guided[BLOCK], x0[BLOCK] = {0}, next[BLOCK] = {0};
        const float *m = from->conditional + start;
        if (from->unconditional) {
            guide(from, start, n, guided);
            for (ptrdiff_t i = 0; i < n; i++)
                guided[i] *= from->factor;
            m = guided;
        }
        add_weighted(weigh->x0_sample, at->sample, start, n, x0);
        add_weighted(weigh->x0_output, m, 0, n, x0);
        for (ptrdiff_t i = 0; i < n; i++)
            x0[i] = x0[i] < -weigh->clip ? -weigh->clip : x0[i]; /* this way round, NaN stays NaN */
        for (ptrdiff_t i = 0; i < n; i++)
            x0[i] = x0[i] > weigh->clip ? weigh->clip : x0[i];
        add_weighted(weigh->sample, at->sample, start, n, next);
        add_weighted(weigh->output, m, 0, n, next);
        add_weighted(weigh->denoised, x0, 0, n, next);
        add_weighted(weigh->previous, at->previous, start, n, next);
        add_weighted(weigh->noise, at->noise, start, n, next);
        memcpy(at->denoised + start, x0, (size_t)n * sizeof(float));
        memcpy(at->next + start, next, (size_t)n * sizeof(float));
    }
}
