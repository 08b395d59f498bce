/* The passes of mixing over pixels, in whole numbers; sums of doubles are taken in the order of the pixels. */
#include "kernels.h"

#include <string.h>

/* Number the regions of pixels of a mix, those of A above those of B. */
CLONED static void number_regions(const Parents *parents, int64_t begin, int64_t pixels, int32_t *regions)
{
    const uint16_t *a = parents->labels_a + begin, *b = parents->labels_b + begin;
    const uint8_t *from_b = parents->from_b + begin;
    for (int64_t i = 0; i < pixels; i++) {
        const int32_t is_b = -(from_b[i] != 0);
        regions[i] = (b[i] & is_b) | ((parents->offset + a[i]) & ~is_b);
    }
}

/* B's share of a pair of saliencies: divided anew, as a table of all pairs would not stay at hand. */
static inline double ratio_of(const Ratio *ratio, uint8_t a, uint8_t b)
{
    return a | b ? ratio->levels[b] / (ratio->levels[a] + ratio->levels[b] + ratio->least) : ratio->of_zeros;
}

void region_sums(const Parents *parents, const Ratio *ratio, int64_t pixels, int32_t *regions, double *totals,
                 int64_t *sizes)
{
    number_regions(parents, 0, pixels, regions);
    /* Neighbours are mostly of one region, whose sum stays at hand. */
    for (int64_t i = 0; i < pixels;) {
        const int32_t region = regions[i];
        const int64_t begin = i;
        double total = totals[region];
        do {
            total += ratio_of(ratio, parents->saliency_a[i], parents->saliency_b[i]);
            i++;
        } while (i < pixels && regions[i] == region);
        totals[region] = total;
        sizes[region] += i - begin;
    }
}

void regions_seen(const Parents *parents, int64_t pixels, uint8_t *seen)
{
    int32_t regions[256];
    for (int64_t begin = 0; begin < pixels; begin += 256) {
        const int64_t n = pixels - begin < 256 ? pixels - begin : 256;
        number_regions(parents, begin, n, regions);
        for (int64_t i = 0; i < n; i++)
            seen[regions[i]] = 1;
    }
}

void label_totals(const uint16_t *labels, const uint8_t *values, int64_t pixels, int64_t *totals)
{
    /* Neighbours are mostly of one label, whose total would have to wait for itself: parts are counted side by side. */
    enum { PARTS = 8 };
    const int64_t part = pixels / PARTS;
    for (int64_t i = 0; i < part; i++)
        for (int64_t at = i; at < PARTS * part; at += part)
            totals[labels[at]] += values ? values[at] : 1;
    for (int64_t i = PARTS * part; i < pixels; i++)
        totals[labels[i]] += values ? values[i] : 1;
}

CLONED static double whole_sum(const float *values, int64_t pixels)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < pixels; i++)
        sum += (int32_t)values[i];
    return (double)sum;
}

CLONED void share_levels(const float *a, const float *b, int64_t pixels, uint8_t *levels)
{
    const double whole_a = whole_sum(a, pixels), whole_b = whole_sum(b, pixels);
    const double whole = 0x1.8p52; /* beyond it doubles are whole numbers, to which sums are rounded */
    for (int64_t i = 0; i < pixels; i++) {
        const double of_b = b[i] * whole_a, both = a[i] * whole_b + of_b;
        const double nowhere = both == 0 ? 1.0 : 0.0;
        levels[i] = (uint8_t)(int32_t)((of_b + nowhere) / (both + 2 * nowhere) * 255 + whole - whole);
    }
}

CLONED int64_t byte_sum(const uint8_t *bytes, int64_t count)
{
    enum { BLOCK = 1 << 16 }; /* bytes whose sum fits 32 bits */
    int64_t sum = 0;
    for (int64_t begin = 0; begin < count; begin += BLOCK) {
        const int64_t end = count - begin < BLOCK ? count : begin + BLOCK;
        uint32_t part = 0;
        for (int64_t i = begin; i < end; i++)
            part += bytes[i];
        sum += part;
    }
    return sum;
}

void gather_16(const uint8_t *table, const uint16_t *numbers, int64_t pixels, uint8_t *out)
{
    for (int64_t i = 0; i < pixels; i++)
        out[i] = table[numbers[i]];
}

void gather_32(const uint8_t *table, const int32_t *numbers, int64_t pixels, uint8_t *out)
{
    for (int64_t i = 0; i < pixels; i++)
        out[i] = table[numbers[i]];
}

CLONED static void blend_plane(const uint8_t *a, const uint8_t *b, const uint8_t *weights, int64_t pixels, uint8_t *out)
{
    for (int64_t i = 0; i < pixels; i++) {
        /* For sums up to 255 * 255 this is the quotient by 255, rounded to nearest, and all fits into 16 bits. */
        const uint16_t total = (uint16_t)(a[i] * (255 - weights[i]) + b[i] * weights[i] + 128);
        out[i] = (uint8_t)((uint16_t)(total + (total >> 8)) >> 8);
    }
}

void blend(const uint8_t *a, const uint8_t *b, const uint8_t *weights, int64_t pixels, int64_t planes, uint8_t *out)
{
    for (int64_t at = 0; at < planes * pixels; at += pixels)
        blend_plane(a + at, b + at, weights, pixels, out + at);
}

