#include "base/mem.h"
#include "worker/collectives/collectives.h"

#include <string.h>

enum { BLOCKS_MAX = 8 };

struct self {
    struct collectives base;
    const float *partials;
    void *block[BLOCKS_MAX];
    int block_count;
};

static struct self *self_of(struct collectives *c)
{
    return (struct self *)(void *)c;
}

static void self_close(struct collectives *c)
{
    struct self *self = self_of(c);
    for (int i = 0; i < self->block_count; i++) {
        cam_free(self->block[i]);
    }
    cam_free(self);
}

static enum cam_code self_nothing(struct collectives *c, struct cam_err *err)
{
    (void)c;
    (void)err;
    return CAM_OK;
}

static enum cam_code self_broadcast(struct collectives *c, int root, void *bytes, size_t size,
                                    struct cam_err *err)
{
    (void)c;
    (void)root;
    (void)bytes;
    (void)size;
    (void)err;
    return CAM_OK;
}

static enum cam_code self_agree(struct collectives *c, int64_t *value, struct cam_err *err)
{
    (void)c;
    (void)value;
    (void)err;
    return CAM_OK;
}

static enum cam_code self_replica(struct collectives *c, int64_t floats, float **out,
                                  struct cam_err *err)
{
    struct self *self = self_of(c);
    float *memory =
        self->block_count == BLOCKS_MAX ? NULL : cam_alloc_aligned((size_t)floats * sizeof(float));
    if (memory == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "%lld floats for the training: out of memory",
                        (long long)floats);
    }
    self->block[self->block_count++] = memory;
    *out = memory;
    return CAM_OK;
}

static enum cam_code self_partials(struct collectives *c, int64_t floats, float **out,
                                   struct cam_err *err)
{
    enum cam_code rc = self_replica(c, floats, out, err);
    if (rc == CAM_OK) {
        self_of(c)->partials = *out;
    }
    return rc;
}

static enum cam_code self_reserve(struct collectives *c, const struct exchange *x,
                                  struct cam_err *err)
{
    (void)c;
    (void)x;
    (void)err;
    return CAM_OK;
}

static enum cam_code self_exchange(struct collectives *c, const struct exchange *x,
                                   uint64_t *control, struct cam_err *err)
{
    (void)control;
    (void)err;
    const float *partials = self_of(c)->partials;
    for (int k = 0; k < x->partial_count[0]; k++) {
        const float *buffer = partials + x->partial_buffer[0][k] * x->stride;
        x->segment_view[k] = buffer + x->segment[0];
        x->tail_view[k] = buffer + x->tail_first;
    }
    return CAM_OK;
}

static enum cam_code self_share(struct collectives *c, float *replica, const int64_t *segment,
                                struct cam_err *err)
{
    (void)c;
    (void)replica;
    (void)segment;
    (void)err;
    return CAM_OK;
}

static enum cam_code self_publish(struct collectives *c, float *replica, int64_t floats,
                                  struct cam_err *err)
{
    (void)c;
    (void)replica;
    (void)floats;
    (void)err;
    return CAM_OK;
}

static enum cam_code self_collect(struct collectives *c, const float *mine, const int64_t *segment,
                                  float *whole, struct cam_err *err)
{
    (void)c;
    (void)err;
    memcpy(whole, mine, (size_t)(segment[1] - segment[0]) * sizeof(float));
    return CAM_OK;
}

static enum cam_code self_distribute(struct collectives *c, const float *whole,
                                     const int64_t *segment, float *mine, struct cam_err *err)
{
    (void)c;
    (void)err;
    memcpy(mine, whole, (size_t)(segment[1] - segment[0]) * sizeof(float));
    return CAM_OK;
}

static const struct collectives_ops self_ops = {
    .close = self_close,
    .barrier = self_nothing,
    .broadcast = self_broadcast,
    .agree = self_agree,
    .replica = self_replica,
    .partials = self_partials,
    .reserve = self_reserve,
    .exchange = self_exchange,
    .share = self_share,
    .publish = self_publish,
    .collect = self_collect,
    .distribute = self_distribute,
};

enum cam_code collectives_self(struct collectives **out, struct cam_err *err)
{
    struct self *self = cam_alloc(1, sizeof *self);
    if (self == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "the collectives of one rank: out of memory");
    }
    self->base = (struct collectives){.rank = 0, .size = 1, .name = "self", .ops = &self_ops};
    *out = &self->base;
    return CAM_OK;
}
