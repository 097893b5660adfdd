/* The finish of one picture, cell by cell: plain.py says why, axis.py what a cell is.

   A row of cells needs two rows of logits. They are copied, padded by one at each end and made finite, into a buffer
   that the caches hold, and all pixels between them are done before the next row is read.

   Vectors are those of gcc and clang, of the width that the processor has: wider ones are taken apart badly. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef __AVX__
#define LANES 8 /* pixels handled at once; every buffer can be read and written that much past its end */
#else
#define LANES 4
#endif
#define LIMIT 8.507059173e37f /* 2^126: corners of this size cannot overflow between each other */
#define CLASSES (256 + LANES)
#define VECTORS 4
#define BLOCK (VECTORS * LANES) /* pixels whose classes are compared at once, where every pixel is a logit */
#define FAR 23.0f            /* e^-23 of the best class's probability is less than rounding shows, for 256 classes too */

typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef int32_t Ints __attribute__((vector_size(4 * LANES)));
typedef uint8_t Bytes __attribute__((vector_size(LANES)));

/* Of each lane the first where `where` is all ones, the second where it is 0. */
static inline Floats either(Ints where, Floats first, Floats second) {
    return (Floats)((where & (Ints)first) | (~where & (Ints)second));
}

typedef struct {
    const float *logits; int64_t by_class, by_row, by_column;
    int64_t classes, h, w, width;
    const int64_t *row_start, *column_start; /* h + 2 and w + 2: the first pixel of each cell */
    const float *row_fraction, *column_fraction;
    uint8_t *out;
    float *sure, *margin; /* null, or the probability of the best class and how far it is ahead of the second */
    int64_t on_logits;    /* pixel (y, x) is logit (y, x): nothing lies between */
} Job;

/* Row y of the logits into `values` (classes x pitch) and the best class of each into `best`. */
static void read_row(const Job *job, int64_t y, int64_t pitch, float *values, float *most, int32_t *best) {
    y = y < 0 ? 0 : y >= job->h ? job->h - 1 : y;
    for (int64_t c = 0; c < job->classes; c++) {
        const float *from = job->logits + c * job->by_class + y * job->by_row;
        float *to = values + c * pitch;
        if (job->by_column == 1)
            memcpy(to + 1, from, job->w * sizeof(float));
        else
            for (int64_t x = 0; x < job->w; x++) to[x + 1] = from[x * job->by_column];
        to[0] = to[1];
        to[job->w + 1] = to[job->w];
        for (int64_t x = 0; x < job->w + 2; x++) {
            float v = to[x];
            v = v > LIMIT ? LIMIT : v;
            v = v > -LIMIT ? v : -LIMIT; /* not a number compares false */
            to[x] = v;
        }
        if (c == 0) {
            memcpy(most, to, (job->w + 2) * sizeof(float));
            memset(best, 0, (job->w + 2) * sizeof(int32_t));
        } else
            for (int64_t x = 0; x < job->w + 2; x++) {
                int better = to[x] > most[x];
                most[x] = better ? to[x] : most[x];
                best[x] = better ? (int32_t)c : best[x];
            }
    }
}

/* The four corners of a cell, and the classes that matter inside: those that no corner's best class exceeds by more than
   `behind` at all four. With 0, these are the classes that can win. */
static int candidates(const Job *job, int64_t column, int64_t pitch, const float *upper, const float *lower,
                      const int32_t *bests, float behind, float (*corner)[CLASSES], int32_t *found) {
    int32_t beaten[CLASSES] = {0};
    int64_t classes = job->classes;
    for (int64_t c = 0; c < classes; c++) {
        corner[0][c] = upper[c * pitch + column];
        corner[1][c] = upper[c * pitch + column + 1];
        corner[2][c] = lower[c * pitch + column];
        corner[3][c] = lower[c * pitch + column + 1];
    }
    for (int i = 0; i < 4; i++) {
        int32_t b = bests[i];
        if ((i > 0 && b == bests[0]) || (i > 1 && b == bests[1]) || (i > 2 && b == bests[2])) continue;
        float p = corner[0][b] - behind, q = corner[1][b] - behind, r = corner[2][b] - behind, s = corner[3][b] - behind;
        for (int64_t c0 = 0; c0 < classes; c0 += LANES)
            for (int k = 0; k < LANES; k++) {
                int64_t c = c0 + k;
                beaten[c] |= (corner[0][c] < p) & (corner[1][c] < q) & (corner[2][c] < r) & (corner[3][c] < s);
            }
    }
    int count = 0;
    for (int64_t c = 0; c < classes; c++) {
        found[count] = (int32_t)c;
        count += !beaten[c];
    }
    return count;
}

