/* What the files of this folder share. Arrays are C-contiguous; planes are (channels, height, stride) doubles.
 *
 * Every sum, product and comparison of doubles stands in the order of scikit-image's and SciPy's loops, and nothing
 * is fused (-ffp-contract=off), so that results agree to the last bit. Lower bounds are computed with the same
 * operations in the same order: rounding is monotone, so that a bound is never above what it bounds.
 */
#ifndef HSMIX_KERNELS_H
#define HSMIX_KERNELS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h> /* defines __GLIBC__, whose loader can choose between clones of a function */

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define HAVE_X86_CLONES 1
#endif

/* Whole numbers alone: the same in vectors of any width. */
#if defined(HAVE_X86_CLONES) && defined(__GLIBC__)
#define CLONED __attribute__((target_clones("avx2", "default")))
#else
#define CLONED
#endif

enum { TILE = 16 }; /* side of a tile in pixels; rows of planes are padded to a multiple of it */

typedef struct {
    int32_t height, width, stride, channels;
    const double *planes;
    const uint8_t *mask; /* (height, width), not 0 where pixels count; NULL: everywhere */
} Picture;

typedef struct {
    int32_t count;
    double *y, *x;
    double *colours; /* (count, channels) */
} Centres;

typedef struct {
    int32_t reach_y, reach_x; /* pixels that a centre reaches in each direction */
    double weight;            /* of squared pixels against squared colours */
    int32_t rounds;
    int32_t by_colour; /* 0: colours of centres are means of their pixels, but do not count in distances */
} Search;

/* k-means of pixels and colours within windows; moves the centres and writes labels from 1, 0 for none.
 * Returns 0, or -1 if memory ran out. */
int kmeans(const Picture *picture, Centres *centres, const Search *search, int32_t *labels);

/* k-means of the points' coordinates alone, all centres in reach. Returns 0, or -1 if memory ran out. */
int spread(const int32_t *points, int64_t n_points, double *centres, int32_t n_centres, int32_t rounds);

/* One label from 1 for each connected piece of labels; pieces below `least` join a neighbour, and none grows to
 * more than `most` pixels. Label 0 stays. Returns 0, or -1 if memory ran out. */
int connect_pieces(const int32_t *labels, int32_t height, int32_t width, int64_t least, int64_t most, int32_t *connected);

/* Correlate planes with a symmetric kernel of 2 radius + 1 weights, mirrored at the rim of the first `width` columns:
 * along an axis of length 1, then down, then across. Returns 0, or -1 if memory ran out. */
int smooth(double *planes, int32_t channels, int32_t height, int32_t width, int32_t stride, const double *kernel,
           int32_t radius);

/* Join neighbouring regions by Ward's criterion as long as there are neighbours; `edges` names each pair once.
 * Changes sizes (n) and sums (n, channels), writes (first, second) of each join, `second` into `first`, and returns
 * their number, or -1 if memory ran out. */
enum { WARD_SCALE = 16 }; /* of fixed-point means and weights */
int32_t ward(int64_t *sizes, int64_t *sums, int32_t n, int32_t channels, const int32_t *edges, int64_t n_edges,
             int32_t *joins);

typedef struct {
    const uint16_t *labels_a, *labels_b;
    const uint8_t *from_b, *saliency_a, *saliency_b;
    int32_t offset; /* of the labels of A, above those of B */
} Parents;

typedef struct {
    double levels[256]; /* saliency in 255ths */
    double least;       /* what is added to the sum of both */
    double of_zeros;    /* where both are 0 */
} Ratio;

/* Number the regions of a mix, and add to `totals` and `sizes` B's ratio of the pair of saliencies and 1 a pixel. */
void region_sums(const Parents *parents, const Ratio *ratio, int64_t pixels, int32_t *regions, double *totals,
                 int64_t *sizes);

/* Mark the regions of a mix. */
void regions_seen(const Parents *parents, int64_t pixels, uint8_t *seen);

/* Add to `totals` the values of the pixels of each label (NULL: 1 each). */
void label_totals(const uint16_t *labels, const uint8_t *values, int64_t pixels, int64_t *totals);

/* Sum of bytes. */
int64_t byte_sum(const uint8_t *bytes, int64_t count);

/* Look bytes up by number. */
void gather_16(const uint8_t *table, const uint16_t *numbers, int64_t pixels, uint8_t *out);
void gather_32(const uint8_t *table, const int32_t *numbers, int64_t pixels, uint8_t *out);

/* Blend planes by weights of B in 255ths, rounded to nearest. */
void blend(const uint8_t *a, const uint8_t *b, const uint8_t *weights, int64_t pixels, int64_t planes, uint8_t *out);

/* Eight bytes in a row, which are mostly alike in masks. */
static inline uint64_t eight(const uint8_t *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}
#define EACH_BYTE 0x0101010101010101u

static inline int is_even(uint64_t word)
{
    return word == (word & 255) * EACH_BYTE;
}

