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

void region_sums(const Parents *parents, const double *ratios, int64_t pixels, int32_t *regions, double *totals,
                 int64_t *sizes)
{
    number_regions(parents, 0, pixels, regions);
    /* Neighbours are mostly of one region, whose sum stays at hand. */
    for (int64_t i = 0; i < pixels;) {
        const int32_t region = regions[i];
        const int64_t begin = i;
        double total = totals[region];
        do {
            total += ratios[parents->saliency_a[i] << 8 | parents->saliency_b[i]];
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
    for (int64_t i = 0; i < pixels;) {
        const uint16_t label = labels[i];
        int64_t total = 0;
        do
            total += values ? values[i] : 1;
        while (++i < pixels && labels[i] == label);
        totals[label] += total;
    }
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
    return is_whole && ids == (ids & 255) * EACH_BYTE ? (int)(ids & 255) : -1;
}

static int is_ignored(const Masks *masks, int64_t i)
{
    return (masks->a[i] == IGNORED && masks->weights[i] < 255) || (masks->b[i] == IGNORED && masks->weights[i] > 0);
}

static void mix_label(const Masks *masks, int64_t i, int32_t classes, const uint16_t *halves, uint16_t *soft,
                      uint8_t *mask)
{
    const uint8_t a = masks->a[i], b = masks->b[i], weight = masks->weights[i];
    mask[i] = IGNORED;
    if (is_ignored(masks, i))
        return;
    const int share_a = a < classes ? a == b ? 255 : 255 - weight : 0;
    const int share_b = b < classes && a != b ? weight : 0;
    if (share_a)
        soft[a * masks->pixels + i] = halves[share_a];
    if (share_b)
        soft[b * masks->pixels + i] = halves[share_b];
    if (share_a || share_b)
        mask[i] = share_a > share_b ? a : b;
}

void mix_labels(const Masks *masks, int32_t classes, const uint16_t *halves, uint16_t *soft, uint8_t *mask)
{
    int64_t i = 0;
    for (; i + 8 <= masks->pixels; i += 8) {
        const int id = only_id(masks, i);
        if (id < 0) {
            for (int64_t j = i; j < i + 8; j++)
                mix_label(masks, j, classes, halves, soft, mask);
            continue;
        }
        memset(mask + i, id < classes ? id : IGNORED, 8);
        if (id < classes)
            for (int64_t j = 0; j < 8; j++)
                soft[id * masks->pixels + i + j] = halves[255];
    }
    for (; i < masks->pixels; i++)
        mix_label(masks, i, classes, halves, soft, mask);
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