static void fill_mixed(const Job *job, int64_t row, int64_t column, int64_t pitch, const float *upper, const float *lower,
                       const int32_t *bests) {
    float corner[4][CLASSES];
    int32_t chosen[CLASSES];
    int count = candidates(job, column, pitch, upper, lower, bests, 0, corner, chosen);
    int64_t left = job->column_start[column], right = job->column_start[column + 1];
    float a[256], b[256];
    for (int64_t y = job->row_start[row]; y < job->row_start[row + 1]; y++) {
        float f = job->row_fraction[y];
        for (int i = 0; i < count; i++) {
            int32_t c = chosen[i];
            a[i] = corner[0][c] * (1 - f) + corner[2][c] * f;
            b[i] = corner[1][c] * (1 - f) + corner[3][c] * f;
        }
        uint8_t *out = job->out + y * job->width;
        for (int64_t x = left; x < right; x += LANES) {
            Floats fraction, most;
            memcpy(&fraction, job->column_fraction + x, sizeof fraction);
            Ints best = chosen[0] - (Ints){0};
            most = a[0] * (1 - fraction) + b[0] * fraction;
            for (int i = 1; i < count; i++) {
                Floats v = a[i] * (1 - fraction) + b[i] * fraction;
                Ints better = v > most;
                most = either(better, v, most);
                best = (better & chosen[i]) | (~better & best);
            }
            Bytes bytes = __builtin_convertvector(best, Bytes);
            if (x + LANES <= right)
                memcpy(out + x, &bytes, LANES);
            else
                for (int k = 0; k < right - x; k++) out[x + k] = bytes[k];
        }
    }
}

/* e^x for x <= 0, to some units in the last place: 2 to the whole part by its bits, to the rest by Taylor's series. */
static inline Floats exponential(Floats x) {
    Ints low = x < -87.0f;
    x = either(low, x * 0 - 87.0f, x);
    Floats t = x * 1.44269504f, shifted = t + 12582912.0f, f = t - (shifted - 12582912.0f);
    Floats p = 1.0f + f * (0.693147181f + f * (0.240226507f + f * (0.0555041087f + f * (0.00961812911f +
               f * (0.00133335581f + f * 0.000154035304f)))));
    return (Floats)((Ints)p + ((Ints)shifted << 23));
}

/* Labels, probabilities and margins of one cell. */
static void fill_sure(const Job *job, int64_t row, int64_t column, int64_t pitch, const float *upper, const float *lower,
                      const int32_t *bests) {
    float corner[4][CLASSES];
    int32_t chosen[CLASSES];
    Floats values[CLASSES];
    int count = candidates(job, column, pitch, upper, lower, bests, FAR, corner, chosen);
    int64_t left = job->column_start[column], right = job->column_start[column + 1];
    for (int64_t y = job->row_start[row]; y < job->row_start[row + 1]; y++) {
        float f = job->row_fraction[y];
        for (int64_t x = left; x < right; x += LANES) {
            Floats fraction, most, second, total;
            memcpy(&fraction, job->column_fraction + x, sizeof fraction);
            Ints best = chosen[0] - (Ints){0};
            for (int i = 0; i < count; i++) {
                int32_t c = chosen[i];
                float a = corner[0][c] * (1 - f) + corner[2][c] * f, b = corner[1][c] * (1 - f) + corner[3][c] * f;
                Floats v = values[i] = a * (1 - fraction) + b * fraction;
                if (i == 0) {
                    most = v;
                    second = v * 0 - LIMIT;
                    continue;
                }
                Ints better = v > most;
                Floats less = either(better, most, v);
                Ints closer = less > second;
                second = either(closer, less, second);
                most = either(better, v, most);
                best = (better & c) | (~better & best);
            }
            total = exponential(values[0] - most);
            for (int i = 1; i < count; i++) total += exponential(values[i] - most);
            Floats sure = 1 / total, margin = (1 - exponential(second - most)) / total;
            int64_t at = y * job->width + x;
            for (int k = 0; k < LANES && k < right - x; k++) job->out[at + k] = (uint8_t)best[k];
            int64_t bytes = (right - x < LANES ? right - x : LANES) * sizeof(float);
            memcpy(job->sure + at, &sure, bytes);
            memcpy(job->margin + at, &margin, bytes);
        }
    }
}

/* `count` pixels that are logits themselves, from `from` on, to place `at`. All classes of a block before the next one:
   planes often lie a power of two apart, so that a cache would lose a line before the next class of it.
   Compiled anew for each `sure` and `whole` (a block without gaps). */
