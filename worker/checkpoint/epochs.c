#include "worker/checkpoint/epochs.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EPOCHS_BYTES_MAX = 256 * 1024 * 1024 };

static void add_row(struct cam_text *text, const struct epoch_row *row)
{
    cam_text_add(text, "{\"epoch\":%lld,\"steps\":%lld,\"seconds\":%.6f,\"samples_per_s\":%.3f,",
                 (long long)row->epoch, (long long)row->steps, row->seconds, row->samples_per_s);
    cam_text_add(text, "\"metrics\":{");
    for (int i = 0; i < row->metric_count; i++) {
        cam_text_add(text, "%s\"%s\":%.17g", i == 0 ? "" : ",", row->metric_name[i],
                     row->metric[i]);
    }
    cam_text_add(text, "}}\n");
}

/* Whether the file's last byte ends a line; an empty file does. */
static enum cam_code ends_line(int fd, const char *path, bool *out, struct cam_err *err)
{
    off_t size = lseek(fd, 0, SEEK_END);
    char last = '\n';
    if (size < 0 || (size > 0 && pread(fd, &last, 1, size - 1) != 1)) {
        return cam_fail_errno(err, errno, "cannot read %s", path);
    }
    *out = last == '\n';
    return CAM_OK;
}

enum cam_code epochs_append(const char *path, const struct epoch_row *row, struct cam_err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) {
        return cam_fail_errno(err, errno, "cannot open %s", path);
    }
    struct cam_text text = {0};
    bool whole = true;
    enum cam_code rc = ends_line(fd, path, &whole, err);
    if (rc == CAM_OK) {
        cam_text_add(&text, "%s", whole ? "" : "\n");
        add_row(&text, row);
        rc = cam_text_ok(&text) ? cam_file_write_all(fd, text.bytes, text.size, path, err)
                                : cam_fail(err, CAM_NO_MEMORY, "%s: out of memory", path);
    }
    if (rc == CAM_OK && fsync(fd) != 0) {
        rc = cam_fail_errno(err, errno, "cannot sync %s", path);
    }
    cam_text_release(&text);
    (void)close(fd);
    return rc;
}

/* The epoch of one whole line, or 0 for anything that is none. */
static int64_t epoch_of(const char *line, size_t size)
{
    static const char start[] = "{\"epoch\":";
    if (size < sizeof start || memcmp(line, start, sizeof start - 1) != 0 ||
        line[size - 1] != '}') {
        return 0;
    }
    return strtoll(line + sizeof start - 1, NULL, 10);
}

enum cam_code epochs_last(const char *path, int64_t *out, struct cam_err *err)
{
    char *text = NULL;
    size_t size = 0;
    struct cam_err found;
    *out = 0;
    enum cam_code rc = cam_file_read(path, EPOCHS_BYTES_MAX, &text, &size, &found);
    if (rc == CAM_NOT_FOUND) {
        return CAM_OK;
    }
    if (rc != CAM_OK) {
        *err = found;
        return rc;
    }
    const char *line = text;
    const char *end = text + size;
    while (line < end) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        if (stop == NULL) {
            break; /* cut off by a crash */
        }
        int64_t epoch = epoch_of(line, (size_t)(stop - line));
        *out = epoch > *out ? epoch : *out;
        line = stop + 1;
    }
    cam_free(text);
    return CAM_OK;
}
