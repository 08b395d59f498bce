/* Connected pieces of foreground, four neighbours each: runs of pixels are joined row by row. */
#include "kernels.h"

#include <stdlib.h>

typedef struct {
    int32_t row;        /* its first pixel */
    int32_t begin, end; /* columns, the last one not included */
    int32_t parent;     /* a run of the same piece that came before, or this one */
    int32_t area, held; /* of the run, then of its piece; held: its number too */
} Run;

static int32_t root_of(Run *runs, int32_t i)
{
    while (runs[i].parent != i)
        i = runs[i].parent = runs[runs[i].parent].parent;
    return i;
}

static void join(Run *runs, int32_t i, int32_t j)
{
    i = root_of(runs, i);
    j = root_of(runs, j);
    if (i < j)
        runs[j].parent = i;
    else
        runs[i].parent = j;
}

/* Whether an id is a class: 0 is background and 255 is ignored. */
static int is_class(uint8_t id)
{
    return (uint8_t)(id + 1) > 1;
}

/* Append the runs of a row, whose first pixel is given, and return how many runs there are. */
static int32_t append_runs(const uint8_t *ids, int32_t row, int32_t width, Run *runs, int32_t n)
{
    ids += row;
    for (int32_t x = 0; x < width;) {
        while (x + 8 <= width && !eight(ids + x)) /* most of a mask is background */
            x += 8;
        while (x < width && !is_class(ids[x]))
            x++;
        if (x == width)
            break;
        Run run = {row, x, x, n, 0, 0};
        while (x < width && is_class(ids[x]))
            x++;
        run.end = x;
        run.area = run.end - run.begin;
        runs[n++] = run;
    }
    return n;
}

/* Join the runs of two neighbouring rows that touch. */
static void join_rows(Run *runs, int32_t above, int32_t row, int32_t n)
{
    for (int32_t i = above, j = row; i < row && j < n;) {
        if (runs[i].begin < runs[j].end && runs[j].begin < runs[i].end)
            join(runs, i, j);
        if (runs[i].end < runs[j].end)
            i++;
        else
            j++;
    }
}

/* Return the runs of all rows, those of a piece joined, and how many there are; NULL if memory ran out. */
static Run *joined_runs(const uint8_t *ids, Grid grid, int32_t *count)
{
    Run *runs = malloc(sizeof *runs * grid.height * (((size_t)grid.width + 1) / 2));
    int32_t above = 0, n = 0;
    for (int32_t y = 0; runs && y < grid.height; y++) {
        const int32_t row = n;
        n = append_runs(ids, y * grid.width, grid.width, runs, n);
        join_rows(runs, above, row, n);
        above = row;
    }
    *count = n;
    return runs;
}

int32_t number_pieces(const uint8_t *ids, Grid grid, int32_t *numbers)
{
    int32_t n, pieces = 0;
    Run *runs = joined_runs(ids, grid, &n);
    if (!runs)
        return -1;
    for (int32_t i = 0; i < n; i++) { /* the first run of a piece comes before its others */
        const int32_t root = root_of(runs, i);
        if (root == i)
            runs[i].held = ++pieces;
        for (int32_t x = runs[i].begin; x < runs[i].end; x++)
            numbers[runs[i].row + x] = runs[root].held;
    }
    free(runs);
    return pieces;
}

int tally_pieces(const uint8_t *ids, const uint8_t *weights, Grid grid, const Bounds *bounds, Tally *tally)
{
    int32_t n;
    Run *runs = joined_runs(ids, grid, &n);
    if (!runs)
        return -1;
    for (int32_t i = 0; weights && i < n; i++)
        for (int32_t x = runs[i].begin; x < runs[i].end; x++)
            runs[i].held += (weights[runs[i].row + x] >= HALF) == bounds->heavy;
    *tally = (Tally){0, 0, 0, 0, 0};
    for (int32_t i = n - 1; i >= 0; i--) { /* all runs of a piece come after its first, and are added to it */
        const Run run = runs[i];
        const int32_t root = root_of(runs, i);
        if (root != i) {
            runs[root].area += run.area;
            runs[root].held += run.held;
            continue;
        }
        const int is_object = run.area >= bounds->least, is_small = is_object && run.area < bounds->small;
        const int is_cut = run.held > bounds->low * run.area && run.held < bounds->high * run.area;
        tally->fragments += !is_object;
        tally->objects += is_object;
        tally->cut += is_object && is_cut;
        tally->small += is_small;
        tally->small_cut += is_small && is_cut;
    }
    free(runs);
    return 0;
}
