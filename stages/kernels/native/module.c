/* The Python names of the kernels. Arrays come as buffers, of which the sizes of the whole and of an item are checked:
 * _native.pyi has their shapes. Whatever they hold, no kernel reads or writes beside them. The stable interface of
 * Python 3.11 is all that is used, so that one wheel fits every later version. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "kernels.h"

/* Multiply what is not negative; the greatest number, the size of no buffer, stands for all that is greater. */
static int64_t times(int64_t a, int64_t b)
{
    return b > 0 && a > INT64_MAX / b ? INT64_MAX : a * b;
}

static int fits(const Py_buffer *buffer, const char *name, int64_t items, size_t size)
{
    const int64_t wanted = times(items, (int64_t)size);
    if (buffer->len != wanted)
        PyErr_Format(PyExc_ValueError, "%s must hold %lld bytes, got %zd", name, (long long)wanted, buffer->len);
    else if (wanted > 0 && buffer->itemsize != (Py_ssize_t)size)
        PyErr_Format(PyExc_ValueError, "items of %s must have %zu bytes, got %zd", name, size, buffer->itemsize);
    else
        return 1;
    return 0;
}

static int holds(int value, const char *rule)
{
    if (!value)
        PyErr_SetString(PyExc_ValueError, rule);
    return value;
}

