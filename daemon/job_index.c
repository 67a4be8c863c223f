#include "daemon/job_index.h"

#include "base/mem.h"

enum { FIRST_CAPACITY = 64 };

static size_t home_of(const struct job_index *index, int64_t id)
{
    /* Fibonacci hashing: ids come in rows. */
    return (size_t)(((uint64_t)id * UINT64_C(0x9E3779B97F4A7C15)) >> 20) & (index->capacity - 1);
}

static struct job_slot *find(const struct job_index *index, int64_t id)
{
    size_t at = home_of(index, id);
    while (index->slots[at].id != 0 && index->slots[at].id != id) {
        at = (at + 1) & (index->capacity - 1);
    }
    return &index->slots[at];
}

static enum cam_code grow(struct job_index *index, struct cam_err *err)
{
    struct job_index bigger = {
        .capacity = index->capacity == 0 ? FIRST_CAPACITY : index->capacity * 2,
        .count = index->count,
    };
    bigger.slots = cam_alloc(bigger.capacity, sizeof *bigger.slots);
    if (bigger.slots == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "an index of %zu jobs", bigger.capacity);
    }
    for (size_t i = 0; i < index->capacity; i++) {
        if (index->slots[i].id != 0) {
            *find(&bigger, index->slots[i].id) = index->slots[i];
        }
    }
    cam_free(index->slots);
    *index = bigger;
    return CAM_OK;
}

enum cam_code job_index_add(struct job_index *index, int64_t id, void *value, struct cam_err *err)
{
    if (index->count * 4 >= index->capacity * 3) {
        enum cam_code rc = grow(index, err);
        if (rc != CAM_OK) {
            return rc;
        }
    }
    *find(index, id) = (struct job_slot){id, value};
    index->count++;
    return CAM_OK;
}

void *job_index_get(const struct job_index *index, int64_t id)
{
    return index->capacity == 0 || id <= 0 ? NULL : find(index, id)->value;
}

void job_index_remove(struct job_index *index, int64_t id)
{
    if (index->capacity == 0 || find(index, id)->id == 0) {
        return;
    }
    size_t hole = (size_t)(find(index, id) - index->slots);
    index->count--;
    /* Entries behind the hole that could not stand at their home move up. */
    for (size_t at = (hole + 1) & (index->capacity - 1); index->slots[at].id != 0;
         at = (at + 1) & (index->capacity - 1)) {
        size_t home = home_of(index, index->slots[at].id);
        if (((at - home) & (index->capacity - 1)) >= ((at - hole) & (index->capacity - 1))) {
            index->slots[hole] = index->slots[at];
            hole = at;
        }
    }
    index->slots[hole] = (struct job_slot){0};
}

void *job_index_walk(const struct job_index *index, size_t *at)
{
    while (*at < index->capacity) {
        const struct job_slot *slot = &index->slots[(*at)++];
        if (slot->id != 0) {
            return slot->value;
        }
    }
    return NULL;
}

void job_index_release(struct job_index *index)
{
    cam_free(index->slots);
    *index = (struct job_index){0};
}
