#include "base/mem.h"
#include "worker/collectives/mpi_common.h"

#include <assert.h>
#include <stdatomic.h>

enum { WINDOWS_MAX = 8 };

/*
 * Ranks of one host.  A replica is one copy, allocated by rank 0's share of a window; partials are
 * each rank's share of another.  So an exchange moves nothing: it is a barrier after which peers'
 * buffers may be read in place, and a share is the barrier that ends the reading.
 *
 * The control words stand in a third window.  Word [parity][rank] is written before the barrier of
 * an exchange and read after it; the two parities keep a fast rank's next word from a slow reader.
 */
struct windows {
    struct mpi_base mpi;
    MPI_Win window[WINDOWS_MAX];
    int window_count;
    float *const *peer_partials; /* by rank */
    _Atomic uint64_t *control;
    unsigned parity;
};

static struct windows *windows_of(struct collectives *c)
{
    return (struct windows *)(void *)c;
}

static void windows_close(struct collectives *c)
{
    struct windows *w = windows_of(c);
    for (int i = 0; i < w->window_count; i++) {
        (void)MPI_Win_unlock_all(w->window[i]);
        (void)MPI_Win_free(&w->window[i]);
    }
    cam_free((void *)(uintptr_t)w->peer_partials);
    cam_free(w);
}

/* A window with `bytes` of this rank's own (they may differ); *mine is its start. */
static enum cam_code take_window(struct windows *w, int64_t bytes, void *mine, struct cam_err *err)
{
    assert(w->window_count < WINDOWS_MAX);
    MPI_Info info = MPI_INFO_NULL;
    MPI_Win window = MPI_WIN_NULL;
    int mpi_rc = MPI_Info_create(&info);
    if (mpi_rc == MPI_SUCCESS) {
        /* Each rank's share then starts on its own page. */
        mpi_rc = MPI_Info_set(info, "alloc_shared_noncontig", "true");
    }
    if (mpi_rc == MPI_SUCCESS) {
        mpi_rc = MPI_Win_allocate_shared((MPI_Aint)bytes, 1, info, w->mpi.comm, mine, &window);
    }
    if (info != MPI_INFO_NULL) {
        (void)MPI_Info_free(&info);
    }
    if (mpi_rc == MPI_SUCCESS) {
        w->window[w->window_count++] = window;
        mpi_rc = MPI_Win_lock_all(MPI_MODE_NOCHECK, window);
    }
    return mpi_check(mpi_rc, "taking memory that ranks share", err);
}

static enum cam_code peer_start(struct windows *w, int window, int rank, void *start,
                                struct cam_err *err)
{
    MPI_Aint size = 0;
    int unit = 0;
    return mpi_check(MPI_Win_shared_query(w->window[window], rank, &size, &unit, start),
                     "finding memory that ranks share", err);
}

static void zero(float *floats, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        floats[i] = 0.0F;
    }
}

/* All ranks' writes before it are seen by all ranks after it. */
static enum cam_code fence(struct collectives *c, struct cam_err *err)
{
    struct windows *w = windows_of(c);
    int mpi_rc = MPI_SUCCESS;
    for (int i = 0; i < w->window_count && mpi_rc == MPI_SUCCESS; i++) {
        mpi_rc = MPI_Win_sync(w->window[i]);
    }
    if (mpi_rc == MPI_SUCCESS) {
        mpi_rc = MPI_Barrier(w->mpi.comm);
    }
    for (int i = 0; i < w->window_count && mpi_rc == MPI_SUCCESS; i++) {
        mpi_rc = MPI_Win_sync(w->window[i]);
    }
    return mpi_check(mpi_rc, "a barrier", err);
}

static enum cam_code windows_replica(struct collectives *c, int64_t floats, float **out,
                                     struct cam_err *err)
{
    struct windows *w = windows_of(c);
    void *mine = NULL;
    int64_t bytes = c->rank == 0 ? floats * (int64_t)sizeof(float) : 0;
    enum cam_code rc = take_window(w, bytes, &mine, err);
    void *start = NULL;
    if (rc == CAM_OK) {
        rc = peer_start(w, w->window_count - 1, 0, &start, err);
    }
    if (rc == CAM_OK) {
        *out = start;
        if (c->rank == 0) {
            zero(*out, floats);
        }
        rc = fence(c, err);
    }
    return rc;
}

