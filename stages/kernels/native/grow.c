/* A connected piece of superpixels, grown from one to an area. */
#include "kernels.h"

#include <stdlib.h>
#include <string.h>

enum { FREE, RIM, TAKEN, OUTSIDE, HOLE }; /* what a superpixel is; RIM only where it has a neighbour in the piece */

typedef struct {
    int32_t count;
    int32_t *shared; /* (count, count), sides of pixels between two superpixels */
    int64_t *rim;    /* (count,), sides between each and the piece */
    int32_t *pending;
    uint8_t *state;
    uint8_t *differs; /* of the pixels of a row */
} Map;

CLONED static void differ(const uint16_t *one, const uint16_t *other, int32_t count, uint8_t *restrict differs)
{
    for (int32_t i = 0; i < count; i++)
        differs[i] = one[i] != other[i];
}

/* Count the sides between pixels in a row and their neighbours, most of which are of one superpixel. Places are listed
 * without a branch for each pixel: where borders are is hard to foresee. */
static void add_sides(const uint16_t *here, const uint16_t *beside, int32_t count, const Map *map)
{
    uint8_t *differs = map->differs;
    differ(here, beside, count, differs);
    memset(differs + count, 0, 8);
    for (int64_t i = 0; i < count; i += 8) {
        if (!eight(differs + i))
            continue;
        int64_t places[9], found = 0;
        for (int64_t j = i; j < i + 8; j++) {
            places[found] = j;
            found += differs[j];
        }
        for (int64_t j = 0; j < found; j++) {
            const int64_t one = here[places[j]], other = beside[places[j]];
            map->shared[one * map->count + other]++;
            map->shared[other * map->count + one]++;
        }
    }
}

static void count_sides(const uint16_t *labels, Grid grid, const Map *map)
{
    for (int32_t y = 0; y < grid.height; y++) {
        const uint16_t *row = labels + (int64_t)y * grid.width;
        add_sides(row, row + 1, grid.width - 1, map);
        if (y + 1 < grid.height)
            add_sides(row, row + grid.width, grid.width, map);
    }
}

static void take(const Map *map, int32_t joined)
{
    map->state[joined] = TAKEN;
    for (int32_t other = 0; other < map->count; other++) {
        const int32_t shared = map->shared[(int64_t)joined * map->count + other];
        if (shared > 0 && map->state[other] != TAKEN) {
            map->rim[other] += shared;
            map->state[other] = RIM;
        }
    }
}

/* The superpixel of the rim that a draw from [0, 1) means, or -1 if none of them has at most `room` pixels. */
static int32_t drawn(const Map *map, const int64_t *sizes, double room, double draw)
{
    int64_t total = 0, end = 0;
    for (int32_t one = 0; one < map->count; one++)
        if (map->state[one] == RIM && (double)sizes[one] <= room)
            total += map->rim[one] * map->rim[one];
    const double place = draw * (double)total;
    int32_t last = -1;
    for (int32_t one = 0; one < map->count; one++)
        if (map->state[one] == RIM && (double)sizes[one] <= room) {
            last = one;
            end += map->rim[one] * map->rim[one];
            if (place < (double)end)
                break;
        }
    return last;
}

/* Mark what is connected with those that are marked already and wait in `pending`, up to the piece; return its pixels. */
static int64_t spread_mark(const Map *map, const int64_t *sizes, int32_t waiting, uint8_t mark)
{
    int64_t pixels = 0;
    while (waiting > 0) {
        const int32_t one = map->pending[--waiting];
        pixels += sizes[one];
        for (int32_t other = 0; other < map->count; other++)
            if (map->shared[(int64_t)one * map->count + other] > 0 && map->state[other] <= RIM) {
                map->state[other] = mark;
                map->pending[waiting++] = other;
            }
    }
    return pixels;
}

static int32_t mark_frame(const uint16_t *labels, Grid grid, const Map *map)
{
    int32_t waiting = 0;
    for (int32_t y = 0; y < grid.height; y++) {
        const int32_t step = y == 0 || y + 1 == grid.height || grid.width == 1 ? 1 : grid.width - 1;
        for (int32_t x = 0; x < grid.width; x += step) {
            const uint16_t one = labels[(int64_t)y * grid.width + x];
            if (map->state[one] <= RIM) {
                map->state[one] = OUTSIDE;
                map->pending[waiting++] = one;
            }
        }
    }
    return waiting;
}

static void fill_holes(const uint16_t *labels, Grid grid, const Map *map, const Growth *growth, int64_t grown)
{
    spread_mark(map, growth->sizes, mark_frame(labels, grid, map), OUTSIDE);
    for (int32_t one = 0; one < map->count; one++) {
        if (map->state[one] > RIM)
            continue;
        map->state[one] = HOLE;
        map->pending[0] = one;
        const int64_t pixels = spread_mark(map, growth->sizes, 1, HOLE);
        const uint8_t becomes = (double)(grown + pixels) <= growth->most ? TAKEN : OUTSIDE;
        for (int32_t other = one; other < map->count; other++)
            if (map->state[other] == HOLE)
                map->state[other] = becomes;
        grown += becomes == TAKEN ? pixels : 0;
    }
}

static void grow_on(const uint16_t *labels, Grid grid, const Map *map, const Growth *growth)
{
    count_sides(labels, grid, map);
    int64_t grown = 0;
    int32_t joined = growth->start;
    for (int32_t taken = 1;; taken++) {
        grown += growth->sizes[joined];
        take(map, joined);
        if (!((double)grown < growth->target) || taken + 1 >= map->count)
            break;
        joined = drawn(map, growth->sizes, growth->most - (double)grown, growth->draws[taken - 1]);
        if (joined < 0)
            break;
    }
    fill_holes(labels, grid, map, growth, grown);
}

int grow(const uint16_t *labels, Grid grid, const Growth *growth, uint8_t *selected)
{
    const int32_t count = growth->count;
    Map map = {count, calloc((size_t)count * count, sizeof(int32_t)), calloc(count, sizeof(int64_t)),
               calloc(count, sizeof(int32_t)), calloc(count, 1), malloc((size_t)grid.width + 8)};
    const int status = map.shared && map.rim && map.pending && map.state && map.differs ? 0 : -1;
    if (status == 0) {
        grow_on(labels, grid, &map, growth);
        for (int32_t one = 0; one < count; one++)
            selected[one] = map.state[one] == TAKEN;
    }
    free(map.shared);
    free(map.rim);
    free(map.pending);
    free(map.state);
    free(map.differs);
    return status;
}
