#include "proto/endpoint.h"

#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

static bool is_set(const char *value)
{
    return value != NULL && value[0] != '\0';
}

static struct endpoint_surroundings surroundings(void)
{
    return (struct endpoint_surroundings){
        .uid = getuid(),
        .home = getenv("HOME"),
        .xdg_runtime_dir = getenv("XDG_RUNTIME_DIR"),
        .xdg_state_home = getenv("XDG_STATE_HOME"),
    };
}

enum cam_code endpoint_state_dir(const struct endpoint_surroundings *around,
                                 char out[CAM_PATH_SIZE], struct cam_err *err)
{
    if (around->uid == 0) {
        return cam_path(out, err, "/var/lib/cambrian");
    }
    if (is_set(around->xdg_state_home)) {
        return cam_path(out, err, "%s/cambrian", around->xdg_state_home);
    }
    if (is_set(around->home)) {
        return cam_path(out, err, "%s/.local/state/cambrian", around->home);
    }
    return cam_fail(err, CAM_NOT_FOUND,
                    "no state folder: neither XDG_STATE_HOME nor HOME is set; use --state-dir");
}

enum cam_code endpoint_socket(const struct endpoint_surroundings *around, char out[CAM_PATH_SIZE],
                              struct cam_err *err)
{
    if (around->uid == 0) {
        return cam_path(out, err, "/run/cambrian/cambriand.sock");
    }
    if (is_set(around->xdg_runtime_dir)) {
        return cam_path(out, err, "%s/cambrian/cambriand.sock", around->xdg_runtime_dir);
    }
    char state_dir[CAM_PATH_SIZE];
    enum cam_code rc = endpoint_state_dir(around, state_dir, err);
    return rc != CAM_OK ? cam_fail(err, CAM_NOT_FOUND,
                                   "no socket: none of XDG_RUNTIME_DIR, XDG_STATE_HOME and HOME "
                                   "is set; use --socket")
                        : cam_path(out, err, "%.*s/cambriand.sock", CAM_PATH_SIZE - 32, state_dir);
}

enum cam_code endpoint_default(char out[CAM_PATH_SIZE], struct cam_err *err)
{
    struct endpoint_surroundings around = surroundings();
    return endpoint_socket(&around, out, err);
}

enum cam_code endpoint_default_state_dir(char out[CAM_PATH_SIZE], struct cam_err *err)
{
    struct endpoint_surroundings around = surroundings();
    return endpoint_state_dir(&around, out, err);
}
