#include "tests/recipes/measure.h"

#include "base/mem.h"

#include <lapacke.h>
#include <math.h>
#include <string.h>

enum {
    TILE = 256, /* samples of a set that are compared at once, so that they stay in cache */
};

/* ---------------------------------------------------------------- Frechet distance */

struct moments {
    double *mean;       /* (size) */
    double *covariance; /* (size, size) */
};

static void moments_of(const struct sample_set *set, struct moments *out)
{
    int64_t size = set->size;
    for (int64_t i = 0; i < set->count; i++) {
        for (int64_t k = 0; k < size; k++) {
            out->mean[k] += (double)set->values[i * size + k] / (double)set->count;
        }
    }
    for (int64_t i = 0; i < set->count; i++) {
        const float *row = set->values + i * size;
        for (int64_t k = 0; k < size; k++) {
            double away = (double)row[k] - out->mean[k];
            for (int64_t l = 0; l <= k; l++) {
                out->covariance[k * size + l] += away * ((double)row[l] - out->mean[l]);
            }
        }
    }
    for (int64_t k = 0; k < size; k++) {
        for (int64_t l = 0; l <= k; l++) {
            out->covariance[k * size + l] /= (double)(set->count - 1);
            out->covariance[l * size + k] = out->covariance[k * size + l];
        }
    }
}

/* out = a b, all (size, size). */
static void multiply(const double *a, const double *b, int64_t size, double *out)
{
    memset(out, 0, (size_t)(size * size) * sizeof *out);
    for (int64_t i = 0; i < size; i++) {
        for (int64_t k = 0; k < size; k++) {
            for (int64_t j = 0; j < size; j++) {
                out[i * size + j] += a[i * size + k] * b[k * size + j];
            }
        }
    }
}

/* Eigenvalues of a symmetric matrix; with vectors, they are left in its columns. */
static enum cam_code eigen(double *matrix, int64_t size, bool vectors, double *values,
                           struct cam_err *err)
{
    lapack_int failed = LAPACKE_dsyevd(LAPACK_ROW_MAJOR, vectors ? 'V' : 'N', 'L', (lapack_int)size,
                                       matrix, (lapack_int)size, values);
    return failed == 0 ? CAM_OK
                       : cam_fail(err, CAM_NON_FINITE,
                                  "eigenvalues of a covariance: dsyevd says %d", (int)failed);
}

static double root_of(double value)
{
    return value > 0 ? sqrt(value) : 0;
}

/* root = matrix^1/2 of a symmetric matrix, which is overwritten; values and room are for work. */
static enum cam_code square_root(double *matrix, int64_t size, double *values, double *room,
                                 double *root, struct cam_err *err)
{
    enum cam_code rc = eigen(matrix, size, true, values, err);
    if (rc != CAM_OK) {
        return rc;
    }
    for (int64_t i = 0; i < size; i++) {
        for (int64_t j = 0; j < size; j++) {
            room[j * size + i] = matrix[i * size + j] * root_of(values[j]);
        }
    }
    multiply(matrix, room, size, root); /* V (V sqrt(L))^T: room has it transposed */
    return CAM_OK;
}

enum cam_code measure_frechet(const struct sample_set *a, const struct sample_set *b, double *out,
                              struct cam_err *err)
{
    int64_t size = a->size;
    size_t square = (size_t)(size * size);
    double *room = cam_alloc(5 * square + 3 * (size_t)size, sizeof *room);
    if (room == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "moments of %lld features: out of memory",
                        (long long)size);
    }
    struct moments first = {room, room + size};
    struct moments second = {first.covariance + square, first.covariance + square + size};
    double *values = second.covariance + square;
    double *root = values + size;
    double *left = root + square;
    double *product = left + square;
    moments_of(a, &first);
    moments_of(b, &second);
    double distance = 0;
    for (int64_t k = 0; k < size; k++) {
        double apart = first.mean[k] - second.mean[k];
        distance +=
            apart * apart + first.covariance[k * size + k] + second.covariance[k * size + k];
    }
    enum cam_code rc = isfinite(distance)
                           ? square_root(first.covariance, size, values, left, root, err)
                           : cam_fail(err, CAM_NON_FINITE, "features are not finite");
    if (rc == CAM_OK) {
        multiply(root, second.covariance, size, left);
        multiply(left, root, size, product);
        rc = eigen(product, size, false, values, err);
    }
    for (int64_t k = 0; rc == CAM_OK && k < size; k++) {
        distance -= 2 * root_of(values[k]);
    }
    *out = distance > 0 ? distance : 0;
    cam_free(room);
    return rc;
}

/* ---------------------------------------------------------------- nearest neighbours */

