/* Pictures, latents and masks turned into one another, and the arithmetic of one sampler step, in C.
 *
 * _numpy.py says the same in NumPy and gives the same bits: every float is rounded after every operation
 * (build with -ffp-contract=off: a fused multiply-add would round once where NumPy rounds twice), and sums are taken
 * in a stated order. Every function writes into buffers of the caller, checks all of them first, and runs without
 * the GIL.
 */
#include "_arguments.h"

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

/* A slot holds a function as a void *, which every system with Python has and ISO C alone does not. */
#ifdef __GNUC__
__extension__
#endif
static PyModuleDef_Slot slots[] = {{Py_mod_exec, (void *)fill}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_native",
    .m_doc = "See kernels.py for what the functions do; their arguments are those of _numpy.py, by position.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&definition); }
