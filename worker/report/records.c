#include "worker/report/records.h"

#include "base/file.h"
#include "proto/attempt.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum cam_code write_record(const char *job_dir, int attempt, const char *file,
                                  json_t *record, struct cam_err *err)
{
    char path[CAM_PATH_SIZE];
    char *text = record == NULL ? NULL : json_dumps(record, JSON_INDENT(2));
    json_decref(record);
    if (text == NULL) {
        return cam_fail(err, CAM_NO_MEMORY, "%s: out of memory", file);
    }
    enum cam_code rc = attempt_path(job_dir, attempt, file, path, err);
    if (rc == CAM_OK) {
        rc = cam_file_replace(path, text, strlen(text), 0600, err);
    }
    free(text); /* jansson's */
    return rc;
}

/* A lost peer is no cause: its own account may still be on its way. */
static enum cam_code mark_failed(const char *job_dir, int attempt, enum cam_code why,
                                 struct cam_err *err)
{
    char path[CAM_PATH_SIZE];
    enum cam_code rc = attempt_path(job_dir, attempt, RECORDS_FAILED, path, err);
    if (rc != CAM_OK || why == CAM_PEER_LOST) {
        return rc;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return cam_fail_errno(err, errno, "cannot create %s", path);
    }
    (void)close(fd);
    return CAM_OK;
}

enum cam_code records_write_failure(const char *job_dir, int attempt, const struct failure *failure,
                                    struct cam_err *err)
{
    char file[64];
    (void)snprintf(file, sizeof file, "failure-%d.json", failure->rank);
    enum cam_code rc =
        write_record(job_dir, attempt, file,
                     json_pack("{ss ss si sI ss}", "code", cam_code_name(failure->code), "text",
                               failure->text, "rank", failure->rank, "step",
                               (json_int_t)failure->step, "phase", failure->phase),
                     err);
    return rc == CAM_OK ? mark_failed(job_dir, attempt, failure->code, err) : rc;
}

enum cam_code records_write_outcome(const char *job_dir, int attempt, const struct outcome *outcome,
                                    struct cam_err *err)
{
    return write_record(job_dir, attempt, "outcome.json",
                        json_pack("{ss ss sI ss sI}", "outcome", outcome->outcome, "weights_sha256",
                                  outcome->weights_sha256, "step", (json_int_t)outcome->step,
                                  "model", outcome->model, "peak_bytes",
                                  (json_int_t)outcome->peak_bytes),
                        err);
}
