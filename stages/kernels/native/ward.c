/* Ward's criterion over neighbouring regions, in whole numbers: the cheapest pair is joined, again and again. */
#include "kernels.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    int64_t cost;
    int32_t first, second; /* first < second */
    int32_t stamps[2];     /* how often each had been joined when the cost was computed */
} Pair;

typedef struct {
    Pair *pairs;
    int64_t n, capacity;
} Heap;

typedef struct {
    int32_t *at;
    int32_t n, capacity;
} List;

typedef struct {
    int32_t n, channels;
    int64_t *sizes, *sums;
    int32_t *parents, *stamps, *seen;
    List *neighbours; /* of each region; may name regions that have been joined since */
    Heap heap;
} Regions;

static int before(const Pair *a, const Pair *b)
{
    if (a->cost != b->cost)
        return a->cost < b->cost;
    return a->first != b->first ? a->first < b->first : a->second < b->second;
}

static int push(Heap *heap, Pair pair)
{
    if (heap->n == heap->capacity) {
        const int64_t capacity = heap->capacity ? 2 * heap->capacity : 1024;
        Pair *pairs = realloc(heap->pairs, sizeof *pairs * capacity);
        if (!pairs)
            return -1;
        heap->pairs = pairs;
        heap->capacity = capacity;
    }
    int64_t place = heap->n++;
    for (; place > 0 && before(&pair, &heap->pairs[(place - 1) / 2]); place = (place - 1) / 2)
        heap->pairs[place] = heap->pairs[(place - 1) / 2];
    heap->pairs[place] = pair;
    return 0;
}

static Pair pop(Heap *heap)
{
    const Pair top = heap->pairs[0], last = heap->pairs[--heap->n];
    int64_t place = 0;
    for (int64_t child = 1; child < heap->n; child = 2 * place + 1) {
        if (child + 1 < heap->n && before(&heap->pairs[child + 1], &heap->pairs[child]))
            child++;
        if (!before(&heap->pairs[child], &last))
            break;
        heap->pairs[place] = heap->pairs[child];
        place = child;
    }
    if (heap->n > 0)
        heap->pairs[place] = last;
    return top;
}

static int append(List *list, int32_t value)
{
    if (list->n == list->capacity) {
        const int32_t capacity = list->capacity ? 2 * list->capacity : 8;
        int32_t *at = realloc(list->at, sizeof *at * capacity);
        if (!at)
            return -1;
        list->at = at;
        list->capacity = capacity;
    }
    list->at[list->n++] = value;
    return 0;
}

/* What joining two regions adds to the squared deviations from their means, in fixed point (see ward.py). */
static int64_t cost(const Regions *regions, int32_t a, int32_t b)
{
    const int64_t n_a = regions->sizes[a], n_b = regions->sizes[b];
    const int64_t *sums_a = regions->sums + (int64_t)a * regions->channels;
    const int64_t *sums_b = regions->sums + (int64_t)b * regions->channels;
    int64_t squares = 0;
    for (int32_t c = 0; c < regions->channels; c++) {
        const int64_t step = sums_a[c] * WARD_SCALE / n_a - sums_b[c] * WARD_SCALE / n_b;
        squares += step * step;
    }
    return squares * (n_a * n_b * WARD_SCALE / (n_a + n_b));
}

static int offer(Regions *regions, int32_t a, int32_t b)
{
    const int32_t first = a < b ? a : b, second = a < b ? b : a;
    const Pair pair = {cost(regions, a, b), first, second, {regions->stamps[first], regions->stamps[second]}};
    return push(&regions->heap, pair);
}

static int32_t root(Regions *regions, int32_t region)
{
    while (regions->parents[region] != region)
        region = regions->parents[region] = regions->parents[regions->parents[region]];
    return region;
}

/* Join `second` into `first` and offer the pairs of the new region. */
static int join(Regions *regions, int32_t first, int32_t second, int32_t step)
{
    List *kept = &regions->neighbours[first], *other = &regions->neighbours[second];
    regions->parents[second] = first;
    regions->stamps[first]++;
    regions->sizes[first] += regions->sizes[second];
    for (int32_t c = 0; c < regions->channels; c++)
        regions->sums[(int64_t)first * regions->channels + c] += regions->sums[(int64_t)second * regions->channels + c];
    for (int32_t i = 0; i < other->n; i++)
        if (append(kept, other->at[i]) != 0)
            return -1;
    free(other->at);
    *other = (List){0};
    int32_t n = 0;
    for (int32_t i = 0; i < kept->n; i++) {
        const int32_t neighbour = root(regions, kept->at[i]);
        if (neighbour == first || regions->seen[neighbour] == step)
            continue;
        regions->seen[neighbour] = step;
        kept->at[n++] = neighbour;
        if (offer(regions, first, neighbour) != 0)
            return -1;
    }
    kept->n = n;
    return 0;
}

/* Returns the number of joins, or -1 if memory ran out. */
static int32_t join_all(Regions *regions, int32_t *joins)
{
    int32_t done = 0;
    while (regions->heap.n > 0) {
        const Pair pair = pop(&regions->heap);
        const int32_t a = pair.first, b = pair.second;
        if (regions->parents[a] != a || regions->parents[b] != b || pair.stamps[0] != regions->stamps[a] ||
            pair.stamps[1] != regions->stamps[b])
            continue; /* offered before one of them changed */
        joins[2 * (int64_t)done] = a;
        joins[2 * (int64_t)done + 1] = b;
        done++;
        if (join(regions, a, b, done) != 0)
            return -1;
    }
    return done;
}

int32_t ward(int64_t *sizes, int64_t *sums, int32_t n, int32_t channels, const int32_t *edges, int64_t n_edges,
             int32_t *joins)
{
    Regions regions = {.n = n, .channels = channels, .sizes = sizes, .sums = sums};
    regions.parents = malloc(sizeof(int32_t) * (n + 1));
    regions.stamps = calloc((size_t)n + 1, sizeof(int32_t));
    regions.seen = calloc((size_t)n + 1, sizeof(int32_t));
    regions.neighbours = calloc((size_t)n + 1, sizeof(List));
    int32_t done = regions.parents && regions.stamps && regions.seen && regions.neighbours ? 0 : -1;
    for (int32_t i = 0; done == 0 && i < n; i++)
        regions.parents[i] = i;
    for (int64_t i = 0; done == 0 && i < n_edges; i++) {
        const int32_t a = edges[2 * i], b = edges[2 * i + 1];
        if (append(&regions.neighbours[a], b) || append(&regions.neighbours[b], a) || offer(&regions, a, b))
            done = -1;
    }
    if (done == 0)
        done = join_all(&regions, joins);
    for (int32_t i = 0; regions.neighbours && i < n; i++)
        free(regions.neighbours[i].at);
    free(regions.neighbours);
    free(regions.parents);
    free(regions.stamps);
    free(regions.seen);
    free(regions.heap.pairs);
    return done;
}
