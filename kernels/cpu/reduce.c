#include "kernels/cpu/reduce.h"

#include <immintrin.h>

enum { WIDTH = 8, CHAINS = 4, PIECE = 1024 };

/* Lanes of the first n of 8 elements. */
static __m256i head_mask(int n)
{
    static const int MASKS[2 * WIDTH] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *)(const void *)(MASKS + WIDTH - n));
}

static double piece_total(const float *source, int count)
{
    __m256 chain[CHAINS] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                            _mm256_setzero_ps()};
    int i = 0;
    for (; i + CHAINS * WIDTH <= count; i += CHAINS * WIDTH) {
        for (int k = 0; k < CHAINS; k++) {
            chain[k] = _mm256_add_ps(chain[k], _mm256_loadu_ps(source + i + k * WIDTH));
        }
    }
    for (int k = 0; i < count; i += WIDTH, k++) {
        __m256i mask = head_mask(count - i < WIDTH ? count - i : WIDTH);
        chain[k] = _mm256_add_ps(chain[k], _mm256_maskload_ps(source + i, mask));
    }
    __m256 sum =
        _mm256_add_ps(_mm256_add_ps(chain[0], chain[1]), _mm256_add_ps(chain[2], chain[3]));
    __m256d pairs = _mm256_add_pd(_mm256_cvtps_pd(_mm256_castps256_ps128(sum)),
                                  _mm256_cvtps_pd(_mm256_extractf128_ps(sum, 1)));
    double lane[4];
    _mm256_storeu_pd(lane, pairs);
    return (lane[0] + lane[1]) + (lane[2] + lane[3]);
}

double reduce_total(const float *source, int count)
{
    double total = 0.0;
    for (int done = 0; done < count; done += PIECE) {
        total += piece_total(source + done, count - done < PIECE ? count - done : PIECE);
    }
    return total;
}

/* b where it is larger, or either is no number. */
static __m256 larger(__m256 a, __m256 b)
{
    return _mm256_blendv_ps(a, b, _mm256_cmp_ps(b, a, _CMP_NLE_UQ));
}

float reduce_largest(const float *source, int count)
{
    __m256 chain[CHAINS];
    for (int k = 0; k < CHAINS; k++) {
        chain[k] = _mm256_set1_ps(source[0]);
    }
    int i = 0;
    for (; i + CHAINS * WIDTH <= count; i += CHAINS * WIDTH) {
        for (int k = 0; k < CHAINS; k++) {
            chain[k] = larger(chain[k], _mm256_loadu_ps(source + i + k * WIDTH));
        }
    }
    for (int k = 0; i < count; i += WIDTH, k++) {
        __m256 mask = _mm256_castsi256_ps(head_mask(count - i < WIDTH ? count - i : WIDTH));
        __m256 part = _mm256_maskload_ps(source + i, _mm256_castps_si256(mask));
        chain[k] = larger(chain[k], _mm256_blendv_ps(_mm256_set1_ps(source[0]), part, mask));
    }
    __m256 all = larger(larger(chain[0], chain[1]), larger(chain[2], chain[3]));
    float lane[WIDTH];
    _mm256_storeu_ps(lane, all);
    float most = lane[0];
    for (int k = 1; k < WIDTH; k++) {
        most = lane[k] <= most ? most : lane[k];
    }
    return most;
}

void reduce_add(const float *source, int count, double *sums)
{
    int i = 0;
    for (; i + 4 <= count; i += 4) {
        __m256d value = _mm256_cvtps_pd(_mm_loadu_ps(source + i));
        _mm256_storeu_pd(sums + i, _mm256_add_pd(_mm256_loadu_pd(sums + i), value));
    }
    for (; i < count; i++) {
        sums[i] += (double)source[i];
    }
}

/* columns[c] = sum over r of source[r * inner + c], for the first rows. */
static void add_rows(const float *source, int rows, int inner, float *columns)
{
    int c = 0;
    for (; c + WIDTH <= inner; c += WIDTH) {
        __m256 sum = _mm256_loadu_ps(source + c);
        for (int r = 1; r < rows; r++) {
            sum = _mm256_add_ps(sum, _mm256_loadu_ps(source + r * inner + c));
        }
        _mm256_storeu_ps(columns + c, sum);
    }
    for (; c < inner; c++) {
        float sum = source[c];
        for (int r = 1; r < rows; r++) {
            sum += source[r * inner + c];
        }
        columns[c] = sum;
    }
}

static int rows_a_chain(int inner)
{
    int chains = WIDTH;
    while (chains > 1 && inner % 2 == 0) {
        inner /= 2;
        chains /= 2;
    }
    return chains;
}

void reduce_columns(const float *source, int rows, int inner, double *sums)
{
    float columns[REDUCE_TILE_MAX];
    int chains = rows_a_chain(inner);
    int whole = inner < 4 * WIDTH ? rows / chains * chains : 0;
    if (whole == 0) {
        add_rows(source, rows, inner, columns);
        reduce_add(columns, inner, sums);
        return;
    }
    /* `chains` rows side by side are whole vectors. */
    add_rows(source, whole / chains, inner * chains, columns);
    for (int k = 0; k < chains; k++) {
        reduce_add(columns + k * inner, inner, sums);
    }
    for (int r = whole; r < rows; r++) {
        reduce_add(source + r * inner, inner, sums);
    }
}

void reduce_store(const double *sums, long count, float *out)
{
    long i = 0;
    for (; i + 4 <= count; i += 4) {
        _mm_storeu_ps(out + i, _mm256_cvtpd_ps(_mm256_loadu_pd(sums + i)));
    }
    for (; i < count; i++) {
        out[i] = (float)sums[i];
    }
}
