/* Pictures laid out anew, the planes of their channels one after the other: turned, flipped, or as they are. */
#include "kernels.h"

#include <string.h>

enum { LINES = 8, PART = 128 }; /* columns that become a part of rows at once, and rows of which they are read at once */

/* For each width of values; `strides` are in values, and those of a plane alone. */
#define DEFINE(NAME, T)                                                                                                \
    /* Rows that are columns in memory: eight of them are read side by side, so that compilers make vectors of them. */ \
    CLONED static void turn_##NAME(const T *from, int64_t height, int64_t width, int64_t row, int64_t column, T *to)   \
    {                                                                                                                  \
        T part[PART * LINES];                                                                                          \
        const T *first = row < 0 ? from + (height - 1) * row : from;                                                   \
        for (int64_t x = 0; x + LINES <= width; x += LINES)                                                            \
            for (int64_t s = 0; s < height; s += PART) {                                                               \
                const int64_t n = height - s < PART ? height - s : PART;                                               \
                const T *a = first + x * column + s, *b = a + column, *c = b + column, *d = c + column,                \
                        *e = d + column, *f = e + column, *g = f + column, *h = g + column;                            \
                for (int64_t i = 0; i < n; i++) {                                                                      \
                    T *at = part + LINES * i;                                                                          \
                    at[0] = a[i], at[1] = b[i], at[2] = c[i], at[3] = d[i];                                            \
                    at[4] = e[i], at[5] = f[i], at[6] = g[i], at[7] = h[i];                                            \
                }                                                                                                      \
                for (int64_t i = 0; i < n; i++)                                                                        \
                    memcpy(to + (row < 0 ? height - 1 - s - i : s + i) * width + x, part + LINES * i,                  \
                           LINES * sizeof(T));                                                                         \
            }                                                                                                          \
        for (int64_t x = width - width % LINES; x < width; x++)                                                        \
            for (int64_t y = 0; y < height; y++)                                                                       \
                to[y * width + x] = from[y * row + x * column];                                                        \
    }                                                                                                                  \
    CLONED static void lines_##NAME(const T *from, int64_t height, int64_t width, int64_t row, int64_t column, T *to)  \
    {                                                                                                                  \
        for (int64_t y = 0; y < height; y++, from += row, to += width)                                                 \
            if (column == 1)                                                                                           \
                memcpy(to, from, width * sizeof(T));                                                                   \
            else if (column == -1)                                                                                     \
                for (int64_t x = 0; x < width; x++)                                                                    \
                    to[x] = from[-x];                                                                                  \
            else                                                                                                       \
                for (int64_t x = 0; x < width; x++)                                                                    \
                    to[x] = from[x * column];                                                                          \
    }                                                                                                                  \
    static void lay_out_##NAME(const T *from, const int64_t shape[3], const int64_t strides[3], T *to)                 \
    {                                                                                                                  \
        const int64_t row = strides[1] / (int64_t)sizeof(T), column = strides[2] / (int64_t)sizeof(T);                 \
        for (int64_t c = 0; c < shape[0]; c++) {                                                                       \
            const T *plane = from + c * (strides[0] / (int64_t)sizeof(T));                                             \
            (row == 1 || row == -1 ? turn_##NAME : lines_##NAME)(plane, shape[1], shape[2], row, column,               \
                                                                 to + c * shape[1] * shape[2]);                        \
        }                                                                                                              \
    }

DEFINE(8, uint8_t)
DEFINE(16, uint16_t)
DEFINE(32, uint32_t)

/* The channels of pixels of three bytes that lie one after the other. */
CLONED static void part_3(const uint8_t *from, int64_t pixels, uint8_t *to)
{
    uint8_t *red = to, *green = to + pixels, *blue = green + pixels;
    for (int64_t i = 0; i < pixels; i++) {
        red[i] = from[3 * i];
        green[i] = from[3 * i + 1];
        blue[i] = from[3 * i + 2];
    }
}

void lay_out(const void *from, const int64_t shape[3], const int64_t strides[3], size_t size, void *to)
{
    if (size == 1 && shape[0] == 3 && strides[0] == 1 && strides[2] == 3 && strides[1] == 3 * shape[2])
        part_3(from, shape[1] * shape[2], to);
    else if (size == 1)
        lay_out_8(from, shape, strides, to);
    else if (size == 2)
        lay_out_16(from, shape, strides, to);
    else
        lay_out_32(from, shape, strides, to);
}