enum { IGNORED = 255, HALF = 128 }; /* class of what is ignored; least weight in 255ths that is at least one half */

typedef struct {
    const uint8_t *a, *b, *weights; /* weights of B in 255ths */
    int64_t pixels;
} Masks;

/* Write the shares of the classes of two masks to `soft` (classes, pixels), which is 0, as halves[share], and the
 * class with the greater share to `mask`. */
void mix_labels(const Masks *masks, int32_t classes, const uint16_t *halves, uint16_t *soft, uint8_t *mask);

/* Add the share of each class in 255ths, of pixels that are not ignored, to `sums`. */
void label_sums(const Masks *masks, int64_t sums[256]);

/* Write the planes of a picture (planes, height, width), whose values of 1, 2 or 4 bytes lie `strides` bytes apart. */
void lay_out(const void *from, const int64_t shape[3], const int64_t strides[3], size_t size, void *to);

/* Write the lines of a PNG file, a mark and the differences to the line above, of a picture (height, width, channels)
 * whose values lie `strides` apart. */
enum { PNG_UP = 2 };
void difference_lines(const uint8_t *picture, const int64_t shape[3], const int64_t strides[3], uint8_t *lines);

typedef struct {
    int32_t height, width;
} Grid;

/* Mark the pixels whose squared distance to the nearest one where `area` is not 0 is at most `most`.
 * Returns 0, or -1 if memory ran out. */
int within(const uint8_t *area, Grid grid, int64_t most, uint8_t *marks);

/* Return the greatest of these squared distances, or -1 if memory ran out; somewhere `area` has to be. */
int64_t deepest(const uint8_t *area, Grid grid);

/* Correlate bytes with a symmetric kernel of 2 radius + 1 weights whose sum is at most 255, mirrored at the rim, down,
 * then across. Returns 0, or -1 if memory ran out. */
int blur(const uint8_t *levels, Grid grid, const uint8_t *kernel, int32_t radius, float *blurred);

/* Write b's share of a pair of maps of whole numbers, each over its sum, in 255ths rounded to nearest, ties to even; one
 * half where both are 0. */
void share_levels(const float *a, const float *b, int64_t pixels, uint8_t *levels);

typedef struct {
    const uint8_t *values;
    int64_t row, column; /* bytes from one value to the next, down and across */
} View;

typedef struct {
    int32_t least;    /* pixels of an object; smaller pieces are fragments */
    int32_t heavy;    /* whether a piece holds the pixels of great weight, or the others */
    double low, high; /* shares of an object between which it is cut */
    double small;     /* pixels below which an object is small */
} Bounds;

typedef struct {
    int64_t fragments, objects, cut, small, small_cut;
} Tally;

/* Count the connected pieces of foreground, and those of which a part is held (weights NULL: none).
 * Returns 0, or -1 if memory ran out. */
int tally_pieces(const uint8_t *ids, const uint8_t *weights, Grid grid, const Bounds *bounds, Tally *tally);

/* Number the connected pieces of foreground from 1 in the order of their first pixels; the other `numbers` stay.
 * Returns how many there are, or -1 if memory ran out. */
int32_t number_pieces(const uint8_t *ids, Grid grid, int32_t *numbers);

typedef struct {
    int32_t least; /* difference of neighbouring weights that is a seam */
    int32_t thin;  /* rows and columns from one slope to the next of those that are ranked */
    int64_t rank;  /* steeper slopes than the one of this rank are contours */
} Contours;

/* Pixels of the seam of the weights, views[2], those of them on or beside a contour of the plane, views[0], or the ids,
 * views[1], and all pixels there. Returns 0, or -1 if memory ran out. */
int seam(const View views[3], Grid grid, const Contours *contours, int64_t found[3]);

/* Pairs of a pixel of a class and one of the background of which the first has the greater value, twice, and once those
 * of equal values; then all pairs. */
void rank_sums(const View *values, const View *ids, Grid grid, int64_t found[2]);

/* Sum of values, and of their squares. */
void moments(const View *values, Grid grid, int64_t found[2]);

typedef struct {
    int32_t count;          /* of superpixels */
    double least, greatest; /* shares of the image */
    const double *draws;    /* from [0, 1): for the area, for the first one, and one for each that joins */
} Growth;

/* Grow a piece of superpixels from one of them and fill its holes, see stages/mixing/selection.py; all labels are below
 * the count. Returns 0, or -1 if memory ran out. */
int grow(const uint16_t *labels, Grid grid, const Growth *growth, uint8_t *selected);

/* Write sums of so many numbers of the Philox generator of a key, each below 2**20, as if one array after the other were
 * added. */
void sum_noise(uint64_t key, int64_t terms, int64_t count, double *sums);

/* Mark the greatest values, as many as are wanted, which is at most `count`; the first ones of equal values.
 * Returns 0, or -1 if memory ran out. */
int greatest(const double *values, int64_t count, int64_t wanted, uint8_t *taken);

#endif
