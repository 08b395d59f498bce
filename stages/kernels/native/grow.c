/* A connected piece of superpixels, grown from one to an area. */
#include "kernels.h"

#include <stdlib.h>
#include <string.h>

enum { FREE, RIM, TAKEN, OUTSIDE, HOLE }; /* what a superpixel is; RIM only where it has a neighbour in the piece */

typedef struct {
    int32_t count;
    int32_t *shared; /* (count, count), sides of pixels between two superpixels */
    int64_t *sizes;  /* (count,), pixels of each */
    int64_t *rim;    /* (count,), sides between each and the piece */
    int32_t *pending;
    int32_t *ends; /* (2, width), where the pixels of one superpixel end in a row and in the one above */
    uint8_t *state;
} Map;

static void add_sides(const Map *map, int32_t one, int32_t other, int32_t sides)
{
    map->shared[(int64_t)one * map->count + other] += sides; /* those of one with itself are not looked at */
    map->shared[(int64_t)other * map->count + one] += sides;
}

/* List where the pixels of one superpixel end in a row, without a branch: borders are hard to foresee. */
static int32_t list_ends(const uint16_t *row, int32_t width, int32_t *ends)
{
    int32_t n = 0;
    for (int32_t x = 1; x < width; x++) {
        ends[n] = x;
        n += row[x] != row[x - 1];
    }
    ends[n++] = width;
    return n;
}

static void measure(const uint16_t *labels, Grid grid, const Map *map)
{
    int32_t *ends = map->ends, *above = ends + grid.width;
    for (int32_t y = 0; y < grid.height; y++) {
        const uint16_t *row = labels + (int64_t)y * grid.width, *row_above = row - grid.width;
        const int32_t n = list_ends(row, grid.width, ends);
        for (int32_t i = 0; i < n; i++) {
            map->sizes[row[ends[i] - 1]] += ends[i] - (i ? ends[i - 1] : 0);
            if (i)
                add_sides(map, row[ends[i - 1] - 1], row[ends[i - 1]], 1);
        }
        for (int32_t x = 0, end, i = 0, j = 0; y && x < grid.width; x = end) {
            end = ends[i] < above[j] ? ends[i] : above[j];
            add_sides(map, row[x], row_above[x], end - x);
            i += ends[i] == end;
            j += above[j] == end;
        }
        int32_t *const next = above;
        above = ends;
        ends = next;
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
static int32_t drawn(const Map *map, double room, double draw)
{
    int64_t total = 0, end = 0;
    for (int32_t one = 0; one < map->count; one++)
        if (map->state[one] == RIM && (double)map->sizes[one] <= room)
            total += map->rim[one] * map->rim[one];
    const double place = draw * (double)total;
    int32_t last = -1;
    for (int32_t one = 0; one < map->count; one++)
        if (map->state[one] == RIM && (double)map->sizes[one] <= room) {
            last = one;
            end += map->rim[one] * map->rim[one];
            if (place < (double)end)
                break;
        }
    return last;
}

/* Mark what is connected with those that are marked already and wait in `pending`, up to the piece; return its pixels. */
static int64_t spread_mark(const Map *map, int32_t waiting, uint8_t mark)
{
    int64_t pixels = 0;
    while (waiting > 0) {
        const int32_t one = map->pending[--waiting];
        pixels += map->sizes[one];
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

static void fill_holes(const uint16_t *labels, Grid grid, const Map *map, double most, int64_t grown)
{
    spread_mark(map, mark_frame(labels, grid, map), OUTSIDE);
    for (int32_t one = 0; one < map->count; one++) {
        if (map->state[one] > RIM)
            continue;
        map->state[one] = HOLE;
        map->pending[0] = one;
        const int64_t pixels = spread_mark(map, 1, HOLE);
        const uint8_t becomes = (double)(grown + pixels) <= most ? TAKEN : OUTSIDE;
        for (int32_t other = one; other < map->count; other++)
            if (map->state[other] == HOLE)
                map->state[other] = becomes;
        grown += becomes == TAKEN ? pixels : 0;
    }
}

/* The superpixel that a draw from [0, 1) means among those of at most so many pixels, or among all if there are none. */
static int32_t first_one(const Map *map, double most, double draw)
{
    int32_t n = 0;
    for (int32_t one = 0; one < map->count; one++)
        if ((double)map->sizes[one] <= most)
            map->pending[n++] = one;
    const int32_t among = n ? n : map->count;
    const double place = draw * among;
    const int32_t chosen = place >= 0 && place < among ? (int32_t)place : among - 1;
    return n ? map->pending[chosen] : chosen;
}

static void grow_on(const uint16_t *labels, Grid grid, const Map *map, const Growth *growth)
{
    measure(labels, grid, map);
    const double pixels = (double)grid.height * grid.width, most = growth->greatest * pixels;
    const double target = (growth->least + (growth->greatest - growth->least) * growth->draws[0]) * pixels;
    int64_t grown = 0;
    int32_t joined = first_one(map, most, growth->draws[1]);
    for (int32_t taken = 1;; taken++) {
        grown += map->sizes[joined];
        take(map, joined);
        if (!((double)grown < target) || taken + 1 >= map->count)
            break;
        joined = drawn(map, most - (double)grown, growth->draws[taken + 1]);
        if (joined < 0)
            break;
    }
    fill_holes(labels, grid, map, most, grown);
}

int grow(const uint16_t *labels, Grid grid, const Growth *growth, uint8_t *selected)
{
    const int32_t count = growth->count;
    const Map map = {.count = count,
                     .shared = calloc((size_t)count * count, sizeof(int32_t)),
                     .sizes = calloc(count, sizeof(int64_t)),
                     .rim = calloc(count, sizeof(int64_t)),
                     .pending = malloc(sizeof(int32_t) * count),
                     .ends = malloc(2 * sizeof(int32_t) * grid.width),
                     .state = calloc(count, 1)};
    const int status = map.shared && map.sizes && map.rim && map.pending && map.ends && map.state ? 0 : -1;
    if (status == 0) {
        grow_on(labels, grid, &map, growth);
        for (int32_t one = 0; one < count; one++)
            selected[one] = map.state[one] == TAKEN;
    }
    free(map.shared);
    free(map.sizes);
    free(map.rim);
    free(map.pending);
    free(map.ends);
    free(map.state);
    return status;
}
