/* Smoothing with a symmetric kernel, each sum in the order of scipy.ndimage: the middle, then pairs from the ends in. */
#include "kernels.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK = 8 }; /* sums that are kept in registers */

/* Return the index that stands for one beyond the ends: c b a | a b c | c b a. */
static int64_t mirrored(int64_t index, int64_t length)
{
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
