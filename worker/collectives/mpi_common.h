/*
 * What the two MPI implementations share: the communicator, MPI's errors, and the calls that are
 * alike.  Only for collectives/mpi*.c.
 */
#ifndef COLLECTIVES_MPI_COMMON_H
#define COLLECTIVES_MPI_COMMON_H

#include "worker/collectives/collectives.h"

#include <mpi.h>

struct mpi_base {
    struct collectives base; /* first: a struct collectives * is a struct mpi_base * */
    MPI_Comm comm;
};

struct mpi_base *mpi_base_of(struct collectives *c);

/* Turns MPI's return value into ours; `what` is the call in words ("the exchange of gradients"). */
CAM_CHECKED enum cam_code mpi_check(int mpi_rc, const char *what, struct cam_err *err);

enum cam_code mpi_barrier(struct collectives *c, struct cam_err *err);
enum cam_code mpi_broadcast(struct collectives *c, int root, void *bytes, size_t size,
                            struct cam_err *err);
enum cam_code mpi_agree(struct collectives *c, int64_t *value, struct cam_err *err);
enum cam_code mpi_collect(struct collectives *c, const float *mine, const int64_t *segment,
                          float *whole, struct cam_err *err);
enum cam_code mpi_distribute(struct collectives *c, const float *whole, const int64_t *segment,
                             float *mine, struct cam_err *err);

CAM_CHECKED enum cam_code mpi_windows_create(MPI_Comm comm, struct collectives **out,
                                             struct cam_err *err);
CAM_CHECKED enum cam_code mpi_messages_create(MPI_Comm comm, struct collectives **out,
                                              struct cam_err *err);

#endif
