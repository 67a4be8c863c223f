#include "base/status.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
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
    [CAM_OTHER_PROFILE] = "other-profile",
    [CAM_INTERNAL] = "internal",
};
_Static_assert(sizeof NAMES / sizeof NAMES[0] == CAM_CODE_COUNT, "every code needs a name");

/* How many bytes the character at text has; 0 where it is no UTF-8. */
static size_t character_bytes(const unsigned char *text)
{
    static const struct {
        unsigned char least; /* of the first byte */
        unsigned char most;
        unsigned char second_least;
        unsigned char second_most;
        unsigned char bytes;
    } FORMS[] = {
        {0x01, 0x7f, 0x00, 0xff, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < sizeof FORMS / sizeof FORMS[0]; i++) {
        if (text[0] < FORMS[i].least || text[0] > FORMS[i].most) {
            continue;
        }
        bool good = text[1] >= FORMS[i].second_least && text[1] <= FORMS[i].second_most;
        for (size_t k = 2; good && k < FORMS[i].bytes; k++) {
            good = (text[k] & 0xc0) == 0x80; /* false at the text's end too */
        }
        return good ? FORMS[i].bytes : 0;
    }
    return 0;
}

/* Of ASCII, and those that follow it (U+0080 to U+009F). */
static bool is_control(const unsigned char *text)
{
    return text[0] < ' ' || text[0] == 0x7f || (text[0] == 0xc2 && text[1] < 0xa0);
}

bool cam_utf8_ok(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    while (*at != '\0') {
        size_t size = character_bytes(at);
        if (size == 0) {
            return false;
        }
        at += size;
    }
    return true;
}

void cam_utf8_mend(char *text)
{
    unsigned char *at = (unsigned char *)text;
    while (*at != '\0') {
        size_t size = character_bytes(at);
        if (size == 0 || is_control(at)) {
            *at = '?';
            size = 0; /* what followed it is looked at anew */
        }
        at += size == 0 ? 1 : size;
    }
}

enum cam_code cam_fail(struct cam_err *err, enum cam_code code, const char *format, ...)
{
    assert(code != CAM_OK);
    if (err != NULL) {
        va_list args;
        va_start(args, format);
        err->code = code;
        (void)vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
        cam_utf8_mend(err->text);
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
        va_start(args, format);
        err->code = code;
        (void)vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
        size_t used = strlen(err->text);
        /* A constant.  strerror_r takes heap memory where it comes from a newer C library. */
        const char *reason = strerrordesc_np(error_number);
        (void)snprintf(err->text + used, sizeof err->text - used, ": %s",
                       reason == NULL ? "unknown error" : reason);
        cam_utf8_mend(err->text);
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
    cam_utf8_mend(err->text);
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
