#include "model/layers/streams.h"

#include <string.h>

uint32_t streams_hash(const char *name)
{
    uint32_t hash = 2166136261u;
    for (const unsigned char *c = (const unsigned char *)name; *c != '\0'; c++) {
        hash = (hash ^ *c) * 16777619u;
    }
    hash = (hash ^ hash >> 16) * 0x85ebca6bu;
    hash = (hash ^ hash >> 13) * 0xc2b2ae35u;
    return hash ^ hash >> 16;
}

static enum cam_code grow(struct streams *streams, struct cam_err *err)
{
    int capacity = streams->capacity == 0 ? 64 : 2 * streams->capacity;
    void *taken = cam_arena_alloc(streams->arena, (size_t)capacity, sizeof *streams->taken);
    if (taken == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "no memory for the names of random streams");
    }
    if (streams->count > 0) {
        memcpy(taken, streams->taken, (size_t)streams->count * sizeof *streams->taken);
    }
    streams->taken = taken;
    streams->capacity = capacity;
    return CAM_OK;
}

enum cam_code streams_take(struct streams *streams, const char *name, uint32_t *stream_out,
                           struct cam_err *err)
{
    uint32_t hash = streams_hash(name);
    for (int i = 0; i < streams->count; i++) {
        if (streams->taken[i].hash == hash) {
            return cam_fail(err, CAM_INVALID,
                            "the random streams of '%s' and '%s' are the same; give one of the "
                            "layers another name",
                            streams->taken[i].name, name);
        }
    }
    if (streams->count == streams->capacity) {
        enum cam_code rc = grow(streams, err);
        if (rc != CAM_OK) {
            return rc;
        }
    }
    const char *copy = cam_arena_strdup(streams->arena, name);
    if (copy == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "no memory for the names of random streams");
    }
    streams->taken[streams->count].hash = hash;
    streams->taken[streams->count++].name = copy;
    *stream_out = hash;
    return CAM_OK;
}
