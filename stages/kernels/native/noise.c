/* Noise for masks: sums of random numbers, and where a field of it is greatest. */
#include "kernels.h"

#include <stdlib.h>

enum { WORDS = 4, ROUNDS = 10, BITS = 20, BUCKETS = 4096 };

static inline uint64_t upper_half(uint64_t a, uint64_t b)
{
#ifdef __SIZEOF_INT128__
    return (uint64_t)((unsigned __int128)a * b >> 64);
#else
    const uint64_t low = (uint32_t)a * (b & UINT32_MAX), middle = (a >> 32) * (b & UINT32_MAX) + (low >> 32);
    return (a >> 32) * (b >> 32) + (middle >> 32) + (((uint32_t)a * (b >> 32) + (middle & UINT32_MAX)) >> 32);
#endif
}

/* The words of Philox 4x64 with ten rounds: Salmon et al. (2011). */
static inline void philox(uint64_t key, uint64_t counter, uint64_t words[WORDS])
{
    uint64_t a = counter, b = 0, c = 0, d = 0, other_key = 0;
    for (int round = 0; round < ROUNDS; round++) {
        const uint64_t of_a = 0xD2E7470EE14C6C93u, of_c = 0xCA5A826395121157u;
        const uint64_t next_a = upper_half(of_c, c) ^ b ^ key, next_c = upper_half(of_a, a) ^ d ^ other_key;
        b = of_c * c;
        d = of_a * a;
        a = next_a;
        c = next_c;
        key += 0x9E3779B97F4A7C15u;
        other_key += 0xBB67AE8584CAA73Bu;
    }
    words[0] = a;
    words[1] = b;
    words[2] = c;
    words[3] = d;
}

void sum_noise(uint64_t key, int64_t terms, int64_t count, double *sums)
{
    for (int64_t i = 0; i < count; i++)
        sums[i] = 0;
    int64_t at = 0, left = terms * count;
    for (uint64_t counter = 1; left > 0; counter++) { /* as numpy counts */
        uint64_t words[WORDS];
        philox(key, counter, words);
        for (int i = 0; i < WORDS && left > 0; i++, left--) {
            sums[at] += (double)(words[i] >> (64 - BITS));
            at = at + 1 < count ? at + 1 : 0;
        }
    }
}

/* Lanes side by side, as compilers keep the order of comparisons. */
CLONED static void find_bounds(const double *values, int64_t count, double *least, double *most)
{
    enum { LANES = 8 };
    double low[LANES], high[LANES];
    for (int j = 0; j < LANES; j++)
        low[j] = high[j] = values[0];
    for (int64_t i = 0; i + LANES <= count; i += LANES)
        for (int j = 0; j < LANES; j++) {
            low[j] = values[i + j] < low[j] ? values[i + j] : low[j];
            high[j] = values[i + j] > high[j] ? values[i + j] : high[j];
        }
    for (int64_t i = count - count % LANES; i < count; i++) {
        low[0] = values[i] < low[0] ? values[i] : low[0];
        high[0] = values[i] > high[0] ? values[i] : high[0];
    }
    for (int j = 1; j < LANES; j++) {
        low[0] = low[j] < low[0] ? low[j] : low[0];
        high[0] = high[j] > high[0] ? high[j] : high[0];
    }
    *least = low[0];
    *most = high[0];
}

/* Rounding is monotone: a greater value has no smaller bucket. What is no number is in the first. */
CLONED static void find_buckets(const double *values, int64_t count, double least, double scale, uint16_t *buckets)
{
    for (int64_t i = 0; i < count; i++) {
        const double place = (values[i] - least) * scale;
        buckets[i] = (uint16_t)(int32_t)(place >= 0 && place < BUCKETS ? place : 0);
    }
}

enum { ABOVE = 1, WITHIN = 2 };

CLONED static void compare(const uint16_t *buckets, int64_t count, uint16_t bucket, uint8_t *taken)
{
    for (int64_t i = 0; i < count; i++)
        taken[i] = (uint8_t)((buckets[i] > bucket) * ABOVE | (buckets[i] == bucket) * WITHIN);
}

typedef struct {
    double value;
    int64_t place;
} Valued;

static int greater_first(const void *one, const void *other)
{
    const Valued *a = one, *b = other;
    if (a->value != b->value)
        return a->value < b->value ? 1 : -1;
    return a->place < b->place ? -1 : 1;
}

int greatest(const double *values, int64_t count, int64_t wanted, uint8_t *taken)
{
    int64_t totals[BUCKETS] = {0}, left = wanted, n = 0;
    double least, most;
    uint16_t *buckets = malloc(sizeof *buckets * count), bucket = BUCKETS - 1;
    if (!buckets)
        return -1;
    find_bounds(values, count, &least, &most);
    find_buckets(values, count, least, most > least ? (BUCKETS - 1) / (most - least) : 0, buckets);
    label_totals(buckets, NULL, count, totals);
    for (; totals[bucket] < left; bucket--)
        left -= totals[bucket];
    compare(buckets, count, bucket, taken);
    free(buckets);
    Valued *last = malloc(sizeof *last * (totals[bucket] + 1));
    if (!last)
        return -1;
    for (int64_t i = 0; i < count; i++) {
        while (i + 8 <= count && !(eight(taken + i) & WITHIN * EACH_BYTE))
            i += 8;
        if (i < count && taken[i] == WITHIN) {
            last[n++] = (Valued){values[i], i};
            taken[i] = 0;
        }
    }
    qsort(last, n, sizeof *last, greater_first);
    for (int64_t i = 0; i < left; i++)
        taken[last[i].place] = 1;
    free(last);
    return 0;
}
