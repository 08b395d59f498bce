/* The Python names of the kernels. Arrays come as buffers, of which only the size is checked: _native.pyi has their
 * shapes. The stable interface of Python 3.11 is all that is used, so that one wheel fits every later version. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "kernels.h"

static int fits(const Py_buffer *buffer, const char *name, int64_t items, size_t size)
{
    if (buffer->len == (Py_ssize_t)(items * (int64_t)size))
        return 1;
    PyErr_Format(PyExc_ValueError, "%s must hold %lld bytes, got %zd", name, (long long)(items * (int64_t)size),
                 buffer->len);
    return 0;
}

static int positive(const char *names, int value)
{
    if (!value)
        PyErr_Format(PyExc_ValueError, "%s must be positive", names);
    return value;
}

static PyObject *none_or_memory_error(int status)
{
    if (status != 0)
        return PyErr_NoMemory();
    Py_RETURN_NONE;
}

static PyObject *py_kmeans(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer planes, mask, places, colours, labels;
    int channels, height, width, stride, count, by_colour;
    Search search;
    if (!PyArg_ParseTuple(args, "y*y*w*w*w*(iiii)(ii)diip", &planes, &mask, &places, &colours, &labels, &channels,
                          &height, &width, &stride, &search.reach_y, &search.reach_x, &search.weight, &count,
                          &search.rounds, &by_colour))
        return NULL;
    search.by_colour = by_colour;
    const int64_t pixels = (int64_t)height * width;
    PyObject *result = NULL;
    if (positive("channels, height, width and count", channels > 0 && height > 0 && width > 0 && count > 0) &&
        positive("stride less width, a multiple of 16,", stride >= width && stride % TILE == 0) &&
        fits(&planes, "planes", (int64_t)channels * height * stride, sizeof(double)) &&
        (mask.len == 0 || fits(&mask, "mask", pixels, 1)) && fits(&places, "places", 2 * (int64_t)count, sizeof(double)) &&
        fits(&colours, "colours", (int64_t)count * channels, sizeof(double)) &&
        fits(&labels, "labels", pixels, sizeof(int32_t))) {
        const Picture picture = {height, width, stride, channels, planes.buf, mask.len ? mask.buf : NULL};
        Centres centres = {count, places.buf, (double *)places.buf + count, colours.buf};
        int status;
        Py_BEGIN_ALLOW_THREADS
        status = kmeans(&picture, &centres, &search, labels.buf);
        Py_END_ALLOW_THREADS
        result = none_or_memory_error(status);
    }
    PyBuffer_Release(&planes);
    PyBuffer_Release(&mask);
    PyBuffer_Release(&places);
    PyBuffer_Release(&colours);
    PyBuffer_Release(&labels);
    return result;
}

static PyObject *py_spread(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer points, centres;
    int rounds;
    if (!PyArg_ParseTuple(args, "y*w*i", &points, &centres, &rounds))
        return NULL;
    const int64_t n_points = points.len / (2 * (int64_t)sizeof(int32_t));
    const int64_t n_centres = centres.len / (2 * (int64_t)sizeof(double));
    PyObject *result = NULL;
    if (positive("numbers of points and centres", n_points > 0 && n_centres > 0 && n_centres < INT32_MAX) &&
        fits(&points, "points", 2 * n_points, sizeof(int32_t)) &&
        fits(&centres, "centres", 2 * n_centres, sizeof(double))) {
        int status;
        Py_BEGIN_ALLOW_THREADS
        status = spread(points.buf, n_points, centres.buf, (int32_t)n_centres, rounds);
        Py_END_ALLOW_THREADS
        result = none_or_memory_error(status);
    }
    PyBuffer_Release(&points);
    PyBuffer_Release(&centres);
    return result;
}

static PyObject *py_connect(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer labels, connected;
    int height, width;
    long long least, most;
    if (!PyArg_ParseTuple(args, "y*w*(ii)LL", &labels, &connected, &height, &width, &least, &most))
        return NULL;
    const int64_t pixels = (int64_t)height * width;
    PyObject *result = NULL;
    if (positive("height, width and most", height > 0 && width > 0 && most > 0) &&
        fits(&labels, "labels", pixels, sizeof(int32_t)) && fits(&connected, "connected", pixels, sizeof(int32_t))) {
        int status;
        Py_BEGIN_ALLOW_THREADS
        status = connect_pieces(labels.buf, height, width, least, most, connected.buf);
        Py_END_ALLOW_THREADS
        result = none_or_memory_error(status);
    }
    PyBuffer_Release(&labels);
    PyBuffer_Release(&connected);
    return result;
}

static PyObject *py_smooth(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer planes, kernel;
    int channels, height, width, stride;
    if (!PyArg_ParseTuple(args, "w*(iiii)y*", &planes, &channels, &height, &width, &stride, &kernel))
        return NULL;
    const int64_t weights = kernel.len / (int64_t)sizeof(double);
    PyObject *result = NULL;
    if (positive("channels, height and width", channels > 0 && height > 0 && width > 0 && stride >= width) &&
        positive("the number of weights, odd,", weights % 2 == 1 && weights < INT32_MAX) &&
        fits(&planes, "planes", (int64_t)channels * height * stride, sizeof(double)) &&
        fits(&kernel, "kernel", weights, sizeof(double))) {
        int status;
        Py_BEGIN_ALLOW_THREADS
        status = smooth(planes.buf, channels, height, width, stride, kernel.buf, (int32_t)(weights / 2));
        Py_END_ALLOW_THREADS
        result = none_or_memory_error(status);
    }
    PyBuffer_Release(&planes);
    PyBuffer_Release(&kernel);
    return result;
}

static PyObject *py_ward(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer sizes, sums, edges, joins;
    if (!PyArg_ParseTuple(args, "w*w*y*w*", &sizes, &sums, &edges, &joins))
        return NULL;
    const int64_t n = sizes.len / (int64_t)sizeof(int64_t), n_edges = edges.len / (2 * (int64_t)sizeof(int32_t));
    const int64_t channels = n > 0 ? sums.len / (n * (int64_t)sizeof(int64_t)) : 0;
    PyObject *result = NULL;
    int inside = 1;
    for (int64_t i = 0; i < 2 * n_edges; i++)
        inside &= ((const int32_t *)edges.buf)[i] >= 0 && ((const int32_t *)edges.buf)[i] < n;
    for (int64_t i = 0; i < n; i++)
        inside &= ((const int64_t *)sizes.buf)[i] > 0;
    if (positive("numbers of regions and channels, and sizes of regions,", n > 0 && n < INT32_MAX && channels > 0 && inside) &&
        fits(&sums, "sums", n * channels, sizeof(int64_t)) && fits(&edges, "edges", 2 * n_edges, sizeof(int32_t)) &&
        fits(&joins, "joins", 2 * n, sizeof(int32_t))) {
        int32_t done;
        Py_BEGIN_ALLOW_THREADS
        done = ward(sizes.buf, sums.buf, (int32_t)n, (int32_t)channels, edges.buf, n_edges, joins.buf);
        Py_END_ALLOW_THREADS
        result = done < 0 ? PyErr_NoMemory() : PyLong_FromLong(done);
    }
    PyBuffer_Release(&sizes);
    PyBuffer_Release(&sums);
    PyBuffer_Release(&edges);
    PyBuffer_Release(&joins);
    return result;
}

static PyObject *py_distance(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer area, squared;
    int height, width;
    if (!PyArg_ParseTuple(args, "y*w*(ii)", &area, &squared, &height, &width))
        return NULL;
    const int64_t pixels = (int64_t)height * width;
    PyObject *result = NULL;
    if (positive("height and width", height > 0 && width > 0) && fits(&area, "area", pixels, 1) &&
        fits(&squared, "squared", pixels, sizeof(int64_t))) {
        int status;
        Py_BEGIN_ALLOW_THREADS
        status = distance(area.buf, height, width, squared.buf);
        Py_END_ALLOW_THREADS
        result = none_or_memory_error(status);
    }
    PyBuffer_Release(&area);
    PyBuffer_Release(&squared);
    return result;
}

static PyMethodDef methods[] = {
    {"kmeans", py_kmeans, METH_VARARGS, NULL},   {"spread", py_spread, METH_VARARGS, NULL},
    {"connect", py_connect, METH_VARARGS, NULL}, {"smooth", py_smooth, METH_VARARGS, NULL},
    {"ward", py_ward, METH_VARARGS, NULL},       {"distance", py_distance, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_native", "Loops over pixels and regions, compiled.", 0, methods, slots, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__native(void)
{
    return PyModuleDef_Init(&module);
}
