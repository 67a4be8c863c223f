/*
 * Asking for one job, as show, watch and weights do.
 */
#ifndef SHOW_H
#define SHOW_H

#include "client/connection.h"

/* reply->show_reply->job is the job with its epochs; ends with cam__envelope__free_unpacked. */
CAM_CHECKED enum cam_code show_ask(const struct invocation *in, int64_t id, Cam__Envelope **out,
                                   struct cam_err *err);

#endif
