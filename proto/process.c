#include "proto/process.h"

#include "base/file.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROC_BYTES_MAX = 64 * 1024 };

enum cam_code process_start_ticks(pid_t pid, int64_t *out, struct cam_err *err)
{
    enum { FIELDS_AFTER_NAME = 20 }; /* state is field 3, the start is field 22 */
    char path[64];
    char *text = NULL;
    size_t size = 0;
    (void)snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    enum cam_code rc = cam_file_read(path, PROC_BYTES_MAX, &text, &size, err);
    if (rc != CAM_OK) {
        return cam_fail(err, CAM_NOT_FOUND, "no process %ld", (long)pid);
    }
    /* The name is in brackets and may hold blanks and brackets: the last bracket ends it. */
    char *field = strrchr(text, ')');
    for (int i = 0; field != NULL && i < FIELDS_AFTER_NAME; i++) {
        field = strchr(field + 1, ' ');
    }
    if (field == NULL) {
        rc = cam_fail(err, CAM_CORRUPT, "%s: fewer fields than expected", path);
    } else {
        *out = strtoll(field + 1, NULL, 10);
    }
    cam_free(text);
    return rc;
}

enum cam_code process_boot_id(char out[PROCESS_BOOT_ID_SIZE], struct cam_err *err)
{
    char *text = NULL;
    size_t size = 0;
    enum cam_code rc =
        cam_file_read("/proc/sys/kernel/random/boot_id", PROC_BYTES_MAX, &text, &size, err);
    if (rc != CAM_OK) {
        return rc;
    }
    text[strcspn(text, "\n")] = '\0';
    (void)snprintf(out, PROCESS_BOOT_ID_SIZE, "%s", text);
    cam_free(text);
    return CAM_OK;
}
