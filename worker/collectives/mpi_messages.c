#include "base/mem.h"
#include "worker/collectives/mpi_common.h"

#include <string.h>

enum { BLOCKS_MAX = 8, ALIGN_FLOATS = 16, GRADIENT_TAG = 1, TAIL_TAG = 2, CONTROL_TAG = 3 };

/*
 * Ranks of several hosts.  Every rank has an own replica and receives its segment, and the tail, of
 * every peer's partials into memory taken by reserve.
 */
struct messages {
    struct mpi_base mpi;
    float *partials;
    float *received;
    int64_t received_floats;
    MPI_Request *requests;
    int request_count;
    int request_max;
    uint64_t *controls; /* by rank */
    int *counts;        /* of share; by rank */
    int *starts;
    void *block[BLOCKS_MAX];
    int block_count;
};

static struct messages *messages_of(struct collectives *c)
{
    return (struct messages *)(void *)c;
}

static void messages_close(struct collectives *c)
{
    struct messages *m = messages_of(c);
    for (int i = 0; i < m->block_count; i++) {
        cam_free(m->block[i]);
    }
    cam_free(m->received);
    cam_free(m->requests);
    cam_free(m->controls);
    cam_free(m->counts);
    cam_free(m->starts);
    cam_free(m);
}

static enum cam_code messages_replica(struct collectives *c, int64_t floats, float **out,
                                      struct cam_err *err)
{
    struct messages *m = messages_of(c);
    float *memory =
        m->block_count == BLOCKS_MAX ? NULL : cam_alloc_aligned((size_t)floats * sizeof(float));
    if (memory == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "%lld floats for the training: out of memory",
                        (long long)floats);
    }
    m->block[m->block_count++] = memory;
    *out = memory;
    return CAM_OK;
}

static enum cam_code messages_partials(struct collectives *c, int64_t floats, float **out,
                                       struct cam_err *err)
{
    enum cam_code rc = messages_replica(c, floats, out, err);
    if (rc == CAM_OK) {
        messages_of(c)->partials = *out;
    }
    return rc;
}

static int64_t rounded(int64_t floats)
{
    return (floats + ALIGN_FLOATS - 1) / ALIGN_FLOATS * ALIGN_FLOATS;
}

static enum cam_code messages_reserve(struct collectives *c, const struct exchange *x,
                                      struct cam_err *err)
{
    struct messages *m = messages_of(c);
    int64_t own = rounded(x->segment[c->rank + 1] - x->segment[c->rank]);
    int64_t floats = 0;
    int partials = 0;
    for (int rank = 0; rank < c->size; rank++) {
        partials += x->partial_count[rank];
        floats += rank == c->rank ? 0 : x->partial_count[rank] * (own + rounded(x->tail_floats));
    }
    /* Received, and own ones sent to every peer, each as segment and tail; and the controls. */
    int requests = 2 * partials + 2 * x->partial_count[c->rank] * c->size + 2 * c->size;
    if (floats > m->received_floats) {
        cam_free(m->received);
        m->received_floats = floats;
        m->received = cam_alloc_aligned((size_t)floats * sizeof(float));
    }
    if (requests > m->request_max) {
        cam_free(m->requests);
        m->request_max = requests;
        m->requests = cam_alloc((size_t)requests, sizeof *m->requests);
    }
    if ((m->received == NULL && m->received_floats > 0) || m->requests == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "%lld floats for the exchange: out of memory",
                        (long long)floats);
    }
    return CAM_OK;
}

static int post_receive(struct messages *m, float *at, int64_t floats, int peer, int tag)
{
    return MPI_Irecv(at, (int)floats, MPI_FLOAT, peer, tag, m->mpi.comm,
                     &m->requests[m->request_count++]);
}

static int post_send(struct messages *m, const float *at, int64_t floats, int peer, int tag)
{
    return MPI_Isend(at, (int)floats, MPI_FLOAT, peer, tag, m->mpi.comm,
                     &m->requests[m->request_count++]);
}

