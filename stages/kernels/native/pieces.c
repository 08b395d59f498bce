/* Connected pieces of foreground, four neighbours each: runs of pixels are joined row by row. */
#include "kernels.h"

#include <stdlib.h>

typedef struct {
    int32_t begin, end; /* columns, the last one not included */
    int32_t parent;     /* a run of the same piece that came before, or this one */
    int32_t area, held;
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

/* Append the runs of a row and return how many runs there are. */
static int32_t append_runs(const uint8_t *ids, const uint8_t *held, int32_t width, Run *runs, int32_t n)
{
    for (int32_t x = 0; x < width;) {
        while (x < width && !is_class(ids[x]))
            x++;
        if (x == width)
            break;
        Run run = {x, x, n, 0, 0};
        for (; x < width && is_class(ids[x]); x++)
            run.held += held && held[x];
        run.end = x;
        run.area = run.end - run.begin;
        runs[n++] = run;
    }
    return n;
}

int64_t pieces(const uint8_t *ids, const uint8_t *held, int32_t height, int32_t width, int64_t *areas, int64_t *kept)
{
    Run *runs = malloc(sizeof *runs * height * (((size_t)width + 1) / 2));
    if (!runs)
        return -1;
    int32_t above = 0, row = 0, n = 0;
    for (int32_t y = 0; y < height; y++) {
        const int64_t at = (int64_t)y * width;
        row = n;
        n = append_runs(ids + at, held ? held + at : NULL, width, runs, n);
        for (int32_t i = above, j = row; i < row && j < n;) {
            if (runs[i].begin < runs[j].end && runs[j].begin < runs[i].end)
                join(runs, i, j);
            if (runs[i].end < runs[j].end)
                i++;
            else
                j++;
        }
        above = row;
    }
    int64_t count = 0;
    for (int32_t i = 0; i < n; i++) {
        const int32_t root = root_of(runs, i);
        if (root == i) { /* comes before all other runs of its piece, and its place is not needed any more */
            areas[count] = kept[count] = 0;
            runs[i].begin = (int32_t)count++;
        }
        areas[runs[root].begin] += runs[i].area;
        kept[runs[root].begin] += runs[i].held;
    }
    free(runs);
    return count;
}
