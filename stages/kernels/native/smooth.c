/* Smoothing with a symmetric kernel: of doubles, each sum in the order of scipy.ndimage, the middle, then pairs from the
 * ends in; and of bytes in whole numbers. */
#include "kernels.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK = 8 }; /* sums that are kept in registers */

/* Return the index that stands for one beyond the ends: c b a | a b c | c b a. */
static int64_t mirrored(int64_t index, int64_t length)
{
    if (index >= 0 && index < length)
        return index;
    index %= 2 * length;
    if (index < 0)
        index += 2 * length;
    return index < length ? index : 2 * length - 1 - index;
}

/* `rows[radius]` is the row that is smoothed, the others are its neighbours. */
static void weigh(const double *const *rows, int32_t width, const double *kernel, int32_t radius,
                  double *restrict result)
{
    int32_t x = 0;
    for (; x + BLOCK <= width; x += BLOCK) {
        double sums[BLOCK];
        for (int j = 0; j < BLOCK; j++)
            sums[j] = rows[radius][x + j] * kernel[radius];
        for (int32_t i = 0; i < radius; i++) {
            const double *before = rows[i] + x, *after = rows[2 * radius - i] + x, weight = kernel[i];
            for (int j = 0; j < BLOCK; j++)
                sums[j] += (before[j] + after[j]) * weight;
        }
        for (int j = 0; j < BLOCK; j++)
            result[x + j] = sums[j];
    }
    for (; x < width; x++) {
        double sum = rows[radius][x] * kernel[radius];
        for (int32_t i = 0; i < radius; i++)
            sum += (rows[i][x] + rows[2 * radius - i][x]) * kernel[i];
        result[x] = sum;
    }
}

int smooth(double *planes, int32_t channels, int32_t height, int32_t width, int32_t stride, const double *kernel,
           int32_t radius)
{
    const int64_t plane = (int64_t)height * stride;
    double *copy = malloc(sizeof *copy * (plane + 1)), *line = malloc(sizeof *line * ((int64_t)width + 2 * radius));
    const double **rows = malloc(sizeof *rows * (2 * radius + 1));
    const int ready = copy && line && rows;
    for (int32_t c = 0; ready && c < channels; c++) {
        double *values = planes + c * plane;
        for (int32_t y = 0; y < height; y++) { /* along the axis of length 1, where all neighbours are the row itself */
            for (int32_t i = 0; i <= 2 * radius; i++)
                rows[i] = values + (int64_t)y * stride;
            weigh(rows, width, kernel, radius, copy + (int64_t)y * stride);
        }
        for (int32_t y = 0; y < height; y++) {
            for (int32_t i = 0; i <= 2 * radius; i++)
                rows[i] = copy + mirrored(y + i - radius, height) * stride;
            weigh(rows, width, kernel, radius, values + (int64_t)y * stride);
        }
        for (int32_t y = 0; y < height; y++) {
            double *row = values + (int64_t)y * stride;
            memcpy(line + radius, row, sizeof *row * width);
            for (int32_t i = 0; i < radius; i++) {
                line[i] = row[mirrored(i - radius, width)];
                line[radius + width + i] = row[mirrored((int64_t)width + i, width)];
            }
            for (int32_t i = 0; i <= 2 * radius; i++)
                rows[i] = line + i;
            weigh(rows, width, kernel, radius, row);
        }
    }
    free(copy);
    free(line);
    free(rows);
    return ready ? 0 : -1;
}

/* Add two rows with a weight: bytes to sums below 2**16, and these to sums below 2**32. */
CLONED static void add_down(const uint8_t *one, const uint8_t *other, uint32_t weight, int32_t width,
                            uint16_t *restrict sums)
{
    for (int32_t x = 0; x < width; x++)
        sums[x] = (uint16_t)(sums[x] + (one[x] + other[x]) * weight);
}

CLONED static void add_across(const uint16_t *one, const uint16_t *other, uint32_t weight, int32_t width,
                              uint32_t *restrict sums)
{
    for (int32_t x = 0; x < width; x++)
        sums[x] += ((uint32_t)one[x] + other[x]) * weight;
}

CLONED static void to_float(const uint32_t *sums, int32_t width, float *row)
{
    for (int32_t x = 0; x < width; x++)
        row[x] = (float)(int32_t)sums[x];
}

int blur(const uint8_t *levels, Grid grid, const uint8_t *kernel, int32_t radius, float *blurred)
{
    for (; radius > 0 && !kernel[0]; radius--) /* narrow kernels end in zeros */
        kernel++;
    const int64_t width = grid.width, padded = width + 2 * (int64_t)radius;
    uint16_t *line = malloc(sizeof *line * padded), *nothing = calloc(padded, sizeof *nothing);
    uint32_t *sums = malloc(sizeof *sums * width);
    uint8_t *has_any = calloc(grid.height, 1);
    const int ready = line && nothing && sums && has_any;
    for (int64_t y = 0; ready && y < grid.height; y++)
        has_any[y] = memcmp(levels + y * width, nothing, width) != 0;
    for (int64_t y = 0; ready && y < grid.height; y++) {
        uint16_t *middle = line + radius;
        memset(middle, 0, sizeof *middle * width);
        memset(sums, 0, sizeof *sums * width);
        for (int64_t i = 0; i <= radius; i++) { /* the middle comes last, without another row */
            const int64_t up = mirrored(y + i - radius, grid.height), down = mirrored(y - i + radius, grid.height);
            if (has_any[up] || has_any[down])
                add_down(levels + up * width, i < radius ? levels + down * width : (const uint8_t *)nothing, kernel[i],
                         grid.width, middle);
        }
        if (memcmp(middle, nothing, sizeof *middle * width) != 0) {
            for (int64_t i = 1; i <= radius; i++) {
                middle[-i] = middle[mirrored(-i, width)];
                middle[width - 1 + i] = middle[mirrored(width - 1 + i, width)];
            }
            for (int64_t i = 0; i <= radius; i++)
                add_across(line + i, i < radius ? line + 2 * radius - i : nothing, kernel[i], grid.width, sums);
        }
        to_float(sums, grid.width, blurred + y * width);
    }
    free(line);
    free(nothing);
    free(sums);
    free(has_any);
    return ready ? 0 : -1;
}
