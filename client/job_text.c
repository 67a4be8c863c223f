#include "client/job_text.h"

#include "base/mem.h"
#include "base/text.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Static_assert(CAM_PATH_SIZE >= PATH_MAX, "realpath writes PATH_MAX bytes");

static enum cam_code read_stdin(struct job_source *out, struct cam_err *err)
{
    enum { PIECE_BYTES = 64 * 1024 };
    struct cam_text text = {0};
    char piece[PIECE_BYTES];
    for (;;) {
        ssize_t got = read(STDIN_FILENO, piece, sizeof piece);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            cam_text_release(&text);
            return cam_fail_errno(err, errno, "standard input");
        }
        if (got == 0) {
            break;
        }
        cam_text_add_bytes(&text, piece, (size_t)got);
        if (text.size > JOBFILE_BYTES_MAX) {
            cam_text_release(&text);
            return cam_fail(err, CAM_INVALID, "-: more than %d bytes, no job file is that long",
                            JOBFILE_BYTES_MAX);
        }
    }
    cam_text_add(&text, "%s", "");
    if (!cam_text_ok(&text)) {
        return cam_fail(err, CAM_NO_MEMORY, "standard input: out of memory");
    }
    out->bytes = text.bytes;
    out->text.size = text.size;
    if (getcwd(out->base_dir, sizeof out->base_dir) == NULL) {
        return cam_fail_errno(err, errno, "the working folder");
    }
    return CAM_OK;
}

static enum cam_code read_file(const char *path, struct job_source *out, struct cam_err *err)
{
    enum cam_code rc = cam_file_read(path, JOBFILE_BYTES_MAX, &out->bytes, &out->text.size, err);
    if (rc != CAM_OK) {
        return rc;
    }
    char copy[CAM_PATH_SIZE];
    rc = cam_path(copy, err, "%s", path);
    if (rc == CAM_OK && realpath(dirname(copy), out->base_dir) == NULL) {
        rc = cam_fail_errno(err, errno, "the folder of %s", path);
    }
    return rc;
}

enum cam_code job_source_read(const struct invocation *in, struct job_source *out,
                              struct cam_err *err)
{
    const char *path = in->arguments[0];
    *out = (struct job_source){.text = {.file_name = path}};
    enum cam_code rc = strcmp(path, "-") == 0 ? read_stdin(out, err) : read_file(path, out, err);
    if (rc != CAM_OK) {
        job_source_release(out);
        return rc;
    }
    out->text.text = out->bytes;
    out->text.base_dir = out->base_dir;
    out->text.set = in->set.value;
    out->text.set_count = in->set.count;
    return CAM_OK;
}

void job_source_release(struct job_source *source)
{
    cam_free(source->bytes);
    source->bytes = NULL;
}
