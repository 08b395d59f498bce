/* The centres that maskSLIC starts from: k-means of coordinates alone. */
#include "kernels.h"

#include <math.h>
#include <stdlib.h>

typedef struct {
    double y, x;
    int32_t index;
} Placed;

static int by_line(const void *first, const void *second)
{
    const Placed *a = first, *b = second;
    if (a->y != b->y)
        return a->y < b->y ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

/* Return the nearest of centres that are sorted by y, the one with the least index of equally near ones. */
static int32_t nearest(const Placed *placed, int32_t n, double y, double x, int32_t *guess)
{
    int32_t up = *guess, owner = -1;
    double best = INFINITY;
    while (up < n && placed[up].y < y)
        up++;
    while (up > 0 && placed[up - 1].y >= y)
        up--;
    *guess = up;
    int32_t down = up - 1;
    for (;;) {
        /* Of the next ones in both directions the nearer by y; rounding keeps its square below the distance. */
        const double above = up < n ? placed[up].y - y : INFINITY, below = down >= 0 ? y - placed[down].y : INFINITY;
        const double dy = above < below ? above : below;
        if (!(dy * dy <= best) || dy == INFINITY)
            return owner;
        const Placed *one = above < below ? &placed[up++] : &placed[down--];
        const double dx = one->x - x, distance = dy * dy + dx * dx;
        if (distance < best || (distance == best && one->index < owner)) {
            best = distance;
            owner = one->index;
        }
    }
}

int spread(const int32_t *points, int64_t n_points, double *centres, int32_t n_centres, int32_t rounds)
{
    Placed *placed = malloc(sizeof *placed * (n_centres + 1));
    double *sums = malloc(sizeof *sums * (3 * (int64_t)n_centres + 1));
    const int ready = placed && sums;
    for (int32_t round = 0; ready && round < rounds; round++) {
        for (int32_t k = 0; k < n_centres; k++) {
            placed[k] = (Placed){centres[2 * k], centres[2 * k + 1], k};
            sums[3 * k] = sums[3 * k + 1] = sums[3 * k + 2] = 0;
        }
        qsort(placed, n_centres, sizeof *placed, by_line);
        int32_t guess = 0;
        for (int64_t i = 0; i < n_points; i++) {
            const int32_t y = points[2 * i], x = points[2 * i + 1];
            const int32_t owner = nearest(placed, n_centres, y, x, &guess);
            if (owner < 0) /* no centre is at a finite distance */
                continue;
            double *sum = sums + 3 * (int64_t)owner;
            sum[0] += y;
            sum[1] += x;
            sum[2] += 1;
        }
        for (int32_t k = 0; k < n_centres; k++)
            if (sums[3 * k + 2] > 0) { /* one without points stays where it is */
                centres[2 * k] = sums[3 * k] / sums[3 * k + 2];
                centres[2 * k + 1] = sums[3 * k + 1] / sums[3 * k + 2];
            }
    }
    free(placed);
    free(sums);
    return ready ? 0 : -1;
}
