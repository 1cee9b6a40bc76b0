/* Arguments of the entry points: buffers that are held and checked before anything runs, and numbers in their range. */
#include <Python.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "_loops.h"

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

/* Reads the tuple of coefficients.py. */
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
