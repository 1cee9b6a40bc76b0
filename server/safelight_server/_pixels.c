/* Pictures, latents and masks turned into one another, and the arithmetic of one sampler step, in C.
 *
 * _pixels_numpy.py says the same in NumPy and gives the same bits: every float is rounded after every operation
 * (build with -ffp-contract=off: a fused multiply-add would round once where NumPy rounds twice), and sums are taken
 * in a stated order. Every function writes into buffers of the caller, checks all of them first, and runs without
 * the GIL. The loops work on blocks that stay in the first cache, so that a chain of simple loops, which compilers
 * turn into good vector code, costs one pass over memory.
 */
#include <Python.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
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
#define INLINE static inline __attribute__((always_inline))

enum { BLOCK = 256, MOST_CHANNELS = 64 };

INLINE Py_ssize_t block(Py_ssize_t left) { return left < BLOCK ? left : BLOCK; }

/* ---- pictures ---- */

/* Splits n pixels of 3 or 4 bytes into their first three channels. */
INLINE void split(const uint8_t *restrict pixel, Py_ssize_t channels, Py_ssize_t n, uint8_t rgb[restrict 3][BLOCK])
{
    for (Py_ssize_t i = 0; i < n; i++) {
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
INLINE void join(uint8_t rgb[restrict 3][BLOCK], Py_ssize_t n, uint8_t *restrict pixel)
{
    Py_ssize_t i = 0;
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
INLINE void quantize(const float *restrict value, Py_ssize_t n, uint8_t *restrict byte)
{
    const float no_fraction = 8388608.0f; /* 2^23: a sum this large is rounded to a whole number */
    float unit[BLOCK];
    for (Py_ssize_t i = 0; i < n; i++) {
        float shifted = value[i] * 0.5f + 0.5f;
        unit[i] = shifted > 0.0f ? shifted : 0.0f; /* NaN > 0 is false */
    }
    for (Py_ssize_t i = 0; i < n; i++)
        unit[i] = unit[i] < 1.0f ? unit[i] : 1.0f;
    for (Py_ssize_t i = 0; i < n; i++)
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
    for (int i = 0; i < BLOCK; i += 64 / (int)sizeof(float))
        __builtin_prefetch(next + i, 1);
}

PER_INSTRUCTION_SET
static void planes_loop(const uint8_t *picture, Py_ssize_t channels, Py_ssize_t count, float *planes)
{
    uint8_t rgb[3][BLOCK];
    for (Py_ssize_t start = 0; start < count; start += BLOCK) {
        Py_ssize_t n = block(count - start);
        if (channels == 3)
            split(picture + 3 * start, 3, n, rgb);
        else
            split(picture + 4 * start, 4, n, rgb);
        for (int c = 0; c < 3; c++) {
            float *restrict plane = planes + c * count + start;
            if (start + 2 * BLOCK <= count)
                fetch(plane + BLOCK);
            for (Py_ssize_t i = 0; i < n; i++)
                plane[i] = unit_range(rgb[c][i]);
        }
    }
}

PER_INSTRUCTION_SET
static void picture_loop(const float *planes, Py_ssize_t count, uint8_t *picture)
{
    uint8_t rgb[3][BLOCK];
    for (Py_ssize_t start = 0; start < count; start += BLOCK) {
        Py_ssize_t n = block(count - start);
        for (int c = 0; c < 3; c++)
            quantize(planes + c * count + start, n, rgb[c]);
        join(rgb, n, picture + 3 * start);
    }
}

/* ---- latents ---- */

INLINE void add(float weight, const float *restrict term, Py_ssize_t n, float *restrict sum)
{
    for (Py_ssize_t i = 0; i < n; i++)
        sum[i] += weight * term[i];
}

/* As add, but a weight of 0 leaves the term unread: 0 * infinity would be NaN, and the term may be absent. */
INLINE void add_weighted(float weight, const float *term, Py_ssize_t start, Py_ssize_t n, float *restrict sum)
{
    if (weight != 0.0f)
        add(weight, term + start, n, sum);
}

PER_INSTRUCTION_SET
static void preview_loop(const float *latents, Py_ssize_t channels, Py_ssize_t count, const float *matrix,
                         const float *bias, uint8_t *picture)
{
    uint8_t rgb[3][BLOCK];
    for (Py_ssize_t start = 0; start < count; start += BLOCK) {
        Py_ssize_t n = block(count - start);
        for (int colour = 0; colour < 3; colour++) {
            float sum[BLOCK] = {0};
            for (Py_ssize_t c = 0; c < channels; c++)
                add(matrix[3 * c + colour], latents + c * count + start, n, sum);
            for (Py_ssize_t i = 0; i < n; i++)
                sum[i] += bias[colour];
            quantize(sum, n, rgb[colour]);
        }
        join(rgb, n, picture + 3 * start);
    }
}

static void weights_loop(const uint8_t *mask, Py_ssize_t factor, Py_ssize_t height, Py_ssize_t width, float *weights)
{
    for (Py_ssize_t i = 0; i < height; i++)
        for (Py_ssize_t j = 0; j < width; j++)
            weights[i * width + j] = mask[(i * width * factor + j) * factor] >= 128 ? 1.0f : 0.0f;
}

PER_INSTRUCTION_SET
static void blend_loop(const float *sample, const float *weights, const float *original, const float *noise,
                       float original_scale, float noise_scale, Py_ssize_t channels, Py_ssize_t count,
                       float *restrict out)
{
    for (Py_ssize_t c = 0; c < channels; c++, sample += count, original += count, noise += count, out += count)
        for (Py_ssize_t i = 0; i < count; i++) {
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

/* The weights of update.py; an absent clip is infinite. */
struct update {
    float x0_sample, x0_output, sample, denoised, output, previous, noise, clip;
};

struct latents {
    const float *sample, *previous, *noise;
    float *next, *denoised;
};

INLINE void guide(const struct prediction *from, Py_ssize_t start, Py_ssize_t n, float *restrict m)
{
    const float *c = from->conditional + start, *u = from->unconditional + start;
    for (Py_ssize_t i = 0; i < n; i++)
        m[i] = u[i] + from->guidance * (c[i] - u[i]);
}

enum { LANES = 64 };

/* Running sums of x - x[0] and of its square. Value i goes to lane i modulo LANES and the lanes are folded by halves:
 * an order that NumPy can follow. The shift by the first value keeps a constant row's deviation exactly 0. */
struct moments {
    double shift, sum[LANES], squares[LANES];
};

INLINE void measure(struct moments *moments, const float *restrict value, Py_ssize_t n)
{
    for (Py_ssize_t i = 0; i < n; i += LANES)
        for (Py_ssize_t lane = 0; lane < (n - i < LANES ? n - i : LANES); lane++) {
            double d = (double)value[i + lane] - moments->shift;
            moments->sum[lane] += d;
            moments->squares[lane] += d * d;
        }
}

static double deviation(struct moments *moments, Py_ssize_t count)
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
static float rescaling(const struct prediction *from, Py_ssize_t count, double rescale)
{
    float m[BLOCK];
    struct moments conditional = {0}, guided = {0};
    guide(from, 0, 1, m);
    guided.shift = (double)m[0];
    conditional.shift = (double)from->conditional[0];
    for (Py_ssize_t start = 0; start < count; start += BLOCK) {
        Py_ssize_t n = block(count - start);
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
                         Py_ssize_t count)
{
    for (Py_ssize_t start = 0; start < count; start += BLOCK) {
        Py_ssize_t n = block(count - start);
        float guided[BLOCK], x0[BLOCK] = {0}, next[BLOCK] = {0};
        const float *m = from->conditional + start;
        if (from->unconditional) {
            guide(from, start, n, guided);
            for (Py_ssize_t i = 0; i < n; i++)
                guided[i] *= from->factor;
            m = guided;
        }
        add_weighted(weigh->x0_sample, at->sample, start, n, x0);
        add_weighted(weigh->x0_output, m, 0, n, x0);
        for (Py_ssize_t i = 0; i < n; i++)
            x0[i] = x0[i] < -weigh->clip ? -weigh->clip : x0[i]; /* this way round, NaN stays NaN */
        for (Py_ssize_t i = 0; i < n; i++)
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

/* ---- arguments ---- */

enum { ANY = -1, MOST_BUFFERS = 7, MOST_DIMENSIONS = 4 };

/* The buffers that a call holds, to be given back together. */
struct held {
    int count;
    struct {
        Py_buffer view;
        const char *name;
        bool writable;
    } of[MOST_BUFFERS];
};

static void release(struct held *held)
{
    while (held->count)
        PyBuffer_Release(&held->of[--held->count].view);
}

/* "(1, 3, *, 64)" */
static void spell(char *text, size_t size, int ndim, const Py_ssize_t *shape)
{
    size_t used = (size_t)snprintf(text, size, "(");
    for (int i = 0; i < ndim && used < size; i++) {
        const char *comma = i ? ", " : "";
        if (shape[i] == ANY)
            used += (size_t)snprintf(text + used, size - used, "%s*", comma);
        else
            used += (size_t)snprintf(text + used, size - used, "%s%lld", comma, (long long)shape[i]);
    }
    if (used < size)
        snprintf(text + used, size - used, ndim == 1 ? ",)" : ")");
}

static bool has_shape(const Py_buffer *view, int ndim, const Py_ssize_t *shape)
{
    if (view->ndim != ndim)
        return false;
    for (int i = 0; i < ndim; i++)
        if (view->shape[i] < 1 || (shape[i] != ANY && shape[i] != view->shape[i]))
            return false;
    return true;
}

static bool check(const Py_buffer *view, const char *name, char format, bool writable, int ndim,
                  const Py_ssize_t *shape)
{
    char want[128], got[128];
    const char *type = format == 'f' ? "float32" : "uint8";
    const char *held = view->format ? view->format : "B"; /* what an absent format means */
    held += held[0] == '=' || held[0] == '@';              /* native order; NumPy marks unaligned arrays so */
    if (strlen(held) != 1 || held[0] != format)
        PyErr_Format(PyExc_TypeError, "%s must hold %s ('%c'), not '%s'", name, type, format, held);
    else if (!has_shape(view, ndim, shape)) {
        spell(want, sizeof want, ndim, shape);
        spell(got, sizeof got, view->ndim, view->shape);
        PyErr_Format(PyExc_ValueError, "%s must have the shape %s with no empty dimension, not %s", name, want, got);
    } else if (!PyBuffer_IsContiguous(view, 'C') || (uintptr_t)view->buf % (uintptr_t)view->itemsize)
        PyErr_Format(PyExc_ValueError, "%s must be aligned and C-contiguous", name);
    else if (writable && view->readonly)
        PyErr_Format(PyExc_ValueError, "%s is written to and must not be read-only", name);
    else
        return true;
    return false;
}

/* The memory of an argument that follows the rules, held until release; or NULL with an exception set. */
static Py_buffer *hold(struct held *held, PyObject *argument, const char *name, char format, bool writable, int ndim,
                       const Py_ssize_t *shape)
{
    Py_buffer *view = &held->of[held->count].view;
    if (PyObject_GetBuffer(argument, view, PyBUF_FULL_RO) < 0) {
        if (PyErr_ExceptionMatches(PyExc_TypeError))
            PyErr_Format(PyExc_TypeError, "%s must be an array, not %R", name, (PyObject *)Py_TYPE(argument));
        return NULL;
    }
    held->of[held->count].name = name;
    held->of[held->count].writable = writable;
    held->count++;
    return check(view, name, format, writable, ndim, shape) ? view : NULL;
}

#define SHAPE(...) (int)(sizeof((Py_ssize_t[]){__VA_ARGS__}) / sizeof(Py_ssize_t)), (const Py_ssize_t[]){__VA_ARGS__}
#define READ(argument, format, ...) hold(&held, argument, #argument, format, false, SHAPE(__VA_ARGS__))
#define WRITE(argument, format, ...) hold(&held, argument, #argument, format, true, SHAPE(__VA_ARGS__))

/* The loops may write before they have read everything, so nothing that is written may lie in another argument. */
static bool apart(const struct held *held)
{
    for (int i = 0; i < held->count; i++)
        for (int j = 0; j < held->count; j++) {
            const char *out = held->of[i].view.buf, *other = held->of[j].view.buf;
            if (i == j || !held->of[i].writable || out + held->of[i].view.len <= other ||
                other + held->of[j].view.len <= out)
                continue;
            PyErr_Format(PyExc_ValueError, "%s must not share memory with %s", held->of[i].name, held->of[j].name);
            return false;
        }
    return true;
}

/* low <= value <= high, which NaN is not; else false with an exception set. */
static bool within(const char *name, double value, double low, double high)
{
    char text[128];
    if (value >= low && value <= high)
        return true;
    snprintf(text, sizeof text, "%s must be in %g..%g, not %g", name, low, high, value);
    PyErr_SetString(PyExc_ValueError, text); /* PyErr_Format knows no floats */
    return false;
}

static bool in_float32(const char *name, double value, float *out)
{
    bool fits = within(name, value, -(double)FLT_MAX, (double)FLT_MAX);
    *out = fits ? (float)value : 0.0f;
    return fits;
}

static bool clip_from(PyObject *object, float *out)
{
    *out = INFINITY;
    if (object == Py_None)
        return true;
    double clip = PyFloat_AsDouble(object);
    if (clip == -1.0 && PyErr_Occurred())
        return false;
    if (clip > 0.0)
        return isinf(clip) || in_float32("update.clip", clip, out);
    PyErr_Format(PyExc_ValueError, "update.clip must be None or above 0, not %R", object);
    return false;
}

/* Reads update.py's tuple. */
static bool update_from(PyObject *tuple, struct update *out)
{
    static const char *const names[] = {"update.x0_sample", "update.x0_output", "update.sample", "update.denoised",
                                        "update.output", "update.previous", "update.noise"};
    float *const fields[] = {&out->x0_sample, &out->x0_output, &out->sample, &out->denoised,
                             &out->output, &out->previous, &out->noise};
    double v[7];
    PyObject *clip;
    if (!PyTuple_Check(tuple)) {
        PyErr_Format(PyExc_TypeError, "update must be a tuple of 8, not %R", tuple);
        return false;
    }
    if (!PyArg_ParseTuple(tuple, "dddddddO;update must be 7 numbers and a clip", v, v + 1, v + 2, v + 3, v + 4, v + 5,
                          v + 6, &clip))
        return false;
    for (int i = 0; i < 7; i++)
        if (!in_float32(names[i], v[i], fields[i]))
            return false;
    return clip_from(clip, &out->clip);
}

/* ---- entry points: hold, check, loop without the GIL, release ---- */

static PyObject *finish(struct held *held, bool done)
{
    release(held);
    return done ? Py_NewRef(Py_None) : NULL;
}

static PyObject *planes_from_picture(PyObject *Py_UNUSED(module), PyObject *args)
{
    struct held held = {0};
    PyObject *picture, *out;
    bool done = false;
    if (!PyArg_ParseTuple(args, "OO:planes_from_picture", &picture, &out))
        return NULL;
    const Py_buffer *from = READ(picture, 'B', ANY, ANY, ANY);
    if (!from)
        goto exit;
    if (from->shape[2] != 3 && from->shape[2] != 4) {
        PyErr_Format(PyExc_ValueError, "picture must have 3 or 4 channels, not %zd", from->shape[2]);
        goto exit;
    }
    const Py_buffer *to = WRITE(out, 'f', 1, 3, from->shape[0], from->shape[1]);
    if (!to || !apart(&held))
        goto exit;
    Py_BEGIN_ALLOW_THREADS
    planes_loop(from->buf, from->shape[2], from->shape[0] * from->shape[1], to->buf);
    Py_END_ALLOW_THREADS
    done = true;
exit:
    return finish(&held, done);
}

static PyObject *picture_from_planes(PyObject *Py_UNUSED(module), PyObject *args)
{
    struct held held = {0};
    PyObject *planes, *out;
    bool done = false;
    if (!PyArg_ParseTuple(args, "OO:picture_from_planes", &planes, &out))
        return NULL;
    const Py_buffer *from = READ(planes, 'f', 1, 3, ANY, ANY);
    if (!from)
        goto exit;
    const Py_buffer *to = WRITE(out, 'B', from->shape[2], from->shape[3], 3);
    if (!to || !apart(&held))
        goto exit;
    Py_BEGIN_ALLOW_THREADS
    picture_loop(from->buf, from->shape[2] * from->shape[3], to->buf);
    Py_END_ALLOW_THREADS
    done = true;
exit:
    return finish(&held, done);
}

static PyObject *preview_from_latents(PyObject *Py_UNUSED(module), PyObject *args)
{
    struct held held = {0};
    PyObject *latents, *matrix, *bias, *out;
    bool done = false;
    if (!PyArg_ParseTuple(args, "OOOO:preview_from_latents", &latents, &matrix, &bias, &out))
        return NULL;
    const Py_buffer *from = READ(latents, 'f', 1, ANY, ANY, ANY);
    if (!from)
        goto exit;
    if (from->shape[1] > MOST_CHANNELS) {
        PyErr_Format(PyExc_ValueError, "latents must have 1 to %d channels, not %zd", MOST_CHANNELS, from->shape[1]);
        goto exit;
    }
    const Py_buffer *by = READ(matrix, 'f', from->shape[1], 3);
    const Py_buffer *plus = by ? READ(bias, 'f', 3) : NULL;
    const Py_buffer *to = plus ? WRITE(out, 'B', from->shape[2], from->shape[3], 3) : NULL;
    if (!to || !apart(&held))
        goto exit;
    Py_BEGIN_ALLOW_THREADS
    preview_loop(from->buf, from->shape[1], from->shape[2] * from->shape[3], by->buf, plus->buf, to->buf);
    Py_END_ALLOW_THREADS
    done = true;
exit:
    return finish(&held, done);
}

static PyObject *weights_from_mask(PyObject *Py_UNUSED(module), PyObject *args)
{
    struct held held = {0};
    PyObject *mask, *out;
    bool done = false;
    if (!PyArg_ParseTuple(args, "OO:weights_from_mask", &mask, &out))
        return NULL;
    const Py_buffer *from = READ(mask, 'B', ANY, ANY);
    const Py_buffer *to = from ? WRITE(out, 'f', 1, 1, ANY, ANY) : NULL;
    if (!to || !apart(&held))
        goto exit;
    Py_ssize_t height = to->shape[2], width = to->shape[3], factor = from->shape[0] / height;
    if (from->shape[0] != height * factor || from->shape[1] != width * factor) {
        PyErr_Format(PyExc_ValueError, "mask must be a whole number of times as large as out, not %zdx%zd over %zdx%zd",
                     from->shape[0], from->shape[1], height, width);
        goto exit;
    }
    Py_BEGIN_ALLOW_THREADS
    weights_loop(from->buf, factor, height, width, to->buf);
    Py_END_ALLOW_THREADS
    done = true;
exit:
    return finish(&held, done);
}

/* An array that may be None as long as its weight is 0; false with an exception set. */
static bool hold_optional(struct held *held, PyObject *argument, const char *name, float weight,
                          const Py_ssize_t shape[4], const float **out)
{
    *out = NULL;
    if (argument == Py_None) {
        if (weight != 0.0f)
            PyErr_Format(PyExc_ValueError, "%s must not be None, as update.%s is not 0", name, name);
        return weight == 0.0f;
    }
    const Py_buffer *view = hold(held, argument, name, 'f', false, 4, shape);
    if (view)
        *out = view->buf;
    return view != NULL;
}

static PyObject *advance(PyObject *Py_UNUSED(module), PyObject *args)
{
    struct held held = {0};
    struct prediction prediction = {.factor = 1.0f};
    struct update weigh;
    struct latents at;
    PyObject *sample, *output, *update, *previous, *noise, *out_sample, *out_denoised;
    double guidance, rescale;
    bool done = false;
    if (!PyArg_ParseTuple(args, "OOddOOOOO:advance", &sample, &output, &guidance, &rescale, &update, &previous, &noise,
                          &out_sample, &out_denoised))
        return NULL;
    if (!in_float32("guidance", guidance, &prediction.guidance) || !within("rescale", rescale, 0.0, 1.0) ||
        !update_from(update, &weigh))
        goto exit;
    const Py_buffer *from = READ(sample, 'f', 1, ANY, ANY, ANY);
    if (!from)
        goto exit;
    const Py_ssize_t *shape = from->shape, count = shape[1] * shape[2] * shape[3];
    const Py_buffer *rows = READ(output, 'f', ANY, shape[1], shape[2], shape[3]);
    if (!rows)
        goto exit;
    if (rows->shape[0] > 2) {
        PyErr_Format(PyExc_ValueError, "output must have 1 or 2 rows, not %zd", rows->shape[0]);
        goto exit;
    }
    if (!hold_optional(&held, previous, "previous", weigh.previous, shape, &at.previous) ||
        !hold_optional(&held, noise, "noise", weigh.noise, shape, &at.noise))
        goto exit;
    const Py_buffer *next = WRITE(out_sample, 'f', 1, shape[1], shape[2], shape[3]);
    const Py_buffer *denoised = next ? WRITE(out_denoised, 'f', 1, shape[1], shape[2], shape[3]) : NULL;
    if (!denoised || !apart(&held))
        goto exit;
    at.sample = from->buf;
    at.next = next->buf;
    at.denoised = denoised->buf;
    prediction.unconditional = rows->shape[0] == 2 ? rows->buf : NULL;
    prediction.conditional = (const float *)rows->buf + (rows->shape[0] == 2 ? count : 0);
    Py_BEGIN_ALLOW_THREADS
    if (prediction.unconditional && rescale > 0.0)
        prediction.factor = rescaling(&prediction, count, rescale);
    advance_loop(&prediction, &weigh, &at, count);
    Py_END_ALLOW_THREADS
    done = true;
exit:
    return finish(&held, done);
}

static PyObject *blend(PyObject *Py_UNUSED(module), PyObject *args)
{
    struct held held = {0};
    PyObject *sample, *weights, *original, *noise, *out;
    double original_scale, noise_scale;
    float scales[2];
    bool done = false;
    if (!PyArg_ParseTuple(args, "OOOOddO:blend", &sample, &weights, &original, &noise, &original_scale, &noise_scale,
                          &out))
        return NULL;
    if (!in_float32("original_scale", original_scale, scales) || !in_float32("noise_scale", noise_scale, scales + 1))
        goto exit;
    const Py_buffer *from = READ(sample, 'f', 1, ANY, ANY, ANY);
    if (!from)
        goto exit;
    const Py_ssize_t *shape = from->shape;
    const Py_buffer *by = READ(weights, 'f', 1, 1, shape[2], shape[3]);
    const Py_buffer *kept = by ? READ(original, 'f', 1, shape[1], shape[2], shape[3]) : NULL;
    const Py_buffer *grain = kept ? READ(noise, 'f', 1, shape[1], shape[2], shape[3]) : NULL;
    const Py_buffer *to = grain ? WRITE(out, 'f', 1, shape[1], shape[2], shape[3]) : NULL;
    if (!to || !apart(&held))
        goto exit;
    Py_BEGIN_ALLOW_THREADS
    blend_loop(from->buf, by->buf, kept->buf, grain->buf, scales[0], scales[1], shape[1], shape[2] * shape[3], to->buf);
    Py_END_ALLOW_THREADS
    done = true;
exit:
    return finish(&held, done);
}

/* ---- the module ---- */

static const char *instructions(void)
{
#if CLONED
    __builtin_cpu_init();
    if (__builtin_cpu_supports("x86-64-v4"))
        return "x86-64-v4";
    if (__builtin_cpu_supports("x86-64-v3"))
        return "x86-64-v3";
    if (__builtin_cpu_supports("x86-64-v2"))
        return "x86-64-v2";
#endif
    return "default";
}

static int fill(PyObject *module) { return PyModule_AddStringConstant(module, "INSTRUCTIONS", instructions()); }

static PyMethodDef methods[] = {
    {"planes_from_picture", planes_from_picture, METH_VARARGS, NULL},
    {"picture_from_planes", picture_from_planes, METH_VARARGS, NULL},
    {"preview_from_latents", preview_from_latents, METH_VARARGS, NULL},
    {"weights_from_mask", weights_from_mask, METH_VARARGS, NULL},
    {"advance", advance, METH_VARARGS, NULL},
    {"blend", blend, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{Py_mod_exec, (void *)fill}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_pixels",
    .m_doc = "See pixels.py for what the functions do; their arguments are those of _pixels_numpy.py, by position.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__pixels(void) { return PyModuleDef_Init(&definition); }
