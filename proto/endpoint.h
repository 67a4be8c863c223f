/*
 * Where a daemon listens and keeps its state when nobody says otherwise: the one rule that client
 * and daemon must share.  Pure but for getenv and getuid; any thread while nobody calls setenv.
 *
 *   who        socket                                    state folder
 *   root       /run/cambrian/cambriand.sock              /var/lib/cambrian
 *   a user     $XDG_RUNTIME_DIR/cambrian/cambriand.sock  $XDG_STATE_HOME/cambrian, or
 *              or, where that is not set,                ~/.local/state/cambrian
 *              STATE/cambriand.sock
 *
 * Root ignores XDG_RUNTIME_DIR: a root shell often has one and the system daemon has none, and
 * the two must meet.
 */
#ifndef ENDPOINT_H
#define ENDPOINT_H

#include "base/file.h"
#include "base/status.h"

#include <sys/types.h>

/* What the rule looks at; for tests and for endpoint_default.  NULL or "" : not set. */
struct endpoint_surroundings {
    uid_t uid;
    const char *home;
    const char *xdg_runtime_dir;
    const char *xdg_state_home;
};

/* The daemon's socket and state folder in the given surroundings.  CAM_NOT_FOUND where a user has
 * neither a home nor the variables above; CAM_INVALID where the path does not fit. */
CAM_CHECKED enum cam_code endpoint_socket(const struct endpoint_surroundings *around,
                                          char out[CAM_PATH_SIZE], struct cam_err *err);
CAM_CHECKED enum cam_code endpoint_state_dir(const struct endpoint_surroundings *around,
                                             char out[CAM_PATH_SIZE], struct cam_err *err);

/* The same from this process's environment. */
CAM_CHECKED enum cam_code endpoint_default(char out[CAM_PATH_SIZE], struct cam_err *err);
CAM_CHECKED enum cam_code endpoint_default_state_dir(char out[CAM_PATH_SIZE], struct cam_err *err);

#endif
