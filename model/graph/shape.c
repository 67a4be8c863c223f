#include "model/graph/shape.h"

#include <inttypes.h>
#include <stdio.h>

int64_t shape_count(const struct shape *shape)
{
    int64_t count = 1;
    for (int i = 0; i < shape->rank; i++) {
        count *= shape->dim[i];
    }
    return count;
}

bool shape_equal(const struct shape *a, const struct shape *b)
{
    if (a->rank != b->rank) {
        return false;
    }
    for (int i = 0; i < a->rank; i++) {
        if (a->dim[i] != b->dim[i]) {
            return false;
        }
    }
    return true;
}

struct shape shape_sample(const struct shape *batch)
{
    struct shape sample = {.rank = batch->rank > 0 ? batch->rank - 1 : 0};
    for (int i = 0; i < sample.rank; i++) {
        sample.dim[i] = batch->dim[i + 1];
    }
    return sample;
}

const char *shape_text(const struct shape *shape, char *buffer, size_t size)
{
    size_t used = 0;
    if (size == 0) {
        return buffer;
    }
    buffer[0] = '\0';
    for (int i = 0; i < shape->rank && used < size; i++) {
        int added =
            snprintf(buffer + used, size - used, "%s%" PRId64, i == 0 ? "(" : ", ", shape->dim[i]);
        used += added > 0 ? (size_t)added : 0;
    }
    if (used < size) {
        (void)snprintf(buffer + used, size - used, "%s", shape->rank == 0 ? "()" : ")");
    }
    return buffer;
}

void shape_strides(const struct shape *shape, int64_t stride_out[SHAPE_RANK_MAX])
{
    int64_t stride = 1;
    for (int i = SHAPE_RANK_MAX - 1; i >= 0; i--) {
        stride_out[i] = i < shape->rank ? stride : 0;
        stride *= i < shape->rank ? shape->dim[i] : 1;
    }
}
