/* Squared distances to an area, compared with a number: in whole numbers, along columns first and then along rows. */
#include "kernels.h"

#include <stdlib.h>

typedef struct {
    int32_t beyond;  /* steps that stand for none of the area in a column, or for too many */
    int32_t *steps;  /* (height, width), of each pixel up or down to the area */
    int32_t *widths; /* (beyond + 1,), columns to either side of a pixel with so many steps that are near too; -1: none */
    uint8_t *marks;  /* (width,) */
} Map;

CLONED static void step_down(const uint8_t *area, const int32_t *above, int32_t beyond, int32_t width, int32_t *steps)
{
    for (int32_t x = 0; x < width; x++) {
        const int32_t next = above[x] < beyond ? above[x] + 1 : beyond;
        steps[x] = area[x] ? 0 : next;
    }
}

CLONED static void step_up(const int32_t *below, int32_t width, int32_t *steps)
{
    for (int32_t x = 0; x < width; x++)
        steps[x] = steps[x] > below[x] ? below[x] + 1 : steps[x];
}

/* Return whether there is memory for a map, and count its steps. */
static int is_made(Map *map, const uint8_t *area, Grid grid)
{
    const int64_t width = grid.width;
    map->steps = malloc(sizeof *map->steps * (grid.height + 1) * width);
    map->widths = malloc(sizeof *map->widths * ((int64_t)map->beyond + 1));
    map->marks = malloc(width);
    if (!map->steps || !map->widths || !map->marks)
        return 0;
    int32_t *none = map->steps + grid.height * width;
    for (int64_t x = 0; x < width; x++)
        none[x] = map->beyond;
    for (int64_t y = 0; y < grid.height; y++)
        step_down(area + y * width, y ? map->steps + (y - 1) * width : none, map->beyond, grid.width,
                  map->steps + y * width);
    for (int64_t y = grid.height - 2; y >= 0; y--)
        step_up(map->steps + (y + 1) * width, grid.width, map->steps + y * width);
    return 1;
}

static void release(const Map *map)
{
    free(map->steps);
    free(map->widths);
    free(map->marks);
}

static void set_widths(const Map *map, int64_t most, int64_t width)
{
    for (int64_t step = 0; step < map->beyond; step++) {
        while (width >= 0 && width * width + step * step > most)
            width--;
        map->widths[step] = (int32_t)width;
    }
    map->widths[map->beyond] = -1;
}

/* Mark the pixels of a row that are near the area, and return whether all are. Both directions are taken side by side,
 * as each of them has to wait for itself. */
static int mark_row(const Map *map, int64_t y, int32_t width, uint8_t *marks)
{
    const int32_t *steps = map->steps + y * width;
    int32_t right = -1, left = width;
    memset(marks, 0, width);
    for (int32_t x = 0, back = width - 1; x < width; x++, back--) {
        const int32_t end = x + map->widths[steps[x]], begin = back - map->widths[steps[back]];
        right = end > right ? end : right;
        left = begin < left ? begin : left;
        marks[x] |= x <= right;
        marks[back] |= back >= left;
    }
    return !memchr(marks, 0, width);
}

int within(const uint8_t *area, Grid grid, int64_t most, uint8_t *marks)
{
    int32_t reach = 0;
    while (reach < grid.height && ((int64_t)reach + 1) * ((int64_t)reach + 1) <= most)
        reach++;
    Map map = {.beyond = reach + 1};
    const int is_ready = is_made(&map, area, grid);
    if (is_ready) {
        set_widths(&map, most, grid.width);
        for (int64_t y = 0; y < grid.height; y++)
            mark_row(&map, y, grid.width, marks + y * grid.width);
    }
    release(&map);
    return is_ready ? 0 : -1;
}

/* Return the greatest squared distance in a row where all are at most `high` and some above `low`. */
static int64_t greatest_in_row(const Map *map, int64_t y, int32_t width, int64_t low, int64_t high)
{
    while (low + 1 < high) {
        const int64_t middle = low + (high - low) / 2;
        set_widths(map, middle, width);
        if (mark_row(map, y, width, map->marks))
            high = middle;
        else
            low = middle;
    }
    return high;
}

int64_t deepest(const uint8_t *area, Grid grid)
{
    Map map = {.beyond = grid.height};
    int64_t found = is_made(&map, area, grid) ? 0 : -1;
    const int64_t longest = (int64_t)grid.height * grid.height + (int64_t)grid.width * grid.width;
    if (found == 0)
        set_widths(&map, found, grid.width);
    /* Rows far apart come first, so that most others need one look. */
    for (int64_t part = (int64_t)1 << 31; found >= 0 && part > 0; part /= 2)
        for (int64_t y = part - 1; y < grid.height; y += 2 * part)
            if (!mark_row(&map, y, grid.width, map.marks)) {
                found = greatest_in_row(&map, y, grid.width, found, longest);
                set_widths(&map, found, grid.width);
            }
    release(&map);
    return found;
}
