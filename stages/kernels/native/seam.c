/* Whether a seam lies on contours, and how values lie by class: what is measured of each sample. Loops are plain, row
 * by row, so that compilers make vectors of them. */
#include "kernels.h"

#include <stdlib.h>

enum { STEEPEST = 2 * 255 };

static uint16_t apart(uint8_t a, uint8_t b)
{
    return a < b ? b - a : a - b;
}

/* Steps from a row to the next one, 0 from the last; then those from column to column are added. */
static void slopes_of(const uint8_t *plane, Grid grid, uint16_t *slopes)
{
    for (int32_t y = 0; y < grid.height; y++) {
        const uint8_t *row = plane + (int64_t)y * grid.width, *next = y + 1 < grid.height ? row + grid.width : row;
        uint16_t *out = slopes + (int64_t)y * grid.width;
        for (int32_t x = 0; x < grid.width; x++)
            out[x] = apart(next[x], row[x]);
        for (int32_t x = 0; x + 1 < grid.width; x++)
            out[x] += apart(row[x + 1], row[x]);
    }
}

/* Mark where the next pixel below or to the right differs by `least` or more. */
static void mark_steps(const uint8_t *values, Grid grid, int32_t least, uint8_t *marks)
{
    const uint16_t enough = (uint16_t)least;
    for (int32_t y = 0; y < grid.height; y++) {
        const uint8_t *row = values + (int64_t)y * grid.width, *next = y + 1 < grid.height ? row + grid.width : row;
        uint8_t *out = marks + (int64_t)y * grid.width;
        for (int32_t x = 0; x < grid.width; x++)
            out[x] |= apart(next[x], row[x]) >= enough;
        for (int32_t x = 0; x + 1 < grid.width; x++)
            out[x] |= apart(row[x + 1], row[x]) >= enough;
    }
}

/* Return the slope at a rank of those of every `thin`-th row and column. */
static uint16_t slope_of_rank(const uint16_t *slopes, Grid grid, int32_t thin, int64_t rank)
{
    int64_t counts[STEEPEST + 1] = {0};
    for (int32_t y = 0; y < grid.height; y += thin)
        for (int32_t x = 0; x < grid.width; x += thin)
            counts[slopes[(int64_t)y * grid.width + x]]++;
    uint16_t slope = 0;
    for (int64_t below = counts[0]; below <= rank && slope < STEEPEST; below += counts[slope])
        slope++;
    return slope;
}

/* Mark all eight neighbours of what is marked; `wide` takes the rows in between. */
static void widen(uint8_t *marks, Grid grid, uint8_t *wide)
{
    for (int32_t y = 0; y < grid.height; y++) {
        const uint8_t *row = marks + (int64_t)y * grid.width;
        const uint8_t *above = y ? row - grid.width : row, *below = y + 1 < grid.height ? row + grid.width : row;
        for (int32_t x = 0; x < grid.width; x++)
            wide[(int64_t)y * grid.width + x] = above[x] | row[x] | below[x];
    }
    for (int32_t y = 0; y < grid.height; y++) {
        const uint8_t *row = wide + (int64_t)y * grid.width;
        uint8_t *out = marks + (int64_t)y * grid.width;
        out[0] = row[0] | row[grid.width > 1];
        for (int32_t x = 1; x + 1 < grid.width; x++)
            out[x] = row[x - 1] | row[x] | row[x + 1];
        if (grid.width > 1)
            out[grid.width - 1] = row[grid.width - 2] | row[grid.width - 1];
    }
}

int seam(const uint8_t *plane, const uint8_t *ids, const uint8_t *weights, Grid grid, const Contours *contours,
         int64_t found[3])
{
    const int64_t pixels = (int64_t)grid.height * grid.width;
    uint16_t *slopes = calloc(pixels, sizeof *slopes);
    uint8_t *near = calloc(pixels, 1), *wide = calloc(pixels, 1), *seams = calloc(pixels, 1);
    const int ready = slopes && near && wide && seams;
    if (ready) {
        slopes_of(plane, grid, slopes);
        const uint16_t steepest = slope_of_rank(slopes, grid, contours->thin, contours->rank);
        for (int64_t i = 0; i < pixels; i++)
            near[i] = slopes[i] > steepest;
        mark_steps(ids, grid, 1, near);
        widen(near, grid, wide);
        mark_steps(weights, grid, contours->least, seams);
        found[0] = found[1] = found[2] = 0;
        for (int64_t i = 0; i < pixels; i++) {
            found[0] += seams[i];
            found[1] += seams[i] & near[i];
            found[2] += near[i];
        }
    }
    free(slopes);
    free(near);
    free(wide);
    free(seams);
    return ready ? 0 : -1;
}

void histograms(const uint8_t *values, const uint8_t *ids, int64_t pixels, int64_t *counts)
{
    for (int64_t i = 0; i < pixels; i++)
        counts[(ids[i] == 0 ? 0 : ids[i] < 255 ? 256 : 512) + values[i]]++;
}
