#include "daemon/checkpoints.h"

#include "proto/attempt.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The step in "step-000000000042", or -1: other names are unfinished work. */
static int64_t step_of(const char *name)
{
    static const char PREFIX[] = "step-";
    char *end = NULL;
    if (strncmp(name, PREFIX, sizeof PREFIX - 1) != 0) {
        return -1;
    }
    int64_t step = strtoll(name + sizeof PREFIX - 1, &end, 10);
    return *end == '\0' && end > name + sizeof PREFIX - 1 ? step : -1;
}

static int64_t largest_step(const char *folder)
{
    int64_t largest = -1;
    DIR *list = opendir(folder);
    if (list == NULL) {
        return -1;
    }
    for (const struct dirent *entry = readdir(list); entry != NULL; entry = readdir(list)) {
        int64_t step = step_of(entry->d_name);
        largest = step > largest ? step : largest;
    }
    (void)closedir(list);
    return largest;
}

void checkpoints_newest(const char *job_dir, int attempt, char out[CAM_PATH_SIZE],
                        int64_t *step_out)
{
    out[0] = '\0';
    *step_out = 0;
    for (int n = attempt; n >= 1; n--) {
        char folder[CAM_PATH_SIZE];
        struct cam_err ignored;
        if (attempt_path(job_dir, n, "checkpoints", folder, &ignored) != CAM_OK) {
            continue;
        }
        int64_t step = largest_step(folder);
        if (step >= 0 && out[0] == '\0') {
            (void)snprintf(out, CAM_PATH_SIZE, "attempts/%d/checkpoints/step-%012lld", n,
                           (long long)step);
        }
        *step_out = step > *step_out ? step : *step_out;
    }
}