/* Messages between two ranks keep their order, so one tag serves all partials of a pair. */
static int post_all(struct messages *m, const struct exchange *x)
{
    const struct collectives *c = &m->mpi.base;
    int64_t own = x->segment[c->rank + 1] - x->segment[c->rank];
    float *at = m->received;
    int mpi_rc = MPI_SUCCESS;
    int view = 0;
    for (int rank = 0; rank < c->size; rank++) {
        for (int k = 0; k < x->partial_count[rank]; k++, view++) {
            const float *buffer = m->partials + x->partial_buffer[rank][k] * x->stride;
            if (rank == c->rank) {
                x->segment_view[view] = buffer + x->segment[c->rank];
                x->tail_view[view] = buffer + x->tail_first;
                continue;
            }
            x->segment_view[view] = at;
            x->tail_view[view] = at + rounded(own);
            mpi_rc |= post_receive(m, at, own, rank, GRADIENT_TAG);
            mpi_rc |= post_receive(m, at + rounded(own), x->tail_floats, rank, TAIL_TAG);
            at += rounded(own) + rounded(x->tail_floats);
        }
    }
    for (int rank = 0; rank < c->size; rank++) {
        for (int k = 0; k < x->partial_count[c->rank] && rank != c->rank; k++) {
            const float *buffer = m->partials + x->partial_buffer[c->rank][k] * x->stride;
            int64_t theirs = x->segment[rank + 1] - x->segment[rank];
            mpi_rc |= post_send(m, buffer + x->segment[rank], theirs, rank, GRADIENT_TAG);
            mpi_rc |= post_send(m, buffer + x->tail_first, x->tail_floats, rank, TAIL_TAG);
        }
    }
    return mpi_rc;
}

static enum cam_code messages_exchange(struct collectives *c, const struct exchange *x,
                                       uint64_t *control, struct cam_err *err)
{
    struct messages *m = messages_of(c);
    m->request_count = 0;
    int mpi_rc = post_all(m, x);
    m->controls[c->rank] = *control;
    for (int rank = 0; rank < c->size; rank++) {
        if (rank != c->rank) {
            mpi_rc |= MPI_Irecv(&m->controls[rank], 1, MPI_UINT64_T, rank, CONTROL_TAG, m->mpi.comm,
                                &m->requests[m->request_count++]);
            mpi_rc |= MPI_Isend(&m->controls[c->rank], 1, MPI_UINT64_T, rank, CONTROL_TAG,
                                m->mpi.comm, &m->requests[m->request_count++]);
        }
    }
    mpi_rc |= MPI_Waitall(m->request_count, m->requests, MPI_STATUSES_IGNORE);
    for (int rank = 0; rank < c->size; rank++) {
        *control |= m->controls[rank];
    }
    return mpi_check(mpi_rc == MPI_SUCCESS ? MPI_SUCCESS : MPI_ERR_OTHER,
                     "the exchange of gradients", err);
}

static enum cam_code messages_share(struct collectives *c, float *replica, const int64_t *segment,
                                    struct cam_err *err)
{
    struct messages *m = messages_of(c);
    for (int rank = 0; rank < c->size; rank++) {
        m->counts[rank] = (int)(segment[rank + 1] - segment[rank]);
        m->starts[rank] = (int)segment[rank];
    }
    return mpi_check(MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, replica, m->counts,
                                    m->starts, MPI_FLOAT, m->mpi.comm),
                     "the gathering of parameters", err);
}

static enum cam_code messages_publish(struct collectives *c, float *replica, int64_t floats,
                                      struct cam_err *err)
{
    return mpi_broadcast(c, 0, replica, (size_t)floats * sizeof(float), err);
}

static const struct collectives_ops messages_ops = {
    .close = messages_close,
    .barrier = mpi_barrier,
    .broadcast = mpi_broadcast,
    .agree = mpi_agree,
    .replica = messages_replica,
    .partials = messages_partials,
    .reserve = messages_reserve,
    .exchange = messages_exchange,
    .share = messages_share,
    .publish = messages_publish,
    .collect = mpi_collect,
    .distribute = mpi_distribute,
};

enum cam_code mpi_messages_create(MPI_Comm comm, struct collectives **out, struct cam_err *err)
{
    struct messages *m = cam_alloc(1, sizeof *m);
    if (m == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "the collectives: out of memory");
    }
    m->mpi = (struct mpi_base){.base = {.name = "messages", .ops = &messages_ops}, .comm = comm};
    struct collectives *c = &m->mpi.base;
    enum cam_code rc = mpi_check(MPI_Comm_rank(comm, &c->rank), "MPI", err);
    if (rc == CAM_OK) {
        rc = mpi_check(MPI_Comm_size(comm, &c->size), "MPI", err);
    }
    if (rc == CAM_OK) {
        m->controls = cam_alloc((size_t)c->size, sizeof *m->controls);
        m->counts = cam_alloc((size_t)c->size, sizeof *m->counts);
        m->starts = cam_alloc((size_t)c->size, sizeof *m->starts);
        if (m->controls == NULL || m->counts == NULL || m->starts == NULL) {
            rc =
                cam_fail(err, CAM_NO_MEMORY, "the collectives of %d ranks: out of memory", c->size);
        }
    }
    if (rc != CAM_OK) {
        messages_close(c);
        return rc;
    }
    *out = c;
    return CAM_OK;
}
