/*
 * Collectives over MPI: windows where all ranks share a host, messages else.  Between MPI_Init and
 * MPI_Finalize, which are main's; MPI itself never shows in this header.
 */
#ifndef COLLECTIVES_MPI_H
#define COLLECTIVES_MPI_H

#include "worker/collectives/collectives.h"

#include <stdbool.h>

/* Chooses windows where it can, unless messages_only.  One rank gets `self`.
 * CAM_PEER_LOST, CAM_NO_MEMORY. */
CAM_CHECKED enum cam_code collectives_mpi(bool messages_only, struct collectives **out,
                                          struct cam_err *err);

#endif
