#include "worker/collectives/collectives.h"

void collectives_close(struct collectives *c)
{
    if (c != NULL) {
        c->ops->close(c);
    }
}

enum cam_code collectives_barrier(struct collectives *c, struct cam_err *err)
{
    return c->ops->barrier(c, err);
}

enum cam_code collectives_broadcast(struct collectives *c, int root, void *bytes, size_t size,
                                    struct cam_err *err)
{
    return c->ops->broadcast(c, root, bytes, size, err);
}

enum cam_code collectives_agree(struct collectives *c, int64_t *value, struct cam_err *err)
{
    return c->ops->agree(c, value, err);
}

enum cam_code collectives_replica(struct collectives *c, int64_t floats, float **out,
                                  struct cam_err *err)
{
    return c->ops->replica(c, floats, out, err);
}

enum cam_code collectives_partials(struct collectives *c, int64_t floats, float **out,
                                   struct cam_err *err)
{
    return c->ops->partials(c, floats, out, err);
}

enum cam_code collectives_reserve(struct collectives *c, const struct exchange *x,
                                  struct cam_err *err)
{
    return c->ops->reserve(c, x, err);
}

enum cam_code collectives_exchange(struct collectives *c, const struct exchange *x,
                                   uint64_t *control, struct cam_err *err)
{
    return c->ops->exchange(c, x, control, err);
}

enum cam_code collectives_share(struct collectives *c, float *replica, const int64_t *segment,
                                struct cam_err *err)
{
    return c->ops->share(c, replica, segment, err);
}

enum cam_code collectives_publish(struct collectives *c, float *replica, int64_t floats,
                                  struct cam_err *err)
{
    return c->ops->publish(c, replica, floats, err);
}

enum cam_code collectives_collect(struct collectives *c, const float *mine, const int64_t *segment,
                                  float *whole, struct cam_err *err)
{
    return c->ops->collect(c, mine, segment, whole, err);
}

enum cam_code collectives_distribute(struct collectives *c, const float *whole,
                                     const int64_t *segment, float *mine, struct cam_err *err)
{
    return c->ops->distribute(c, whole, segment, mine, err);
}
