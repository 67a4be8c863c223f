/*
 * Status codes and error messages shared by client, daemon and worker.
 *
 * A fallible function returns an enum cam_code and takes a struct cam_err as its last
 * parameter.  On CAM_OK the struct is untouched; otherwise it holds one line of text that
 * names the thing that failed.  The caller owns the struct, usually on its stack.
 *
 * The text is for the person who submitted the job: what, on which thing, what was found and
 * what is allowed.  It travels worker -> daemon -> database row -> client unchanged.
 */
#ifndef CAM_STATUS_H
#define CAM_STATUS_H

#include <stdbool.h>

enum cam_code {
    CAM_OK = 0,
    CAM_INVALID,       /* the caller's input is wrong; retrying cannot help */
    CAM_NOT_FOUND,     /* the named thing does not exist */
    CAM_NO_MEMORY,     /* the heap, or the memory that a plan needs, is short */
    CAM_CONFLICT,      /* not legal in the present state (resume of a running job) */
    CAM_DENIED,        /* the caller may not do this */
    CAM_UNAVAILABLE,   /* cannot be done now; the same request may succeed later */
    CAM_IO,            /* the disk or a file failed */
    CAM_DISK_FULL,     /* ENOSPC or EDQUOT */
    CAM_CORRUPT,       /* stored bytes are not what was written (digest, truncation, format) */
    CAM_CHANGED,       /* the data differ from what the job was started with */
    CAM_PROTOCOL,      /* a peer sent what the protocol does not allow */
    CAM_TIMEOUT,       /* a limit passed */
    CAM_NON_FINITE,    /* a NaN or infinity where a loss or a gradient should be */
    CAM_PEER_LOST,     /* a process or connection that should live is gone */
    CAM_STOPPED,       /* ended because somebody asked */
    CAM_UNSUPPORTED,   /* known, but not by this build or backend */
    CAM_OTHER_PROFILE, /* the numeric profile is not that of the job's first attempt */
    CAM_INTERNAL,      /* an invariant does not hold; a defect of ours */
    CAM_CODE_COUNT,
};

struct cam_err {
    enum cam_code code;
    char text[1016]; /* room for two paths and a sentence */
};

#define CAM_CHECKED __attribute__((warn_unused_result))

/* Fills err (may be NULL) and returns code, so a failure reads as one return statement. */
enum cam_code cam_fail(struct cam_err *err, enum cam_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As cam_fail for a failed system call: picks CAM_DISK_FULL, CAM_NOT_FOUND, CAM_NO_MEMORY,
 * CAM_DENIED or CAM_IO by error_number and appends ": " and the system's text for it. */
enum cam_code cam_fail_errno(struct cam_err *err, int error_number, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Whether all of a text is UTF-8. */
bool cam_utf8_ok(const char *text);

/* Makes each byte that is no UTF-8 a question mark, such as of a path or of a text cut short: JSON
 * takes nothing else.  Control characters too: a terminal or a log would obey them. */
void cam_utf8_mend(char *text);

/* Puts "prefix: " before the text already in err; err may be NULL. */
void cam_err_prefix(struct cam_err *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#ifdef __clang_analyzer__
/* The analyzer sees one file at a time: here it is told that no failure is CAM_OK. */
/* NOLINTBEGIN(readability-identifier-naming): they stand for the functions */
#define cam_fail(err, code, ...) ((cam_fail)((err), (code), __VA_ARGS__), (code))
#define cam_fail_errno(err, ...) ((cam_fail_errno)((err), __VA_ARGS__), CAM_IO)
/* NOLINTEND(readability-identifier-naming) */
#endif

/* The stable name of a code, as stored and as shown in JSON ("not-found"). */
const char *cam_code_name(enum cam_code code);

/* The code of a name; CAM_INTERNAL for a name nobody knows. */
enum cam_code cam_code_from_name(const char *name);

#endif
