/* The passes of mixing over pixels, in whole numbers; sums of doubles are taken in the order of the pixels. */
#include "kernels.h"

#include <stddef.h>

void region_sums(const Parents *parents, const double *ratios, int64_t pixels, int32_t *regions, double *totals,
                 int64_t *sizes)
{
    for (int64_t i = 0; i < pixels; i++) {
        const int32_t region = parents->from_b[i] ? parents->labels_b[i] : parents->offset + parents->labels_a[i];
        regions[i] = region;
        totals[region] += ratios[parents->saliency_a[i] << 8 | parents->saliency_b[i]];
        sizes[region]++;
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

void blend(const uint8_t *a, const uint8_t *b, const uint8_t *weights, int64_t pixels, uint8_t *out)
{
    for (int64_t i = 0; i < pixels; i++) {
        /* For sums up to 255 * 255 this is the quotient by 255, rounded to nearest, and all fits into 16 bits. */
        const uint16_t total = (uint16_t)(a[i] * (255 - weights[i]) + b[i] * weights[i] + 128);
        out[i] = (uint8_t)((uint16_t)(total + (total >> 8)) >> 8);
    }
}

void mix_labels(const uint8_t *a, const uint8_t *b, const uint8_t *weights, int64_t pixels, int32_t classes,
                const uint16_t *halves, uint16_t *soft, uint8_t *mask)
{
    for (int64_t i = 0; i < pixels; i++) {
        const uint8_t weight = weights[i];
        mask[i] = IGNORED;
        if ((a[i] == IGNORED && weight < 255) || (b[i] == IGNORED && weight > 0))
            continue;
        const int share_a = a[i] < classes ? a[i] == b[i] ? 255 : 255 - weight : 0;
        const int share_b = b[i] < classes && a[i] != b[i] ? weight : 0;
        if (share_a)
            soft[a[i] * pixels + i] = halves[share_a];
        if (share_b)
            soft[b[i] * pixels + i] = halves[share_b];
        if (share_a || share_b)
            mask[i] = share_a > share_b ? a[i] : b[i];
    }
}

void difference_lines(const uint8_t *picture, const int64_t shape[3], const int64_t strides[3], uint8_t *lines)
{
    for (int64_t y = 0; y < shape[0]; y++) {
        uint8_t *line = lines + y * (1 + shape[1] * shape[2]);
        *line++ = PNG_UP;
        for (int64_t c = 0; c < shape[2]; c++) {
            const uint8_t *row = picture + y * strides[0] + c * strides[2], *above = y ? row - strides[0] : NULL;
            for (int64_t x = 0; x < shape[1]; x++)
                line[x * shape[2] + c] = (uint8_t)(row[x * strides[1]] - (above ? above[x * strides[1]] : 0));
        }
    }
}
