/* Connected pieces of SLIC's labels, in reading order. */
#include "kernels.h"

#include <stdlib.h>

/* Arrays with a rim of one pixel, so that no neighbour has to be asked whether it lies inside. */
typedef struct {
    int32_t *labels, *pieces, *queue;
    int64_t across;
} Rimmed;

/* Fill the piece that begins at a pixel, up to `most` pixels; returns its size and, in `adjacent`, the piece met last. */
static int64_t fill(const Rimmed *rimmed, int64_t first, int64_t most, int32_t piece, int32_t *adjacent)
{
    const int64_t neighbours[] = {1, -1, rimmed->across, -rimmed->across};
    const int32_t label = rimmed->labels[first];
    int64_t size = 1;
    rimmed->queue[0] = (int32_t)first;
    rimmed->pieces[first] = piece;
    for (int64_t visited = 0; visited < size && size < most; visited++) {
        for (int i = 0; i < 4 && size < most; i++) {
            const int64_t next = rimmed->queue[visited] + neighbours[i];
            const int32_t other = rimmed->pieces[next];
            if (rimmed->labels[next] == label && other == 0) {
                rimmed->pieces[next] = piece;
                rimmed->queue[size++] = (int32_t)next;
            } else if (other > 0 && other != piece) {
                *adjacent = other;
            }
        }
    }
    return size;
}

static void connect_rimmed(const Rimmed *rimmed, int64_t end, int64_t least, int64_t most)
{
    int32_t piece = 1;
    for (int64_t first = 0; first < end; first++) {
        if (rimmed->labels[first] == 0 || rimmed->pieces[first] > 0)
            continue;
        int32_t adjacent = piece;
        const int64_t size = fill(rimmed, first, most, piece, &adjacent);
        if (size >= least) {
            piece++;
            continue;
        }
        for (int64_t i = 0; i < size; i++)
            rimmed->pieces[rimmed->queue[i]] = adjacent;
    }
}

int connect_pieces(const int32_t *labels, int32_t height, int32_t width, int64_t least, int64_t most, int32_t *connected)
{
    const int64_t across = (int64_t)width + 2, rimmed_size = across * (height + 2);
    Rimmed rimmed = {calloc(rimmed_size, sizeof(int32_t)), calloc(rimmed_size, sizeof(int32_t)),
                     malloc(sizeof(int32_t) * rimmed_size), across};
    const int ready = rimmed.labels && rimmed.pieces && rimmed.queue;
    if (ready) {
        for (int64_t y = 0; y < height; y++)
            for (int64_t x = 0; x < width; x++)
                rimmed.labels[(y + 1) * across + x + 1] = labels[y * width + x];
        connect_rimmed(&rimmed, rimmed_size, least, most);
        for (int64_t y = 0; y < height; y++)
            for (int64_t x = 0; x < width; x++)
                connected[y * width + x] = rimmed.pieces[(y + 1) * across + x + 1];
    }
    free(rimmed.labels);
    free(rimmed.pieces);
    free(rimmed.queue);
    return ready ? 0 : -1;
}
