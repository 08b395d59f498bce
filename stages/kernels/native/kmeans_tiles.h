/* The nearest centre of each pixel, tile by tile; included by kmeans.c once for each instruction set.
 *
 * NAME(x) gives a name its suffix, TARGET a function its instruction set, and LANES is how many doubles that holds.
 */

typedef double NAME(Vector) __attribute__((vector_size(8 * LANES)));
typedef int64_t NAME(Choice) __attribute__((vector_size(8 * LANES)));
typedef double NAME(Memory) __attribute__((vector_size(8 * LANES), aligned(8), may_alias));

#define LOAD(p) (*(const NAME(Memory) *)(p))
#define STORE(p, v) (*(NAME(Memory) *)(p) = (v))
#define CHOOSE(which, yes, no)                                                                                         \
    ((NAME(Vector))(((which) & (NAME(Choice))(yes)) | (~(which) & (NAME(Choice))(no))))

/* Replace the best distances of a row of a tile where centre `label` is nearer, or as near and before the other.
 * Returns the greatest distance left. */
TARGET static inline __attribute__((always_inline)) double NAME(search_row)(
    const double *row, int64_t plane, int channels, double dy2, const double *dx2, double weight,
    const double *colour, double label, double *best, double *labels)
{
    NAME(Vector) greatest = (NAME(Vector)){0} - 1;
    for (int x = 0; x < TILE; x += LANES) {
        NAME(Vector) distance = (dy2 + LOAD(dx2 + x)) * weight;
        if (channels > 0) {
            NAME(Vector) step = LOAD(row + x) - colour[0];
            NAME(Vector) colours = step * step;
            for (int c = 1; c < channels; c++) {
                step = LOAD(row + c * plane + x) - colour[c];
                colours += step * step;
            }
            distance += colours;
        }
        const NAME(Vector) old = LOAD(best + x), owner = LOAD(labels + x);
        const NAME(Choice) take = (distance < old) | ((distance == old) & (label < owner));
        const NAME(Vector) nearest = CHOOSE(take, distance, old);
        STORE(best + x, nearest);
        STORE(labels + x, CHOOSE(take, (NAME(Vector)){0} + label, owner));
        greatest = CHOOSE(nearest > greatest, nearest, greatest);
    }
    double most = greatest[0];
    for (int i = 1; i < LANES; i++)
        most = greatest[i] > most ? greatest[i] : most;
    return most;
}

/* Search the rows of a tile for pixels to which one candidate is nearest; returns the greatest distance left. */
TARGET static inline __attribute__((always_inline)) double NAME(search_rows)(
    const Picture *picture, int channels, const Centres *centres, double weight, const Tile *tile,
    const Candidate *candidate, const Window *window, Found *found)
{
    const int64_t plane = (int64_t)picture->height * picture->stride;
    const int32_t k = candidate->label;
    const double *colour = centres->colours + (int64_t)k * picture->channels;
    double dx2[TILE], nearest = INFINITY, limit = -1;
    for (int x = 0; x < TILE; x++) {
        const int32_t column = tile->x + x;
        const double dx = centres->x[k] - column;
        dx2[x] = column >= window->x_from && column < window->x_to ? dx * dx : INFINITY;
        nearest = dx2[x] < nearest ? dx2[x] : nearest;
    }
    const double farthest = dx2[0] > dx2[TILE - 1] ? dx2[0] : dx2[TILE - 1];
    for (int y = 0; y < tile->height; y++) {
        const int32_t line = tile->y + y;
        double dy2 = centres->y[k] - line, *greatest = &found->greatest[y];
        dy2 *= dy2;
        const double bound = (dy2 + nearest) * weight + candidate->colours;
        if (line >= window->y_from && line < window->y_to && !(bound > *greatest)) {
            const double *row = picture->planes + (int64_t)line * picture->stride + tile->x;
            const double most = NAME(search_row)(row, plane, channels, dy2, dx2, weight, colour, k,
                                                 found->best + y * TILE, found->labels + y * TILE);
            const double by_place = (dy2 + farthest) * weight * (1 + ROUNDING) + candidate->colours + found->slack;
            *greatest = most < *greatest ? most : *greatest;
            *greatest = by_place < *greatest ? by_place : *greatest;
        }
        limit = *greatest > limit ? *greatest : limit;
    }
    return limit;
}

/* Find the nearest centre of each pixel of a tile among its candidates. */
TARGET static inline __attribute__((always_inline)) void NAME(search_tile)(
    const Picture *picture, int channels, const Centres *centres, double weight, const Tile *tile, const Work *work,
    int n, Found *found)
{
    Candidate *candidates = work->candidates;
    double limit = -1;
    for (int y = 0; y < tile->height; y++)
        limit = found->greatest[y] > limit ? found->greatest[y] : limit;
    for (; n > 0; n--) {
        int next = 0;
        for (int i = 1; i < n; i++)
            next = candidates[i].bound < candidates[next].bound ? i : next;
        if (candidates[next].bound > limit)
            break;
        limit = NAME(search_rows)(picture, channels, centres, weight, tile, &candidates[next],
                                  &work->windows[candidates[next].label], found);
        candidates[next] = candidates[n - 1];
    }
}

/* The same, with the number of channels known to the compiler where it is usual. */
TARGET static void NAME(search)(const Picture *picture, int channels, const Centres *centres, double weight,
                                const Tile *tile, const Work *work, int n, Found *found)
{
    switch (channels) {
    case 0:
        NAME(search_tile)(picture, 0, centres, weight, tile, work, n, found);
        break;
    case 1:
        NAME(search_tile)(picture, 1, centres, weight, tile, work, n, found);
        break;
    case 3:
        NAME(search_tile)(picture, 3, centres, weight, tile, work, n, found);
        break;
    default:
        NAME(search_tile)(picture, channels, centres, weight, tile, work, n, found);
    }
}

#undef LOAD
#undef STORE
#undef CHOOSE
