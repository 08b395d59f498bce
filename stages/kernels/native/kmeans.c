/* SLIC's rounds: each pixel takes the nearest centre whose window holds it, then centres move to their means.
 *
 * The image is searched in tiles. A tile's candidates are taken in the order of the least distance that any of its
 * pixels can have to them, in space and by the box around the tile's colours; the search ends where that is above the
 * greatest distance found so far, and leaves out rows of the tile in the same way. The order does not show in the
 * result, as of equally near centres the first is taken.
 */
#include "kernels.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    double bound, colours; /* least distance to any pixel of the tile, and its share by colour */
    int32_t label;
} Candidate;

typedef struct {
    int32_t y, x, height;
} Tile;

typedef struct {
    int32_t y_from, y_to, x_from, x_to;
} Window;

typedef struct {
    int32_t down, across;
    double *low, *high; /* (tiles, channels): the box around the colours of a tile */
    int32_t *start;     /* (tiles + 1): where a tile's candidates begin in `labels` */
    int32_t *labels;
    int64_t capacity;
    Window *windows;       /* of each centre */
    Candidate *candidates; /* of one tile */
    int32_t *owners;       /* (height, width): index of the nearest centre, -1 for none so far */
    int64_t *counts;       /* what centres move to: numbers of pixels and sums */
    double *y, *x, *colours;
    int one_colour; /* whether all centres have the same */
} Work;

/* More than what rounding can change in a distance, relative to it. */
#define ROUNDING 1e-14

/* What the search of a tile writes: distance and number of the nearest centre, and for each row a distance from which
 * on no centre is taken. That is the greatest of the row. In the first round, when all centres have one colour, the
 * greatest distance in space serves better, with `slack` for the colours' share; else `slack` is infinite. */
typedef struct {
    double best[TILE * TILE], labels[TILE * TILE], greatest[TILE], slack;
} Found;

#define LANES 2 /* what SSE2 and NEON hold */
#define TARGET
#define NAME(x) x##_baseline
#include "kmeans_tiles.h"
#undef LANES
#undef TARGET
#undef NAME

#ifdef HAVE_X86_CLONES
#define LANES 4
#define TARGET __attribute__((target("avx2")))
#define NAME(x) x##_avx2
#include "kmeans_tiles.h"
#undef LANES
#undef TARGET
#undef NAME

#define LANES 8
#define TARGET __attribute__((target("avx512f,avx512dq,avx512vl")))
#define NAME(x) x##_avx512
#include "kmeans_tiles.h"
#undef LANES
#undef TARGET
#undef NAME
#endif

typedef void (*Searcher)(const Picture *, int, const Centres *, double, const Tile *, const Work *, int, Found *);

