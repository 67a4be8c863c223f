#include "base/status.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Here they are made: what analyzers are told of them is for others. */
#undef cam_fail
#undef cam_fail_errno

static const char *const NAMES[] = {
    [CAM_OK] = "ok",
    [CAM_INVALID] = "invalid",
    [CAM_NOT_FOUND] = "not-found",
    [CAM_NO_MEMORY] = "no-memory",
    [CAM_CONFLICT] = "conflict",
    [CAM_DENIED] = "denied",
    [CAM_UNAVAILABLE] = "unavailable",
    [CAM_IO] = "io",
    [CAM_DISK_FULL] = "disk-full",
    [CAM_CORRUPT] = "corrupt",
    [CAM_CHANGED] = "changed",
    [CAM_PROTOCOL] = "protocol",
    [CAM_TIMEOUT] = "timeout",
    [CAM_NON_FINITE] = "non-finite",
    [CAM_PEER_LOST] = "peer-lost",
    [CAM_STOPPED] = "stopped",
    [CAM_UNSUPPORTED] = "unsupported",
    [CAM_INTERNAL] = "internal",
};
_Static_assert(sizeof NAMES / sizeof NAMES[0] == CAM_CODE_COUNT, "every code needs a name");

enum cam_code cam_fail(struct cam_err *err, enum cam_code code, const char *format, ...)
{
    assert(code != CAM_OK);
    if (err != NULL) {
        va_list args;
        va_start(args, format);
        err->code = code;
        (void)vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
    }
    return code;
}

static enum cam_code code_of_errno(int error_number)
{
    switch (error_number) {
    case ENOSPC:
    case EDQUOT:
        return CAM_DISK_FULL;
    case ENOENT:
    case ENOTDIR:
        return CAM_NOT_FOUND;
    case ENOMEM:
        return CAM_NO_MEMORY;
    case EACCES:
    case EPERM:
    case EROFS:
        return CAM_DENIED;
    default:
        return CAM_IO;
    }
}

enum cam_code cam_fail_errno(struct cam_err *err, int error_number, const char *format, ...)
{
    enum cam_code code = code_of_errno(error_number);
    if (err != NULL) {
        va_list args;
        char reason[128];
        va_start(args, format);
        err->code = code;
        (void)vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
        size_t used = strlen(err->text);
        /* The GNU strerror_r may return a constant string instead of filling the buffer. */
        (void)snprintf(err->text + used, sizeof err->text - used, ": %s",
                       strerror_r(error_number, reason, sizeof reason));
    }
    return code;
}

void cam_err_prefix(struct cam_err *err, const char *format, ...)
{
    if (err == NULL) {
        return;
    }
    struct cam_err old = *err;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    size_t used = strlen(err->text);
    (void)snprintf(err->text + used, sizeof err->text - used, ": %s", old.text);
}

const char *cam_code_name(enum cam_code code)
{
    assert(code < CAM_CODE_COUNT);
    return NAMES[code];
}

enum cam_code cam_code_from_name(const char *name)
{
    for (int code = 0; code < CAM_CODE_COUNT; code++) {
        if (strcmp(NAMES[code], name) == 0) {
            return (enum cam_code)code;
        }
    }
    return CAM_INTERNAL;
}