static enum cam_code windows_partials(struct collectives *c, int64_t floats, float **out,
                                      struct cam_err *err)
{
    struct windows *w = windows_of(c);
    void *mine = NULL;
    enum cam_code rc = take_window(w, floats * (int64_t)sizeof(float), &mine, err);
    if (rc != CAM_OK) {
        return rc;
    }
    float **peers = cam_alloc((size_t)c->size, sizeof *peers);
    if (peers == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "the table of %d ranks: out of memory", c->size);
    }
    w->peer_partials = peers;
    for (int rank = 0; rank < c->size && rc == CAM_OK; rank++) {
        void *start = NULL;
        rc = peer_start(w, w->window_count - 1, rank, &start, err);
        peers[rank] = start;
    }
    *out = mine;
    zero(*out, floats);
    return rc;
}

static enum cam_code windows_reserve(struct collectives *c, const struct exchange *x,
                                     struct cam_err *err)
{
    (void)c;
    (void)x;
    (void)err;
    return CAM_OK;
}

static enum cam_code windows_exchange(struct collectives *c, const struct exchange *x,
                                      uint64_t *control, struct cam_err *err)
{
    struct windows *w = windows_of(c);
    _Atomic uint64_t *words = w->control + w->parity * (unsigned)c->size;
    w->parity ^= 1;
    atomic_store(&words[c->rank], *control);
    enum cam_code rc = fence(c, err);
    if (rc != CAM_OK) {
        return rc;
    }
    int view = 0;
    for (int rank = 0; rank < c->size; rank++) {
        *control |= atomic_load(&words[rank]);
        for (int k = 0; k < x->partial_count[rank]; k++) {
            const float *buffer = w->peer_partials[rank] + x->partial_buffer[rank][k] * x->stride;
            x->segment_view[view] = buffer + x->segment[c->rank];
            x->tail_view[view++] = buffer + x->tail_first;
        }
    }
    return CAM_OK;
}

static enum cam_code windows_share(struct collectives *c, float *replica, const int64_t *segment,
                                   struct cam_err *err)
{
    (void)replica;
    (void)segment;
    return fence(c, err);
}

static enum cam_code windows_publish(struct collectives *c, float *replica, int64_t floats,
                                     struct cam_err *err)
{
    (void)replica;
    (void)floats;
    return fence(c, err);
}

static const struct collectives_ops windows_ops = {
    .close = windows_close,
    .barrier = mpi_barrier,
    .broadcast = mpi_broadcast,
    .agree = mpi_agree,
    .replica = windows_replica,
    .partials = windows_partials,
    .reserve = windows_reserve,
    .exchange = windows_exchange,
    .share = windows_share,
    .publish = windows_publish,
    .collect = mpi_collect,
    .distribute = mpi_distribute,
};

enum cam_code mpi_windows_create(MPI_Comm comm, struct collectives **out, struct cam_err *err)
{
    struct windows *w = cam_alloc(1, sizeof *w);
    if (w == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "the collectives: out of memory");
    }
    w->mpi = (struct mpi_base){.base = {.name = "windows", .ops = &windows_ops}, .comm = comm};
    struct collectives *c = &w->mpi.base;
    enum cam_code rc = mpi_check(MPI_Comm_rank(comm, &c->rank), "MPI", err);
    if (rc == CAM_OK) {
        rc = mpi_check(MPI_Comm_size(comm, &c->size), "MPI", err);
    }
    void *mine = NULL;
    void *start = NULL;
    if (rc == CAM_OK) {
        int64_t words = c->rank == 0 ? 2 * (int64_t)c->size : 0;
        rc = take_window(w, words * (int64_t)sizeof(uint64_t), &mine, err);
    }
    if (rc == CAM_OK) {
        rc = peer_start(w, 0, 0, &start, err);
    }
    if (rc != CAM_OK) {
        windows_close(c);
        return rc;
    }
    w->control = start;
    *out = c;
    return CAM_OK;
}
