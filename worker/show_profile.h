/*
 * The numeric profile that jobs have on this host, for the daemon: asked before a later attempt of
 * a job is started.
 */
#ifndef SHOW_PROFILE_H
#define SHOW_PROFILE_H

#include "base/status.h"
#include "worker/options.h"

#include <stdio.h>

/* One line of JSON, as proto/profile.h compares it; test: as identity_numbers.test. */
CAM_CHECKED enum cam_code show_profile(const struct worker_options *options, const char *test,
                                       FILE *out, struct cam_err *err);

#endif