/* Return the id that eight pixels in a row have in a mix, or -1 if they have several or a share of two. */
static int only_id(const Masks *masks, int64_t i)
{
    const uint64_t weights = eight(masks->weights + i), a = eight(masks->a + i), b = eight(masks->b + i);
    const uint64_t ids = weights == UINT64_MAX ? b : a;
    const int is_whole = weights == UINT64_MAX || !weights || a == b;
    return is_whole && is_even(ids) ? (int)(ids & 255) : -1;
}

static int is_ignored(const Masks *masks, int64_t i)
{
    return (masks->a[i] == IGNORED && masks->weights[i] < 255) || (masks->b[i] == IGNORED && masks->weights[i] > 0);
}

static inline void fill(uint16_t *row, uint16_t value, int count)
{
    for (int j = 0; j < count; j++)
        row[j] = value;
}

/* Mix the labels of `count` pixels in a row that become the same. */
static inline void mix_label(const Masks *masks, int64_t i, int count, int32_t classes, const uint16_t *halves,
                             uint16_t *soft, uint8_t *mask)
{
    const uint8_t a = masks->a[i], b = masks->b[i], weight = masks->weights[i];
    const int share_a = a == b ? 255 : 255 - weight, share_b = 255 - share_a;
    if (a < classes && b < classes) { /* nearly all, without a branch for each of two classes */
        fill(soft + b * masks->pixels + i, halves[share_b], count);
        fill(soft + a * masks->pixels + i, halves[share_a], count);
        memset(mask + i, share_a > share_b ? a : b, count);
        return;
    }
    const int is_used = !is_ignored(masks, i), is_a = is_used && share_a && a < classes,
              is_b = is_used && share_b && b < classes;
    if (is_a)
        fill(soft + a * masks->pixels + i, halves[share_a], count);
    if (is_b)
        fill(soft + b * masks->pixels + i, halves[share_b], count);
    memset(mask + i, is_a && (!is_b || share_a > share_b) ? a : is_b ? b : IGNORED, count);
}

void mix_labels(const Masks *masks, int32_t classes, const uint16_t *halves, uint16_t *soft, uint8_t *mask)
{
    int64_t i = 0;
    for (; i + 8 <= masks->pixels; i += 8) {
        const int id = only_id(masks, i);
        if (id >= 0 && id < classes) {
            memset(mask + i, id, 8);
            fill(soft + id * masks->pixels + i, halves[255], 8);
        } else if (is_even(eight(masks->weights + i)) && is_even(eight(masks->a + i)) && is_even(eight(masks->b + i)))
            mix_label(masks, i, 8, classes, halves, soft, mask);
        else
            for (int64_t j = i; j < i + 8; j++)
                mix_label(masks, j, 1, classes, halves, soft, mask);
    }
    for (; i < masks->pixels; i++)
        mix_label(masks, i, 1, classes, halves, soft, mask);
}

static void add_label(const Masks *masks, int64_t i, int64_t sums[256])
{
    if (is_ignored(masks, i))
        return;
    sums[masks->a[i]] += 255 - masks->weights[i];
    sums[masks->b[i]] += masks->weights[i];
}

void label_sums(const Masks *masks, int64_t sums[256])
{
    int64_t i = 0;
    for (; i + 8 <= masks->pixels; i += 8) {
        const int id = only_id(masks, i);
        if (id >= 0)
            sums[id] += id == IGNORED ? 0 : 8 * 255;
        else
            for (int64_t j = i; j < i + 8; j++)
                add_label(masks, j, sums);
    }
    for (; i < masks->pixels; i++)
        add_label(masks, i, sums);
}

/* Write the differences of a row to the one above; the values of a channel lie side by side. */
CLONED static void differ_1(const uint8_t *row, const uint8_t *above, int64_t width, uint8_t *line)
{
    for (int64_t x = 0; x < width; x++)
        line[x] = (uint8_t)(row[x] - above[x]);
}

CLONED static void differ_3(const uint8_t *row, const uint8_t *above, int64_t width, int64_t plane, uint8_t *line)
{
    for (int64_t x = 0; x < width; x++) {
        line[3 * x] = (uint8_t)(row[x] - above[x]);
        line[3 * x + 1] = (uint8_t)(row[plane + x] - above[plane + x]);
        line[3 * x + 2] = (uint8_t)(row[2 * plane + x] - above[2 * plane + x]);
    }
}

void difference_lines(const uint8_t *picture, const int64_t shape[3], const int64_t strides[3], uint8_t *lines)
{
    for (int64_t y = 0; y < shape[0]; y++) {
        const uint8_t *row = picture + y * strides[0], *above = y ? row - strides[0] : NULL;
        uint8_t *line = lines + y * (1 + shape[1] * shape[2]);
        *line++ = PNG_UP;
        if (above && shape[2] == 1 && strides[1] == 1)
            differ_1(row, above, shape[1], line);
        else if (above && shape[2] == 3 && strides[1] == 1)
            differ_3(row, above, shape[1], strides[2], line);
        else
            for (int64_t c = 0; c < shape[2]; c++)
                for (int64_t x = 0; x < shape[1]; x++) {
                    const int64_t at = x * strides[1] + c * strides[2];
                    line[x * shape[2] + c] = (uint8_t)(row[at] - (above ? above[at] : 0));
                }
    }
}
