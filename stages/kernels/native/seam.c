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
CLONED static void slopes_of(const uint8_t *plane, Grid grid, uint16_t *slopes)
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
CLONED static void mark_steps(const uint8_t *values, Grid grid, int32_t least, uint8_t *marks)
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
CLONED static void widen(uint8_t *marks, Grid grid, uint8_t *wide)
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

/* Write the values of a view side by side. */
static void lay_side_by_side(const View *view, Grid grid, uint8_t *out)
{
    for (int32_t y = 0; y < grid.height; y++)
        for (int32_t x = 0; x < grid.width; x++)
            out[(int64_t)y * grid.width + x] = view->values[y * view->row + x * view->column];
}

CLONED static void count_near(const uint8_t *seams, const uint8_t *near, int64_t pixels, int64_t found[3])
{
    int64_t length = 0, agreeing = 0, all = 0;
    for (int64_t i = 0; i < pixels; i++) {
        length += seams[i];
        agreeing += seams[i] & near[i];
        all += near[i];
    }
    found[0] = length;
    found[1] = agreeing;
    found[2] = all;
}

int seam(const View views[3], Grid grid, const Contours *contours, int64_t found[3])
{
    const int64_t pixels = (int64_t)grid.height * grid.width;
    uint16_t *slopes = malloc(pixels * sizeof *slopes);
    uint8_t *values = calloc(pixels, 1), *near = malloc(pixels), *wide = malloc(pixels), *seams = calloc(pixels, 1);
    const int ready = slopes && values && near && wide && seams;
    if (ready) {
        lay_side_by_side(&views[0], grid, values);
        slopes_of(values, grid, slopes);
        const uint16_t steepest = slope_of_rank(slopes, grid, contours->thin, contours->rank);
        for (int64_t i = 0; i < pixels; i++)
            near[i] = slopes[i] > steepest;
        lay_side_by_side(&views[1], grid, values);
        mark_steps(values, grid, 1, near);
        widen(near, grid, wide);
        lay_side_by_side(&views[2], grid, values);
        mark_steps(values, grid, contours->least, seams);
        count_near(seams, near, pixels, found);
    }
    free(slopes);
    free(values);
    free(near);
    free(wide);
    free(seams);
    return ready ? 0 : -1;
}

void rank_sums(const View *values, const View *ids, Grid grid, int64_t found[2])
{
    int64_t counts[3][256] = {{0}}; /* of the background, of classes and of what is ignored */
    for (int32_t y = 0; y < grid.height; y++)
        for (int32_t x = 0; x < grid.width; x++) {
            const uint8_t id = ids->values[y * ids->row + x * ids->column];
            counts[id == 0 ? 0 : id < IGNORED ? 1 : 2][values->values[y * values->row + x * values->column]]++;
        }
    int64_t below = 0, classes = 0, twice = 0;
    for (int value = 0; value < 256; value++) {
        twice += counts[1][value] * (2 * below + counts[0][value]);
        below += counts[0][value];
        classes += counts[1][value];
    }
    found[0] = twice;
    found[1] = below * classes;
}

void moments(const View *values, Grid grid, int64_t found[2])
{
    int64_t sum = 0, squares = 0;
    for (int32_t y = 0; y < grid.height; y++)
        for (int32_t x = 0; x < grid.width; x++) {
            const int32_t value = values->values[y * values->row + x * values->column];
            sum += value;
            squares += value * value;
        }
    found[0] = sum;
    found[1] = squares;
}
