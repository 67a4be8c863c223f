/*
 * Names of random streams: every random tensor of a training has one, and its hash is counter word
 * 3 of Philox.  Two names that hash alike would share their numbers, so that is refused.
 */
#ifndef STREAMS_H
#define STREAMS_H

#include "base/arena.h"
#include "base/status.h"

#include <stdint.h>

struct streams {
    struct cam_arena *arena;
    struct {
        uint32_t hash;
        const char *name;
    } * taken;
    int count;
    int capacity;
};

/* 32-bit FNV-1a, then MurmurHash3's finaliser; a fixed function, part of what makes the weights. */
uint32_t streams_hash(const char *name);

/* Reserves a name.  CAM_INVALID where it is taken, or hashes like one that is. */
CAM_CHECKED enum cam_code streams_take(struct streams *streams, const char *name,
                                       uint32_t *stream_out, struct cam_err *err);

#endif