/* A tile of a set, transposed: (size, TILE), so that a sample is compared with all of it at once.
 */
static void load_tile(const struct sample_set *set, int64_t first, int64_t count, float *tile)
{
    for (int64_t j = 0; j < count; j++) {
        for (int64_t k = 0; k < set->size; k++) {
            tile[k * TILE + j] = set->values[(first + j) * set->size + k];
        }
    }
}

/* Squared distances of a sample from all of a tile. */
static void distances(const float *sample, const float *tile, int64_t size, float out[TILE])
{
    memset(out, 0, TILE * sizeof *out);
    for (int64_t k = 0; k < size; k++) {
        for (int j = 0; j < TILE; j++) {
            float apart = sample[k] - tile[k * TILE + j];
            out[j] += apart * apart;
        }
    }
}

/* Takes a distance into the k smallest, ascending. */
static void keep_smallest(float *smallest, int k, float distance)
{
    int place = k;
    while (place > 0 && distance < smallest[place - 1]) {
        place--;
    }
    if (place < k) {
        memmove(smallest + place + 1, smallest + place, (size_t)(k - 1 - place) * sizeof *smallest);
        smallest[place] = distance;
    }
}

/* The k smallest squared distances of each sample from a set, (count, k); a sample of the set
 * itself is not its own neighbour. */
static enum cam_code nearest(const struct sample_set *samples, const struct sample_set *set, int k,
                             float *out, struct cam_err *err)
{
    float apart[TILE];
    float *tile = cam_alloc((size_t)(set->size * TILE), sizeof *tile);
    if (tile == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "nearest neighbours: out of memory");
    }
    for (int64_t i = 0; i < samples->count * k; i++) {
        out[i] = INFINITY;
    }
    for (int64_t first = 0; first < set->count; first += TILE) {
        int64_t left = set->count - first;
        int64_t count = left < TILE ? left : TILE;
        load_tile(set, first, count, tile);
        for (int64_t i = 0; i < samples->count; i++) {
            distances(samples->values + i * samples->size, tile, set->size, apart);
            for (int64_t j = 0; j < count; j++) {
                if (samples->values != set->values || first + j != i) {
                    keep_smallest(out + i * k, k, apart[j]);
                }
            }
        }
    }
    cam_free(tile);
    return CAM_OK;
}

static int64_t count_covered(const struct sample_set *samples, const struct sample_set *support,
                             const float *radii, int k, float *tile)
{
    int64_t covered = 0;
    unsigned char *is = (unsigned char *)(tile + support->size * TILE);
    for (int64_t first = 0; first < support->count; first += TILE) {
        float apart[TILE];
        int64_t left = support->count - first;
        int64_t count = left < TILE ? left : TILE;
        load_tile(support, first, count, tile);
        for (int64_t i = 0; i < samples->count; i++) {
            if (is[i] != 0) {
                continue;
            }
            distances(samples->values + i * samples->size, tile, support->size, apart);
            for (int64_t j = 0; j < count && is[i] == 0; j++) {
                is[i] = apart[j] <= radii[(first + j) * k + k - 1];
            }
            covered += is[i];
        }
    }
    return covered;
}

enum cam_code measure_covered(const struct sample_set *samples, const struct sample_set *support,
                              int k, double *out, struct cam_err *err)
{
    float *radii = cam_alloc((size_t)(support->count * k), sizeof *radii);
    float *tile =
        cam_alloc((size_t)(support->size * TILE) * sizeof *tile + (size_t)samples->count, 1);
    enum cam_code rc = radii == NULL || tile == NULL
                           ? cam_fail(err, CAM_NO_MEMORY, "nearest neighbours: out of memory")
                           : nearest(support, support, k, radii, err);
    if (rc == CAM_OK) {
        int64_t covered = count_covered(samples, support, radii, k, tile);
        *out = (double)covered / (double)samples->count;
    }
    cam_free(radii);
    cam_free(tile);
    return rc;
}

enum cam_code measure_nearest(const struct sample_set *samples, const struct sample_set *set,
                              double *out, struct cam_err *err)
{
    float *smallest = cam_alloc((size_t)samples->count, sizeof *smallest);
    enum cam_code rc = smallest == NULL
                           ? cam_fail(err, CAM_NO_MEMORY, "nearest neighbours: out of memory")
                           : nearest(samples, set, 1, smallest, err);
    double sum = 0;
    for (int64_t i = 0; rc == CAM_OK && i < samples->count; i++) {
        sum += sqrt((double)smallest[i]);
    }
    *out = sum / (double)samples->count;
    cam_free(smallest);
    return rc;
}