static inline __attribute__((always_inline)) void fill_block(const Job *job, const float *from, int64_t at, int64_t count,
                                                             int sure, int whole) {
    Floats held[256][VECTORS], most[VECTORS], second[VECTORS];
    Ints best[VECTORS];
    for (int i = 0; i < VECTORS; i++) {
        most[i] = second[i] = (Floats){0} - LIMIT;
        best[i] = (Ints){0};
    }
    for (int64_t c = 0; c < job->classes; c++, from += job->by_class) {
        float few[BLOCK];
        for (int64_t k = 0; !whole && k < BLOCK; k++) few[k] = k < count ? from[k * job->by_column] : 0;
        for (int i = 0; i < VECTORS; i++) {
            Floats v, limit = (Floats){0} + LIMIT;
            memcpy(&v, (whole ? from : few) + i * LANES, sizeof v);
            Ints large = v > limit;
            v = either(large, limit, v);
            Ints better = v > most[i]; /* not a number compares false; of least values the first class stays */
            if (sure) {
                Ints known = v > -limit;
                v = held[c][i] = either(known, v, -limit);
                Floats less = either(better, most[i], v);
                Ints closer = less > second[i];
                second[i] = either(closer, less, second[i]);
            }
            most[i] = either(better, v, most[i]);
            best[i] = (better & (int32_t)c) | (~better & best[i]);
        }
    }
    for (int i = 0; i * LANES < count; i++) {
        int64_t some = count - i * LANES < LANES ? count - i * LANES : LANES;
        Bytes bytes = __builtin_convertvector(best[i], Bytes);
        memcpy(job->out + at + i * LANES, &bytes, some);
        if (!sure) continue;
        Floats total = (Floats){0};
        for (int64_t c = 0; c < job->classes; c++) total += exponential(held[c][i] - most[i]);
        Floats sureness = 1 / total, margin = (1 - exponential(second[i] - most[i])) / total;
        memcpy(job->sure + at + i * LANES, &sureness, some * sizeof(float));
        memcpy(job->margin + at + i * LANES, &margin, some * sizeof(float));
    }
}

static void fill_same(const Job *job, int64_t y) {
    for (int64_t x = 0; x < job->width; x += BLOCK) {
        int64_t at = y * job->width + x, count = job->width - x < BLOCK ? job->width - x : BLOCK;
        const float *from = job->logits + y * job->by_row + x * job->by_column;
        int whole = count == BLOCK && job->by_column == 1;
        if (job->sure)
            whole ? fill_block(job, from, at, BLOCK, 1, 1) : fill_block(job, from, at, count, 1, 0);
        else
            whole ? fill_block(job, from, at, BLOCK, 0, 1) : fill_block(job, from, at, count, 0, 0);
    }
}

/* All pixels of one cell have the class of its corners, or it is mixed. */
static void fill_row(const Job *job, int64_t row, int64_t pitch, const float *upper, const float *lower,
                     const int32_t *above, const int32_t *below, uint8_t *line) {
    const int64_t *start = job->column_start;
    for (int64_t column = 0; column <= job->w; column++)
        for (int64_t x = start[column]; x < start[column + 1]; x += LANES) memset(line + x, above[column], LANES);
    for (int64_t y = job->row_start[row]; y < job->row_start[row + 1] && !job->sure; y++)
        memcpy(job->out + y * job->width, line, job->width);
    for (int64_t column = 0; column <= job->w; column++) {
        if (start[column] == start[column + 1]) continue;
        int32_t four[4] = {above[column], above[column + 1], below[column], below[column + 1]};
        if (job->sure)
            fill_sure(job, row, column, pitch, upper, lower, four);
        else if (four[0] != four[1] || four[0] != four[2] || four[0] != four[3])
            fill_mixed(job, row, column, pitch, upper, lower, four);
    }
}

/* The pixels in rows of cells first to last - 1. 0, or 1 where there is no memory. */
int swath_finish(const Job *job, int64_t first, int64_t last) {
    if (job->on_logits) {
        for (int64_t row = first; row < last; row++)
            if (job->row_start[row] < job->row_start[row + 1]) fill_same(job, job->row_start[row]);
        return 0;
    }
    int64_t pitch = (job->w + 2 + 15) / 16 * 16, plane = job->classes * pitch;
    float *values = malloc((2 * plane + pitch) * sizeof(float));
    int32_t *bests = malloc(2 * pitch * sizeof(int32_t));
    uint8_t *line = malloc(job->width + LANES);
    int failed = !values || !bests || !line;
    int64_t held = first - 2; /* the row of cells whose lower logits are in the buffer */
    for (int64_t row = first; row < last && !failed; row++) {
        if (job->row_start[row] == job->row_start[row + 1]) continue;
        int odd = (int)(row & 1);
        float *upper = values + odd * plane, *lower = values + !odd * plane, *most = values + 2 * plane;
        int32_t *above = bests + odd * pitch, *below = bests + !odd * pitch;
        if (held != row - 1) read_row(job, row - 1, pitch, upper, most, above);
        read_row(job, row, pitch, lower, most, below);
        held = row;
        fill_row(job, row, pitch, upper, lower, above, below, line);
    }
    free(values);
    free(bests);
    free(line);
    return failed;
}