static Searcher best_searcher(void)
{
#ifdef HAVE_X86_CLONES
    if (__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return search_avx512;
    if (__builtin_cpu_supports("avx2"))
        return search_avx2;
#endif
    return search_baseline;
}

/* Find the box around some values, those that count. */
static void widen(const double *values, const uint8_t *mask, int32_t n, double *low, double *high)
{
    for (int32_t i = 0; i < n; i++) {
        if (mask != NULL && !mask[i])
            continue;
        *low = values[i] < *low ? values[i] : *low;
        *high = values[i] > *high ? values[i] : *high;
    }
}

/* The same for a whole row of a tile, in four lanes that do not wait for each other. */
static void widen_row(const double *values, double *low, double *high)
{
    double least[4], most[4];
    for (int i = 0; i < 4; i++)
        least[i] = most[i] = values[i];
    for (int x = 4; x < TILE; x += 4)
        for (int i = 0; i < 4; i++) {
            least[i] = values[x + i] < least[i] ? values[x + i] : least[i];
            most[i] = values[x + i] > most[i] ? values[x + i] : most[i];
        }
    for (int i = 0; i < 4; i++) {
        *low = least[i] < *low ? least[i] : *low;
        *high = most[i] > *high ? most[i] : *high;
    }
}

/* Find the box around the colours of each tile's pixels. */
static void measure_tiles(const Picture *picture, Work *work)
{
    const int32_t channels = picture->channels, tiles = work->down * work->across;
    for (int64_t i = 0; i < (int64_t)tiles * channels; i++) {
        work->low[i] = DBL_MAX;
        work->high[i] = -DBL_MAX;
    }
    for (int32_t c = 0; c < channels; c++) {
        for (int32_t y = 0; y < picture->height; y++) {
            const double *row = picture->planes + ((int64_t)c * picture->height + y) * picture->stride;
            const uint8_t *mask = picture->mask ? picture->mask + (int64_t)y * picture->width : NULL;
            for (int32_t tx = 0; tx < work->across; tx++) {
                const int64_t i = ((int64_t)(y / TILE) * work->across + tx) * channels + c;
                const int32_t x = tx * TILE, left = picture->width - x;
                if (mask == NULL && left >= TILE)
                    widen_row(row + x, &work->low[i], &work->high[i]);
                else
                    widen(row + x, mask ? mask + x : NULL, left < TILE ? left : TILE, &work->low[i], &work->high[i]);
            }
        }
    }
}

/* Return the whole numbers that a window covers along one axis; a lost centre (NaN), or one far off, covers none. */
static void reach(double centre, int32_t steps, int32_t length, int32_t *from, int32_t *to)
{
    const double low = centre - steps, high = centre + steps + 1;
    if (!(low < length && high > 0)) {
        *from = *to = 0;
        return;
    }
    *from = low > 0 ? (int32_t)low : 0;
    *to = high < length ? (int32_t)high : length;
}

/* List the centres whose windows meet each tile, those of one tile in ascending order. Returns -1 without memory. */
static int list_candidates(const Picture *picture, const Centres *centres, const Search *search, Work *work)
{
    const int32_t tiles = work->down * work->across;
    memset(work->start, 0, sizeof *work->start * (tiles + 1));
    for (int fill = 0; fill < 2; fill++) {
        for (int32_t k = 0; k < centres->count; k++) {
            Window *w = &work->windows[k];
            if (!fill) {
                reach(centres->y[k], search->reach_y, picture->height, &w->y_from, &w->y_to);
                reach(centres->x[k], search->reach_x, picture->width, &w->x_from, &w->x_to);
            }
            if (w->y_from >= w->y_to || w->x_from >= w->x_to)
                continue;
            for (int32_t ty = w->y_from / TILE; ty <= (w->y_to - 1) / TILE; ty++)
                for (int32_t tx = w->x_from / TILE; tx <= (w->x_to - 1) / TILE; tx++) {
                    int32_t *next = &work->start[ty * work->across + tx];
                    if (fill)
                        work->labels[*next] = k;
                    ++*next;
                }
        }
        if (fill)
            break;
        int64_t total = 0;
        for (int32_t tile = 0; tile <= tiles; tile++) {
            const int32_t n = work->start[tile];
            work->start[tile] = (int32_t)total;
            total += n;
        }
        if (total > INT32_MAX)
            return -1;
        if (total > work->capacity) {
            free(work->labels);
            work->labels = malloc(sizeof *work->labels * total);
            work->capacity = work->labels ? total : 0;
            if (!work->labels)
                return -1;
        }
    }
    /* Filling has moved each start to its end, which is the next one's start. */
    memmove(work->start + 1, work->start, sizeof *work->start * tiles);
    work->start[0] = 0;
    return 0;
}

static double beyond(double value, double low, double high)
{
    return value < low ? low - value : value > high ? high - value : 0;
}

/* Return the least squared distance of a centre to the lines `from` to `to` - 1. */
static double nearest_line(double centre, int32_t from, int32_t to)
{
    const double distance = beyond(centre, from, to - 1);
    return distance * distance;
}

/* Compute the bounds of the candidates of a tile; returns how many there are. */
static int bound_candidates(const Picture *picture, const Centres *centres, const Search *search, const Work *work,
                            const Tile *tile, int32_t number)
{
    const int32_t channels = search->by_colour ? picture->channels : 0;
    const double *low = work->low + (int64_t)number * picture->channels;
    const double *high = work->high + (int64_t)number * picture->channels;
    const int32_t y_end = tile->y + tile->height, x_end = tile->x + TILE, first = work->start[number];
    const int32_t n = work->start[number + 1] - first;
    for (int32_t i = 0; i < n; i++) {
        const int32_t k = work->labels[first + i];
        const Window *w = &work->windows[k];
        double colours = 0;
        for (int32_t c = 0; c < channels; c++) {
            const double step = beyond(centres->colours[(int64_t)k * picture->channels + c], low[c], high[c]);
            colours += step * step;
        }
        const double dy2 = nearest_line(centres->y[k], w->y_from > tile->y ? w->y_from : tile->y,
                                        w->y_to < y_end ? w->y_to : y_end);
        const double dx2 = nearest_line(centres->x[k], w->x_from > tile->x ? w->x_from : tile->x,
                                        w->x_to < x_end ? w->x_to : x_end);
        work->candidates[i] = (Candidate){(dy2 + dx2) * search->weight + colours, colours, k};
    }
    return n;
}

/* Begin with no centre. No distance is below -1, so that pixels that do not count take none and hold back no search. */
static void begin(const Picture *picture, const Tile *tile, int32_t width, Found *found)
{
    for (int32_t i = 0; i < TILE * TILE; i++) {
        found->best[i] = DBL_MAX;
        found->labels[i] = -1;
    }
    for (int32_t y = 0; y < tile->height; y++) {
        double *best = found->best + y * TILE;
        found->greatest[y] = DBL_MAX;
        for (int32_t x = width; x < TILE; x++)
            best[x] = -1;
        if (picture->mask == NULL)
            continue;
        const uint8_t *mask = picture->mask + (int64_t)(tile->y + y) * picture->width + tile->x;
        found->greatest[y] = -1;
        for (int32_t x = 0; x < width; x++) {
            best[x] = mask[x] ? DBL_MAX : -1;
            found->greatest[y] = mask[x] ? DBL_MAX : found->greatest[y];
        }
    }
}

/* Note the centres that were found; what no window holds keeps the one it had. Returns whether any has changed. */
static inline __attribute__((always_inline)) int note(const double *labels, int32_t width, int32_t *owners)
{
    int changed = 0;
    for (int32_t x = 0; x < width; x++) {
        const int32_t label = (int32_t)labels[x], owner = label < 0 ? owners[x] : label;
        changed |= owner ^ owners[x];
        owners[x] = owner;
    }
    return changed != 0;
}

/* Add the values of a run of pixels that have one owner, one after the other, as the order of sums shows in their last
 * bits: of three planes at once, or of one. Returns where the run ends. */
static inline __attribute__((always_inline)) int32_t add_run(const double *row, int64_t plane, int planes, int32_t from,
                                                             int32_t width, const int32_t *owners, double *sums)
{
    const double *second = row + plane, *third = second + plane;
    const int32_t owner = owners[from];
    double a = sums[0], b = planes == 3 ? sums[1] : 0, c = planes == 3 ? sums[2] : 0;
    int32_t x = from;
    do {
        a += row[x];
        if (planes == 3) {
            b += second[x];
            c += third[x];
        }
        x++;
    } while (x < width && owners[x] == owner);
    sums[0] = a;
    if (planes == 3) {
        sums[1] = b;
        sums[2] = c;
    }
    return x;
}

/* Add the pixels of a line to the sums of their centres. */
static void add_line(const Picture *picture, int32_t y, const Work *work)
{
    const int32_t width = picture->width, channels = picture->channels;
    const int64_t plane = (int64_t)picture->height * picture->stride;
    const double *row = picture->planes + (int64_t)y * picture->stride;
    const int32_t *owners = work->owners + (int64_t)y * width;
    for (int32_t from = 0, to = 0; from < width; from = to) {
        const int32_t k = owners[from];
        if (k < 0) {
            to = from + 1;
            continue;
        }
        double *sums = work->colours + (int64_t)k * channels;
        if (channels == 3)
            to = add_run(row, plane, 3, from, width, owners, sums);
        else
            for (int32_t c = 0; c < channels; c++)
                to = add_run(row + c * plane, plane, 1, from, width, owners, sums + c);
        const int64_t length = to - from;
        work->counts[k] += length;
        work->y[k] += (double)(length * y);
        work->x[k] += (double)(length * (from + to - 1) / 2);
    }
}

/* Return how much distances in a tile can change by rounding, if all centres have the colour of the first. */
static double slack_of(const Picture *picture, const Centres *centres, const Work *work, int32_t number)
{
    double most = 0;
    for (int32_t c = 0; c < picture->channels; c++) {
        const int64_t i = (int64_t)number * picture->channels + c;
        const double low = centres->colours[c] - work->low[i], high = work->high[i] - centres->colours[c];
        most += low > high ? low * low : high * high;
    }
    return most * ROUNDING;
}

/* Give the pixels of a tile their nearest centres; returns whether any has got another than before. */
static int assign(const Picture *picture, const Centres *centres, const Search *search, const Work *work,
                  Searcher searcher, int32_t number)
{
    Found found;
    Tile tile = {number / work->across * TILE, number % work->across * TILE, TILE};
    const int32_t left = picture->height - tile.y, right = picture->width - tile.x;
    tile.height = left < TILE ? left : TILE;
    const int32_t width = right < TILE ? right : TILE;
    begin(picture, &tile, width, &found);
    found.slack = work->one_colour ? slack_of(picture, centres, work, number) : INFINITY;
    const int n = bound_candidates(picture, centres, search, work, &tile, number);
    searcher(picture, search->by_colour ? picture->channels : 0, centres, search->weight, &tile, work, n, &found);
    int changed = 0;
    for (int32_t y = 0; y < tile.height; y++) {
        int32_t *owners = work->owners + (int64_t)(tile.y + y) * picture->width + tile.x;
        changed |= width == TILE ? note(found.labels + y * TILE, TILE, owners)
                                 : note(found.labels + y * TILE, width, owners);
    }
    return changed;
}

/* Assign and sum up all pixels, band by band, so that the second finds the band in the processor's cache. */
static int assign_and_add(const Picture *picture, const Centres *centres, const Search *search, const Work *work,
                          Searcher searcher)
{
    int changed = 0;
    memset(work->counts, 0, sizeof *work->counts * centres->count);
    memset(work->y, 0, sizeof *work->y * centres->count);
    memset(work->x, 0, sizeof *work->x * centres->count);
    memset(work->colours, 0, sizeof *work->colours * centres->count * picture->channels);
    for (int32_t band = 0; band < work->down; band++) {
        for (int32_t tx = 0; tx < work->across; tx++)
            changed |= assign(picture, centres, search, work, searcher, band * work->across + tx);
        for (int32_t y = band * TILE; y < picture->height && y < (band + 1) * TILE; y++)
            add_line(picture, y, work);
    }
    return changed;
}

/* Move each centre to the mean of its pixels; one without pixels is lost (NaN). */
static void move(const Picture *picture, Centres *centres, const Work *work)
{
    const int32_t channels = picture->channels;
    for (int32_t k = 0; k < centres->count; k++) {
        const double n = (double)work->counts[k];
        centres->y[k] = work->y[k] / n;
        centres->x[k] = work->x[k] / n;
        for (int64_t i = (int64_t)k * channels; i < (int64_t)(k + 1) * channels; i++)
            centres->colours[i] = work->colours[i] / n;
    }
}

static int have_one_colour(const Centres *centres, int32_t channels)
{
    for (int64_t i = channels; i < (int64_t)centres->count * channels; i++)
        if (centres->colours[i] != centres->colours[i - channels])
            return 0;
    return 1;
}

static void release(Work *work)
{
    free(work->low);
    free(work->high);
    free(work->start);
    free(work->labels);
    free(work->windows);
    free(work->candidates);
    free(work->owners);
    free(work->counts);
    free(work->y);
    free(work->x);
    free(work->colours);
}

static int reserve(const Picture *picture, const Centres *centres, Work *work)
{
    const int64_t pixels = (int64_t)picture->height * picture->width;
    work->down = (picture->height + TILE - 1) / TILE;
    work->across = (picture->width + TILE - 1) / TILE;
    const int64_t tiles = (int64_t)work->down * work->across;
    /* One more of each, as the size 0 may give NULL. */
    work->low = malloc(sizeof *work->low * (tiles * picture->channels + 1));
    work->high = malloc(sizeof *work->high * (tiles * picture->channels + 1));
    work->start = malloc(sizeof *work->start * (tiles + 1));
    work->windows = malloc(sizeof *work->windows * (centres->count + 1));
    work->candidates = malloc(sizeof *work->candidates * (centres->count + 1));
    work->owners = malloc(sizeof *work->owners * (pixels + 1));
    work->counts = malloc(sizeof *work->counts * (centres->count + 1));
    work->y = malloc(sizeof *work->y * (centres->count + 1));
    work->x = malloc(sizeof *work->x * (centres->count + 1));
    work->colours = malloc(sizeof *work->colours * ((int64_t)centres->count * picture->channels + 1));
    if (!(work->low && work->high && work->start && work->windows && work->candidates && work->owners &&
          work->counts && work->y && work->x && work->colours))
        return -1;
    for (int64_t i = 0; i < pixels; i++)
        work->owners[i] = -1;
    return 0;
}

int kmeans(const Picture *picture, Centres *centres, const Search *search, int32_t *labels)
{
    Work work = {0};
    int status = reserve(picture, centres, &work);
    if (status == 0)
        measure_tiles(picture, &work);
    const Searcher searcher = best_searcher();
    for (int32_t round = 0; status == 0 && round < search->rounds; round++) {
        work.one_colour = search->by_colour && have_one_colour(centres, picture->channels);
        status = list_candidates(picture, centres, search, &work);
        /* Equal labels give equal centres, and these equal labels: from here on nothing changes. */
        if (status != 0 || !assign_and_add(picture, centres, search, &work, searcher))
            break;
        move(picture, centres, &work);
    }
    for (int64_t i = 0; status == 0 && i < (int64_t)picture->height * picture->width; i++)
        labels[i] = work.owners[i] + 1;
    release(&work);
    return status;
}
