#include "worker/collectives/mpi.h"

#include "worker/collectives/mpi_common.h"

#include <string.h>

/* Bytes of one MPI message: counts are int. */
enum { PIECE_BYTES = 256 * 1024 * 1024, STATE_TAG = 7 };

struct mpi_base *mpi_base_of(struct collectives *c)
{
    return (struct mpi_base *)(void *)c;
}

enum cam_code mpi_check(int mpi_rc, const char *what, struct cam_err *err)
{
    if (mpi_rc == MPI_SUCCESS) {
        return CAM_OK;
    }
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    (void)MPI_Error_string(mpi_rc, text, &length);
    return cam_fail(err, CAM_PEER_LOST, "%s failed: %s", what, text);
}

enum cam_code mpi_barrier(struct collectives *c, struct cam_err *err)
{
    return mpi_check(MPI_Barrier(mpi_base_of(c)->comm), "a barrier", err);
}

enum cam_code mpi_broadcast(struct collectives *c, int root, void *bytes, size_t size,
                            struct cam_err *err)
{
    char *at = bytes;
    while (size > 0) {
        int piece = size > PIECE_BYTES ? PIECE_BYTES : (int)size;
        enum cam_code rc = mpi_check(MPI_Bcast(at, piece, MPI_BYTE, root, mpi_base_of(c)->comm),
                                     "a broadcast", err);
        if (rc != CAM_OK) {
            return rc;
        }
        at += piece;
        size -= (size_t)piece;
    }
    return CAM_OK;
}

enum cam_code mpi_agree(struct collectives *c, int64_t *value, struct cam_err *err)
{
    return mpi_check(
        MPI_Allreduce(MPI_IN_PLACE, value, 1, MPI_INT64_T, MPI_MAX, mpi_base_of(c)->comm),
        "an agreement", err);
}

/* Sends or receives any number of floats in messages that MPI can count. */
static enum cam_code move(struct collectives *c, float *floats, int64_t count, int peer, bool send,
                          struct cam_err *err)
{
    const int64_t most = PIECE_BYTES / (int64_t)sizeof(float);
    MPI_Comm comm = mpi_base_of(c)->comm;
    for (int64_t at = 0; at < count; at += most) {
        int piece = (int)(count - at < most ? count - at : most);
        int mpi_rc = send ? MPI_Send(floats + at, piece, MPI_FLOAT, peer, STATE_TAG, comm)
                          : MPI_Recv(floats + at, piece, MPI_FLOAT, peer, STATE_TAG, comm,
                                     MPI_STATUS_IGNORE);
        enum cam_code rc = mpi_check(mpi_rc, "moving the optimizer's state", err);
        if (rc != CAM_OK) {
            return rc;
        }
    }
    return CAM_OK;
}

/* MPI_Send takes a pointer to const; one function for both directions needs it without. */
static float *unconst(const float *floats)
{
    union {
        const float *in;
        float *out;
    } pun = {.in = floats};
    return pun.out;
}

enum cam_code mpi_collect(struct collectives *c, const float *mine, const int64_t *segment,
                          float *whole, struct cam_err *err)
{
    int64_t own = segment[c->rank + 1] - segment[c->rank];
    if (c->rank != 0) {
        return move(c, unconst(mine), own, 0, true, err);
    }
    memcpy(whole + segment[0], mine, (size_t)own * sizeof(float));
    enum cam_code rc = CAM_OK;
    for (int peer = 1; peer < c->size && rc == CAM_OK; peer++) {
        rc = move(c, whole + segment[peer], segment[peer + 1] - segment[peer], peer, false, err);
    }
    return rc;
}

enum cam_code mpi_distribute(struct collectives *c, const float *whole, const int64_t *segment,
                             float *mine, struct cam_err *err)
{
    int64_t own = segment[c->rank + 1] - segment[c->rank];
    if (c->rank != 0) {
        return move(c, mine, own, 0, false, err);
    }
    memcpy(mine, whole + segment[0], (size_t)own * sizeof(float));
    enum cam_code rc = CAM_OK;
    for (int peer = 1; peer < c->size && rc == CAM_OK; peer++) {
        rc = move(c, unconst(whole) + segment[peer], segment[peer + 1] - segment[peer], peer, true,
                  err);
    }
    return rc;
}

/* Whether all ranks of comm can share memory. */
static enum cam_code one_host(MPI_Comm comm, int size, bool *out, struct cam_err *err)
{
    MPI_Comm host = MPI_COMM_NULL;
    int mpi_rc = MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &host);
    int host_size = 0;
    if (mpi_rc == MPI_SUCCESS) {
        mpi_rc = MPI_Comm_size(host, &host_size);
        (void)MPI_Comm_free(&host);
    }
    int least = host_size;
    if (mpi_rc == MPI_SUCCESS) {
        mpi_rc = MPI_Allreduce(MPI_IN_PLACE, &least, 1, MPI_INT, MPI_MIN, comm);
    }
    *out = least == size;
    return mpi_check(mpi_rc, "finding the ranks of this host", err);
}

enum cam_code collectives_mpi(bool messages_only, struct collectives **out, struct cam_err *err)
{
    int size = 0;
    enum cam_code rc =
        mpi_check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI", err);
    if (rc == CAM_OK) {
        rc = mpi_check(MPI_Comm_size(MPI_COMM_WORLD, &size), "MPI", err);
    }
    if (rc != CAM_OK || size == 1) {
        return rc != CAM_OK ? rc : collectives_self(out, err);
    }
    bool shared = false;
    if (!messages_only) {
        rc = one_host(MPI_COMM_WORLD, size, &shared, err);
    }
    if (rc != CAM_OK) {
        return rc;
    }
    return shared ? mpi_windows_create(MPI_COMM_WORLD, out, err)
                  : mpi_messages_create(MPI_COMM_WORLD, out, err);
}