static int is_below(const char *name, int64_t largest, int64_t most)
{
    if (largest >= 0 && largest < most)
        return 1;
    PyErr_Format(PyExc_ValueError, "%s must be 0 or more and below %lld, got %lld", name, (long long)most,
                 (long long)largest);
    return 0;
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
    if (holds(channels > 0 && height > 0 && width > 0 && count > 0, "channels, height, width and count must be positive") &&
        holds(stride >= width && stride % TILE == 0, "stride must be a multiple of 16 and at least width") &&
        holds(pixels < INT32_MAX - TILE, "height times width must be below 2**31") &&
        fits(&planes, "planes", times((int64_t)channels * height, stride), sizeof(double)) &&
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
    if (holds(n_points > 0 && n_centres > 0 && n_centres < INT32_MAX, "there must be points and centres") &&
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
    if (holds(height > 0 && width > 0 && most > 0, "height, width and most must be positive") &&
        holds((height + 2LL) * (width + 2LL) <= INT32_MAX, "height times width must be below 2**31") &&
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
    if (holds(channels > 0 && height > 0 && width > 0, "channels, height and width must be positive") &&
        holds(stride >= width, "stride must be at least width") &&
        holds(weights % 2 == 1 && weights < INT32_MAX / 2, "weights must be odd in number") &&
        fits(&planes, "planes", times((int64_t)channels * height, stride), sizeof(double)) &&
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
    int is_sound = 1;
    for (int64_t i = 0; i < n_edges; i++) {
        const int32_t *edge = (const int32_t *)edges.buf + 2 * i;
        is_sound &= edge[0] >= 0 && edge[0] < n && edge[1] >= 0 && edge[1] < n && edge[0] != edge[1];
    }
    for (int64_t i = 0; i < n; i++)
        is_sound &= ((const int64_t *)sizes.buf)[i] > 0;
    if (holds(n > 0 && n < INT32_MAX && channels > 0, "there must be regions and channels") &&
        fits(&sizes, "sizes", n, sizeof(int64_t)) && fits(&sums, "sums", n * channels, sizeof(int64_t)) &&
        fits(&edges, "edges", 2 * n_edges, sizeof(int32_t)) && fits(&joins, "joins", 2 * n, sizeof(int32_t)) &&
        holds(is_sound, "sizes must be positive, and edges name two regions each")) {
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

static int is_grid(Grid grid)
{
    return holds(grid.height > 0 && grid.width > 0 && (int64_t)grid.height * grid.width < INT32_MAX,
                 "height and width must be positive, their product below 2**31");
}

static PyObject *py_within(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer area, marks;
    Grid grid;
    long long most;
    if (!PyArg_ParseTuple(args, "y*(ii)Lw*", &area, &grid.height, &grid.width, &most, &marks))
        return NULL;
    PyObject *result = NULL;
    if (is_grid(grid) && fits(&area, "area", (int64_t)grid.height * grid.width, 1) && fits(&marks, "marks", area.len, 1)) {
        int status;
        Py_BEGIN_ALLOW_THREADS
        status = within(area.buf, grid, most, marks.buf);
        Py_END_ALLOW_THREADS
        result = none_or_memory_error(status);
    }
    PyBuffer_Release(&area);
    PyBuffer_Release(&marks);
    return result;
}

static PyObject *py_deepest(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer area;
    Grid grid;
    if (!PyArg_ParseTuple(args, "y*(ii)", &area, &grid.height, &grid.width))
        return NULL;
    PyObject *result = NULL;
    if (is_grid(grid) && fits(&area, "area", (int64_t)grid.height * grid.width, 1)) {
        int64_t found;
        Py_BEGIN_ALLOW_THREADS
        found = deepest(area.buf, grid);
        Py_END_ALLOW_THREADS
        result = found < 0 ? PyErr_NoMemory() : PyLong_FromLongLong(found);
    }
    PyBuffer_Release(&area);
    return result;
}

static PyObject *py_byte_sum(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer bytes;
    if (!PyArg_ParseTuple(args, "y*", &bytes))
        return NULL;
    PyObject *result = PyLong_FromLongLong(byte_sum(bytes.buf, bytes.len));
    PyBuffer_Release(&bytes);
    return result;
}

static PyObject *py_sum_noise(PyObject *self, PyObject *args)
{
    (void)self;
    unsigned long long key;
    int terms;
    Py_buffer sums;
    if (!PyArg_ParseTuple(args, "Kiw*", &key, &terms, &sums))
        return NULL;
    const int64_t count = sums.len / (int64_t)sizeof(double);
    PyObject *result = NULL;
    if (holds(terms >= 0 && terms < 1 << 20, "terms must be 0 or more and below 2**20") &&
        fits(&sums, "sums", count, sizeof(double))) {
        Py_BEGIN_ALLOW_THREADS
        sum_noise(key, terms, count, sums.buf);
        Py_END_ALLOW_THREADS
        result = Py_NewRef(Py_None);
    }
    PyBuffer_Release(&sums);
    return result;
}

static PyObject *py_greatest(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer values, taken;
    long long wanted;
    if (!PyArg_ParseTuple(args, "y*Lw*", &values, &wanted, &taken))
        return NULL;
    PyObject *result = NULL;
    if (holds(taken.len > 0, "there must be values") && fits(&taken, "taken", taken.len, 1) &&
        fits(&values, "values", taken.len, sizeof(double)) && is_below("wanted", wanted, (int64_t)taken.len + 1)) {
        int status;
        Py_BEGIN_ALLOW_THREADS
        status = greatest(values.buf, taken.len, wanted, taken.buf);
        Py_END_ALLOW_THREADS
        result = none_or_memory_error(status);
    }
    PyBuffer_Release(&values);
    PyBuffer_Release(&taken);
    return result;
}

static PyObject *py_tally_pieces(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer ids, weights;
    Grid grid;
    Bounds bounds;
    if (!PyArg_ParseTuple(args, "y*y*(ii)ipddd", &ids, &weights, &grid.height, &grid.width, &bounds.least,
                          &bounds.heavy, &bounds.low, &bounds.high, &bounds.small))
        return NULL;
    const int64_t pixels = (int64_t)grid.height * grid.width;
    PyObject *result = NULL;
    if (is_grid(grid) &&
        fits(&ids, "ids", pixels, 1) && (weights.len == 0 || fits(&weights, "weights", pixels, 1))) {
        Tally tally;
        int status;
        Py_BEGIN_ALLOW_THREADS
        status = tally_pieces(ids.buf, weights.len ? weights.buf : NULL, grid, &bounds, &tally);
        Py_END_ALLOW_THREADS
        result = status < 0 ? PyErr_NoMemory()
                            : Py_BuildValue("LLLLL", (long long)tally.fragments, (long long)tally.objects,
                                            (long long)tally.cut, (long long)tally.small, (long long)tally.small_cut);
    }
    PyBuffer_Release(&ids);
    PyBuffer_Release(&weights);
    return result;
}

static PyObject *py_number_pieces(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer ids, numbers;
    Grid grid;
    if (!PyArg_ParseTuple(args, "y*(ii)w*", &ids, &grid.height, &grid.width, &numbers))
        return NULL;
    const int64_t pixels = (int64_t)grid.height * grid.width;
    PyObject *result = NULL;
    if (is_grid(grid) &&
        fits(&ids, "ids", pixels, 1) && fits(&numbers, "numbers", pixels, sizeof(int32_t))) {
        int32_t count;
        Py_BEGIN_ALLOW_THREADS
        count = number_pieces(ids.buf, grid, numbers.buf);
        Py_END_ALLOW_THREADS
        result = count < 0 ? PyErr_NoMemory() : PyLong_FromLong(count);
    }
    PyBuffer_Release(&ids);
    PyBuffer_Release(&numbers);
    return result;
}

CLONED static int64_t largest_16(const Py_buffer *numbers, int64_t count)
{
    uint16_t largest = 0;
    for (int64_t i = 0; i < count; i++) {
        const uint16_t number = ((const uint16_t *)numbers->buf)[i];
        largest = number > largest ? number : largest;
    }
    return largest;
}

/* The largest number, or a negative one, if there are any. */
CLONED static int64_t largest_32(const Py_buffer *numbers, int64_t count)
{
    uint32_t largest = 0; /* negative numbers are larger than all others */
    for (int64_t i = 0; i < count; i++) {
        const uint32_t number = ((const uint32_t *)numbers->buf)[i];
        largest = number > largest ? number : largest;
    }
    return (int32_t)largest;
}

static PyObject *py_sum_regions(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer labels[2], from_b, saliency[2], regions, totals, sizes;
    Ratio ratio;
    int offset;
    if (!PyArg_ParseTuple(args, "y*y*y*y*y*(dd)iw*w*w*", &labels[0], &labels[1], &from_b, &saliency[0], &saliency[1],
                          &ratio.least, &ratio.of_zeros, &offset, &regions, &totals, &sizes))
        return NULL;
    for (int i = 0; i < 256; i++)
        ratio.levels[i] = i / 255.0;
    const int64_t pixels = from_b.len, most = sizes.len / (int64_t)sizeof(int64_t);
    PyObject *result = NULL;
    if (fits(&labels[0], "labels_a", pixels, sizeof(uint16_t)) && fits(&labels[1], "labels_b", pixels, sizeof(uint16_t)) &&
        fits(&saliency[0], "saliency_a", pixels, 1) && fits(&saliency[1], "saliency_b", pixels, 1) &&
        fits(&regions, "regions", pixels, sizeof(int32_t)) &&
        fits(&totals, "totals", most, sizeof(double)) && fits(&sizes, "sizes", most, sizeof(int64_t)) &&
        fits(&from_b, "from_b", pixels, 1) && is_below("labels_b", largest_16(&labels[1], pixels), offset) &&
        is_below("labels_a", largest_16(&labels[0], pixels), most - offset)) {
        const Parents parents = {labels[0].buf, labels[1].buf, from_b.buf, saliency[0].buf, saliency[1].buf, offset};
        Py_BEGIN_ALLOW_THREADS
        region_sums(&parents, &ratio, pixels, regions.buf, totals.buf, sizes.buf);
        Py_END_ALLOW_THREADS
        result = Py_NewRef(Py_None);
    }
    for (int i = 0; i < 2; i++) {
        PyBuffer_Release(&labels[i]);
        PyBuffer_Release(&saliency[i]);
    }
    PyBuffer_Release(&from_b);
    PyBuffer_Release(&regions);
    PyBuffer_Release(&totals);
    PyBuffer_Release(&sizes);
    return result;
}

static PyObject *py_regions_seen(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer labels[2], from_b, seen;
    int offset;
    if (!PyArg_ParseTuple(args, "y*y*y*iw*", &labels[0], &labels[1], &from_b, &offset, &seen))
        return NULL;
    const int64_t pixels = from_b.len;
    PyObject *result = NULL;
    if (fits(&labels[0], "labels_a", pixels, sizeof(uint16_t)) && fits(&labels[1], "labels_b", pixels, sizeof(uint16_t)) &&
        fits(&from_b, "from_b", pixels, 1) && fits(&seen, "seen", seen.len, 1) &&
        is_below("labels_b", largest_16(&labels[1], pixels), offset) &&
        is_below("labels_a", largest_16(&labels[0], pixels), seen.len - offset)) {
        const Parents parents = {labels[0].buf, labels[1].buf, from_b.buf, NULL, NULL, offset};
        Py_BEGIN_ALLOW_THREADS
        regions_seen(&parents, pixels, seen.buf);
        Py_END_ALLOW_THREADS
        result = Py_NewRef(Py_None);
    }
    PyBuffer_Release(&labels[0]);
    PyBuffer_Release(&labels[1]);
    PyBuffer_Release(&from_b);
    PyBuffer_Release(&seen);
    return result;
}

static PyObject *py_label_totals(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer labels, values, totals;
    if (!PyArg_ParseTuple(args, "y*y*w*", &labels, &values, &totals))
        return NULL;
    const int64_t pixels = labels.len / (int64_t)sizeof(uint16_t), most = totals.len / (int64_t)sizeof(int64_t);
    PyObject *result = NULL;
    if (fits(&labels, "labels", pixels, sizeof(uint16_t)) && (values.len == 0 || fits(&values, "values", pixels, 1)) &&
        fits(&totals, "totals", most, sizeof(int64_t)) && is_below("labels", largest_16(&labels, pixels), most)) {
        Py_BEGIN_ALLOW_THREADS
        label_totals(labels.buf, values.len ? values.buf : NULL, pixels, totals.buf);
        Py_END_ALLOW_THREADS
        result = Py_NewRef(Py_None);
    }
    PyBuffer_Release(&labels);
    PyBuffer_Release(&values);
    PyBuffer_Release(&totals);
    return result;
}

static PyObject *py_blur(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer levels, kernel, blurred;
    Grid grid;
    if (!PyArg_ParseTuple(args, "y*(ii)y*w*", &levels, &grid.height, &grid.width, &kernel, &blurred))
        return NULL;
    const int64_t pixels = (int64_t)grid.height * grid.width, weights = kernel.len;
    PyObject *result = NULL;
    if (holds(grid.height > 0 && grid.width > 0, "height and width must be positive") &&
        holds(weights % 2 == 1 && weights < INT32_MAX / 2, "weights must be odd in number") &&
        fits(&levels, "levels", pixels, 1) && fits(&kernel, "kernel", weights, 1) &&
        fits(&blurred, "blurred", pixels, sizeof(float))) {
        int status;
        Py_BEGIN_ALLOW_THREADS
        status = blur(levels.buf, grid, kernel.buf, (int32_t)(weights / 2), blurred.buf);
        Py_END_ALLOW_THREADS
        result = none_or_memory_error(status);
    }
    PyBuffer_Release(&levels);
    PyBuffer_Release(&kernel);
    PyBuffer_Release(&blurred);
    return result;
}

static PyObject *py_share_levels(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer a, b, levels;
    if (!PyArg_ParseTuple(args, "y*y*w*", &a, &b, &levels))
        return NULL;
    PyObject *result = NULL;
    if (fits(&levels, "levels", levels.len, 1) && fits(&a, "a", levels.len, sizeof(float)) &&
        fits(&b, "b", levels.len, sizeof(float))) {
        Py_BEGIN_ALLOW_THREADS
        share_levels(a.buf, b.buf, levels.len, levels.buf);
        Py_END_ALLOW_THREADS
        result = Py_NewRef(Py_None);
    }
    PyBuffer_Release(&a);
    PyBuffer_Release(&b);
    PyBuffer_Release(&levels);
    return result;
}

static PyObject *py_gather(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer table, numbers, out;
    if (!PyArg_ParseTuple(args, "y*y*w*", &table, &numbers, &out))
        return NULL;
    const int is_wide = numbers.len == out.len * (Py_ssize_t)sizeof(int32_t);
    PyObject *result = NULL;
    if (fits(&table, "table", table.len, 1) && fits(&out, "out", out.len, 1) &&
        fits(&numbers, "numbers", out.len, is_wide ? sizeof(int32_t) : sizeof(uint16_t)) &&
        is_below("numbers", (is_wide ? largest_32 : largest_16)(&numbers, out.len), table.len)) {
        Py_BEGIN_ALLOW_THREADS
        if (is_wide)
            gather_32(table.buf, numbers.buf, out.len, out.buf);
        else
            gather_16(table.buf, numbers.buf, out.len, out.buf);
        Py_END_ALLOW_THREADS
        result = Py_NewRef(Py_None);
    }
    PyBuffer_Release(&table);
    PyBuffer_Release(&numbers);
    PyBuffer_Release(&out);
    return result;
}

static PyObject *py_blend_planes(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer a, b, weights, out;
    if (!PyArg_ParseTuple(args, "y*y*y*w*", &a, &b, &weights, &out))
        return NULL;
    const int64_t planes = weights.len > 0 ? out.len / weights.len : 0;
    PyObject *result = NULL;
    if (fits(&out, "out", planes * weights.len, 1) && fits(&a, "a", out.len, 1) && fits(&b, "b", out.len, 1) &&
        fits(&weights, "weights", weights.len, 1)) {
        Py_BEGIN_ALLOW_THREADS
        blend(a.buf, b.buf, weights.buf, weights.len, planes, out.buf);
        Py_END_ALLOW_THREADS
        result = Py_NewRef(Py_None);
    }
    PyBuffer_Release(&a);
    PyBuffer_Release(&b);
    PyBuffer_Release(&weights);
    PyBuffer_Release(&out);
    return result;
}

static PyObject *py_mix_labels(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer a, b, weights, halves, soft, mask;
    int classes;
    if (!PyArg_ParseTuple(args, "y*y*y*iy*w*w*", &a, &b, &weights, &classes, &halves, &soft, &mask))
        return NULL;
    const Masks masks = {a.buf, b.buf, weights.buf, mask.len};
    PyObject *result = NULL;
    if (holds(classes > 0 && classes < 256, "classes must be 1 to 255") && fits(&mask, "mask", mask.len, 1) &&
        fits(&a, "a", mask.len, 1) && fits(&b, "b", mask.len, 1) && fits(&weights, "weights", mask.len, 1) &&
        fits(&halves, "halves", 256, sizeof(uint16_t)) && fits(&soft, "soft", classes * mask.len, sizeof(uint16_t))) {
        Py_BEGIN_ALLOW_THREADS
        mix_labels(&masks, classes, halves.buf, soft.buf, mask.buf);
        Py_END_ALLOW_THREADS
        result = Py_NewRef(Py_None);
    }
    PyBuffer_Release(&a);
    PyBuffer_Release(&b);
    PyBuffer_Release(&weights);
    PyBuffer_Release(&halves);
    PyBuffer_Release(&soft);
    PyBuffer_Release(&mask);
    return result;
}

static PyObject *py_label_sums(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer a, b, weights, sums;
    if (!PyArg_ParseTuple(args, "y*y*y*w*", &a, &b, &weights, &sums))
        return NULL;
    const Masks masks = {a.buf, b.buf, weights.buf, a.len};
    PyObject *result = NULL;
    if (fits(&a, "a", a.len, 1) && fits(&b, "b", a.len, 1) && fits(&weights, "weights", a.len, 1) &&
        fits(&sums, "sums", 256, sizeof(int64_t))) {
        Py_BEGIN_ALLOW_THREADS
        label_sums(&masks, sums.buf);
        Py_END_ALLOW_THREADS
        result = Py_NewRef(Py_None);
    }
    PyBuffer_Release(&a);
    PyBuffer_Release(&b);
    PyBuffer_Release(&weights);
    PyBuffer_Release(&sums);
    return result;
}

static PyObject *py_lay_out(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *object;
    Py_buffer picture, out;
    if (!PyArg_ParseTuple(args, "Ow*", &object, &out))
        return NULL;
    PyObject *result = NULL;
    if (PyObject_GetBuffer(object, &picture, PyBUF_STRIDED_RO) == 0) {
        const Py_ssize_t size = picture.itemsize;
        if (holds(picture.ndim == 3 && (size == 1 || size == 2 || size == 4),
                  "a picture must have three axes of values of 1, 2 or 4 bytes") &&
            holds(picture.strides[0] % size == 0 && picture.strides[1] % size == 0 && picture.strides[2] % size == 0,
                  "the values of a picture must lie whole values apart") &&
            fits(&out, "out", picture.len / size, (size_t)size)) {
            const int64_t shape[3] = {picture.shape[0], picture.shape[1], picture.shape[2]};
            const int64_t strides[3] = {picture.strides[0], picture.strides[1], picture.strides[2]};
            Py_BEGIN_ALLOW_THREADS
            lay_out(picture.buf, shape, strides, (size_t)size, out.buf);
            Py_END_ALLOW_THREADS
            result = Py_NewRef(Py_None);
        }
        PyBuffer_Release(&picture);
    }
    PyBuffer_Release(&out);
    return result;
}

static PyObject *py_difference_lines(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *object;
    Py_buffer picture, lines;
    if (!PyArg_ParseTuple(args, "Ow*", &object, &lines))
        return NULL;
    PyObject *result = NULL;
    if (PyObject_GetBuffer(object, &picture, PyBUF_STRIDED_RO) == 0) {
        if (holds(picture.ndim == 3 && picture.itemsize == 1, "a picture must have three axes of bytes") &&
            fits(&lines, "lines", picture.shape[0] * (1 + picture.shape[1] * picture.shape[2]), 1)) {
            int64_t shape[3], strides[3];
            for (int i = 0; i < 3; i++) {
                shape[i] = picture.shape[i];
                strides[i] = picture.strides[i];
            }
            Py_BEGIN_ALLOW_THREADS
            difference_lines(picture.buf, shape, strides, lines.buf);
            Py_END_ALLOW_THREADS
            result = Py_NewRef(Py_None);
        }
        PyBuffer_Release(&picture);
    }
    PyBuffer_Release(&lines);
    return result;
}

/* Take the (height, width) bytes of some objects, which may lie in memory in any order; all have one shape. */
static int take_views(PyObject *const *objects, int count, Py_buffer *buffers, View *views)
{
    int taken = 0, are_alike = 1;
    while (taken < count && PyObject_GetBuffer(objects[taken], &buffers[taken], PyBUF_STRIDED_RO) == 0) {
        const Py_buffer *buffer = &buffers[taken++];
        are_alike = are_alike && buffer->ndim == 2 && buffer->itemsize == 1 && buffer->shape[0] == buffers[0].shape[0] &&
                    buffer->shape[1] == buffers[0].shape[1] && buffer->len > 0 && buffer->shape[0] < INT32_MAX &&
                    buffer->shape[1] < INT32_MAX;
        if (are_alike)
            views[taken - 1] = (View){buffer->buf, buffer->strides[0], buffer->strides[1]};
    }
    if (taken == count && holds(are_alike, "planes must be of one shape, of two axes of bytes that are not empty"))
        return 1;
    while (taken > 0)
        PyBuffer_Release(&buffers[--taken]);
    return 0;
}

/* Return the grid of every `step`-th row and column, and the views of it. */
static Grid thinned(const Py_buffer *buffer, int step, int count, View *views)
{
    for (int i = 0; i < count; i++) {
        views[i].row *= step;
        views[i].column *= step;
    }
    return (Grid){(int32_t)((buffer->shape[0] - 1) / step + 1), (int32_t)((buffer->shape[1] - 1) / step + 1)};
}

static PyObject *py_count_seam(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *objects[3];
    Py_buffer buffers[3];
    View views[3];
    Contours contours;
    int step;
    double share;
    if (!PyArg_ParseTuple(args, "OOOiiid", &objects[0], &objects[1], &objects[2], &step, &contours.least,
                          &contours.thin, &share) ||
        !holds(step > 0 && contours.thin > 0 && share >= 0 && share < 1,
               "step and thin must be positive, and the share in [0, 1)") ||
        !take_views(objects, 3, buffers, views))
        return NULL;
    const Grid grid = thinned(buffers, step, 3, views);
    const int64_t ranked = (int64_t)((grid.height - 1) / contours.thin + 1) * ((grid.width - 1) / contours.thin + 1);
    contours.rank = (int64_t)((double)ranked * share);
    int64_t found[3];
    int status;
    Py_BEGIN_ALLOW_THREADS
    status = seam(views, grid, &contours, found);
    Py_END_ALLOW_THREADS
    for (int i = 0; i < 3; i++)
        PyBuffer_Release(&buffers[i]);
    return status < 0 ? PyErr_NoMemory()
                      : Py_BuildValue("LLL", (long long)found[0], (long long)found[1], (long long)found[2]);
}

static PyObject *py_rank_sums(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *objects[2];
    Py_buffer buffers[2];
    View views[2];
    int step;
    if (!PyArg_ParseTuple(args, "OOi", &objects[0], &objects[1], &step) || !holds(step > 0, "step must be positive") ||
        !take_views(objects, 2, buffers, views))
        return NULL;
    const Grid grid = thinned(buffers, step, 2, views);
    int64_t found[2];
    Py_BEGIN_ALLOW_THREADS
    rank_sums(&views[0], &views[1], grid, found);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&buffers[0]);
    PyBuffer_Release(&buffers[1]);
    return Py_BuildValue("LL", (long long)found[0], (long long)found[1]);
}

static PyObject *py_moments(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *object;
    Py_buffer buffer;
    View view;
    int step;
    if (!PyArg_ParseTuple(args, "Oi", &object, &step) || !holds(step > 0, "step must be positive") ||
        !take_views(&object, 1, &buffer, &view))
        return NULL;
    const Grid grid = thinned(&buffer, step, 1, &view);
    int64_t found[2];
    Py_BEGIN_ALLOW_THREADS
    moments(&view, grid, found);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&buffer);
    return Py_BuildValue("LL", (long long)found[0], (long long)found[1]);
}

static PyObject *py_grow_piece(PyObject *self, PyObject *args)
{
    (void)self;
    Py_buffer labels, draws, selected;
    Grid grid;
    Growth growth;
    if (!PyArg_ParseTuple(args, "y*(ii)y*(dd)w*", &labels, &grid.height, &grid.width, &draws, &growth.least,
                          &growth.greatest, &selected))
        return NULL;
    const int64_t pixels = (int64_t)grid.height * grid.width;
    growth.count = (int32_t)(selected.len < 65536 ? selected.len : 65536);
    growth.draws = draws.buf;
    PyObject *result = NULL;
    if (is_grid(grid) && fits(&labels, "labels", pixels, sizeof(uint16_t)) &&
        fits(&selected, "selected", growth.count, 1) && fits(&draws, "draws", 2 + (int64_t)growth.count, sizeof(double)) &&
        is_below("labels", largest_16(&labels, pixels), growth.count)) {
        int status;
        Py_BEGIN_ALLOW_THREADS
        status = grow(labels.buf, grid, &growth, selected.buf);
        Py_END_ALLOW_THREADS
        result = none_or_memory_error(status);
    }
    PyBuffer_Release(&labels);
    PyBuffer_Release(&draws);
    PyBuffer_Release(&selected);
    return result;
}

#define METHOD(name) {#name, py_##name, METH_VARARGS, NULL}

static PyMethodDef methods[] = {
    METHOD(kmeans), METHOD(spread), METHOD(connect), METHOD(smooth), METHOD(ward),
    METHOD(within), METHOD(deepest), METHOD(sum_noise), METHOD(greatest), METHOD(byte_sum),
    METHOD(tally_pieces), METHOD(number_pieces), METHOD(label_totals), METHOD(sum_regions), METHOD(regions_seen), METHOD(gather),
    METHOD(blend_planes), METHOD(mix_labels), METHOD(label_sums), METHOD(lay_out), METHOD(difference_lines),
    METHOD(count_seam), METHOD(rank_sums), METHOD(moments), METHOD(grow_piece), METHOD(blur), METHOD(share_levels),
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
