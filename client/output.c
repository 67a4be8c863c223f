#include "client/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum cam_code print(const char *text, size_t size, struct cam_err *err)
{
    if (fwrite(text, 1, size, stdout) != size || fflush(stdout) != 0) {
        return cam_fail_errno(err, errno, "standard output");
    }
    return CAM_OK;
}

enum cam_code output_text(struct cam_text *text, struct cam_err *err)
{
    enum cam_code rc = cam_text_ok(text)
                           ? print(text->bytes != NULL ? text->bytes : "", text->size, err)
                           : cam_fail(err, CAM_NO_MEMORY, "out of memory");
    cam_text_release(text);
    return rc;
}

enum cam_code output_json(json_t *value, struct cam_err *err)
{
    char *text = value != NULL ? json_dumps(value, JSON_INDENT(2)) : NULL;
    json_decref(value);
    if (text == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "JSON: out of memory, or a text that is not UTF-8");
    }
    enum cam_code rc = print(text, strlen(text), err);
    free(text);
    return rc == CAM_OK ? print("\n", 1, err) : rc;
}

enum cam_code output_file_open(struct output_file *file, const char *path, struct cam_err *err)
{
    *file = (struct output_file){.fd = -1};
    if (strcmp(path, "-") == 0) {
        file->is_stdout = true;
        file->fd = STDOUT_FILENO;
        return CAM_OK;
    }
    enum cam_code rc = cam_path(file->path, err, "%s", path);
    if (rc == CAM_OK) {
        rc = cam_path(file->temporary, err, "%s.tmp", path);
    }
    if (rc != CAM_OK) {
        return rc;
    }
    file->fd = open(file->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return file->fd >= 0 ? CAM_OK : cam_fail_errno(err, errno, "%s", file->temporary);
}

enum cam_code output_file_take(void *context, const void *bytes, size_t size, struct cam_err *err)
{
    struct output_file *file = context;
    return cam_file_write_all(file->fd, bytes, size,
                              file->is_stdout ? "standard output" : file->temporary, err);
}

enum cam_code output_file_commit(struct output_file *file, struct cam_err *err)
{
    if (file->is_stdout) {
        return CAM_OK;
    }
    int fd = file->fd;
    file->fd = -1;
    if (fsync(fd) != 0 || close(fd) != 0) {
        return cam_fail_errno(err, errno, "%s", file->temporary);
    }
    if (rename(file->temporary, file->path) != 0) {
        return cam_fail_errno(err, errno, "%s", file->path);
    }
    file->temporary[0] = '\0';
    return CAM_OK;
}

void output_file_close(struct output_file *file)
{
    if (!file->is_stdout && file->fd >= 0) {
        (void)close(file->fd);
    }
    if (!file->is_stdout && file->temporary[0] != '\0') {
        (void)unlink(file->temporary);
    }
    file->fd = -1;
}
