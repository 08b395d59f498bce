/* Squared distances to an area: the two passes of Meijster, Roerdink and Hesselink (2000), in whole numbers. */
#include "kernels.h"

#include <stdlib.h>

/* Return the largest whole number that is not above a / b, b being positive.
 *
 * Doubles are divided faster than whole numbers. As a is below 2**53, the error of their quotient is less than 1 / b,
 * and no quotient below a whole number becomes that. Neighbours, b = 2, are most pairs.
 */
static int64_t quotient(int64_t a, int64_t b)
{
    if (b == 2)
        return a >> 1;
    const double exact = (double)a / (double)b;
    const int64_t whole = (int64_t)exact;
    return whole - ((double)whole > exact);
}

/* Write the distance of each pixel up or down to the area; height + width where a column has none of it. */
static void along_columns(const uint8_t *area, int32_t height, int32_t width, int64_t *down)
{
    const int64_t far = (int64_t)height + width;
    for (int32_t y = 0; y < height; y++)
        for (int32_t x = 0; x < width; x++) {
            const int64_t i = (int64_t)y * width + x, above = y ? down[i - width] : far;
            down[i] = area[i] ? 0 : above < far ? above + 1 : far;
        }
    for (int32_t y = height - 2; y >= 0; y--)
        for (int32_t x = 0; x < width; x++) {
            const int64_t i = (int64_t)y * width + x;
            if (down[i + width] + 1 < down[i])
                down[i] = down[i + width] + 1;
        }
}

int distance(const uint8_t *area, int32_t height, int32_t width, int64_t *squared)
{
    int32_t *site = malloc(sizeof *site * width);   /* columns whose parabolas make the lower envelope */
    int64_t *start = malloc(sizeof *start * width), /* where each of them begins */
        *high = malloc(sizeof *high * width);       /* squared distances along the columns */
    if (site && start && high)
        along_columns(area, height, width, squared);
    for (int32_t y = 0; site && start && high && y < height; y++) {
        int64_t *row = squared + (int64_t)y * width;
        int32_t n = 0;
        for (int32_t x = 0; x < width; x++)
            high[x] = row[x] * row[x];
        for (int32_t x = 0; x < width; x++) {
            int64_t begin = 0;
            while (n) {
                const int64_t i = site[n - 1];
                begin = quotient((int64_t)x * x - i * i + high[x] - high[i], 2 * (x - i)) + 1;
                if (begin > start[n - 1])
                    break;
                n--;
                begin = 0;
            }
            if (begin < width) {
                site[n] = x;
                start[n++] = begin;
            }
        }
        for (int32_t x = width - 1; x >= 0; x--) {
            while (start[n - 1] > x)
                n--;
            row[x] = (x - (int64_t)site[n - 1]) * (x - (int64_t)site[n - 1]) + high[site[n - 1]];
        }
    }
    const int ready = site && start && high;
    free(site);
    free(start);
    free(high);
    return ready ? 0 : -1;
}
