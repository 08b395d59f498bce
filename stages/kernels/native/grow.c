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
} Map;

static void count_sides(const uint16_t *labels, Grid grid, const Map *map)
{
    for (int32_t y = 0; y < grid.height; y++)
        for (int32_t x = 0; x < grid.width; x++) {
            const uint16_t *here = labels + (int64_t)y * grid.width + x;
            const int64_t row = (int64_t)here[0] * map->count;
            if (x + 1 < grid.width && here[0] != here[1]) {
                map->shared[row + here[1]]++;
                map->shared[(int64_t)here[1] * map->count + here[0]]++;
            }
            if (y + 1 < grid.height && here[0] != here[grid.width]) {
                map->shared[row + here[grid.width]]++;
                map->shared[(int64_t)here[grid.width] * map->count + here[0]]++;
            }
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
               calloc(count, sizeof(int32_t)), calloc(count, 1)};
    const int status = map.shared && map.rim && map.pending && map.state ? 0 : -1;
    if (status == 0) {
        grow_on(labels, grid, &map, growth);
        for (int32_t one = 0; one < count; one++)
            selected[one] = map.state[one] == TAKEN;
    }
    free(map.shared);
    free(map.rim);
    free(map.pending);
    free(map.state);
    return status;
}
