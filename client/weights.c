/* cambrian weights: fetch model.safetensors and check it against the record, or digest a file. */
#include "proto/safetensors.h"

#include "client/output.h"
#include "client/show.h"

#include <stdio.h>
#include <string.h>

static enum cam_code print_digest(const char *path, struct cam_err *err)
{
    char hex[CAM_DIGEST_HEX_SIZE];
    enum cam_code rc = safetensors_digest(path, hex, err);
    if (rc != CAM_OK) {
        return rc;
    }
    struct cam_text text = {0};
    cam_text_add(&text, "%s  %s\n", hex, path);
    return output_text(&text, err);
}

/* The digest that the daemon recorded; "" for a job that has not succeeded. */
static enum cam_code recorded_digest(const struct invocation *in, int64_t id,
                                     char out[CAM_DIGEST_HEX_SIZE], struct cam_err *err)
{
    Cam__Envelope *reply = NULL;
    enum cam_code rc = show_ask(in, id, &reply, err);
    if (rc == CAM_OK) {
        (void)snprintf(out, CAM_DIGEST_HEX_SIZE, "%s", reply->show_reply->job->weights_sha256);
        cam__envelope__free_unpacked(reply, NULL);
    }
    return rc;
}

/* What was written must be what was trained. */
static enum cam_code check_digest(const char *path, const char *recorded, struct cam_err *err)
{
    char hex[CAM_DIGEST_HEX_SIZE];
    enum cam_code rc = safetensors_digest(path, hex, err);
    if (rc == CAM_OK && recorded[0] != '\0' && strcmp(hex, recorded) != 0) {
        rc = cam_fail(err, CAM_CORRUPT, "%s: its digest is %s, the job's record says %s", path, hex,
                      recorded);
    }
    return rc;
}

/* FOLDER/vocabulary.json, where the model says what its tokens mean; *out is then its path. */
static enum cam_code write_vocabulary(const char *model, const char *folder,
                                      char out[CAM_PATH_SIZE], struct cam_err *err)
{
    struct safetensors *file = NULL;
    enum cam_code rc = safetensors_open(model, &file, err);
    const char *vocabulary = rc == CAM_OK ? safetensors_metadata(file, "vocabulary") : NULL;
    out[0] = '\0';
    if (vocabulary != NULL) {
        rc = cam_path(out, err, "%s/vocabulary.json", folder);
    }
    if (rc == CAM_OK && vocabulary != NULL) {
        rc = cam_file_replace(out, vocabulary, strlen(vocabulary), 0666, err);
    }
    safetensors_close(file);
    return rc;
}

static enum cam_code fetch(const struct invocation *in, int64_t id, const char *folder,
                           struct cam_err *err)
{
    char path[CAM_PATH_SIZE];
    char recorded[CAM_DIGEST_HEX_SIZE] = "";
    struct output_file out;
    Cam__WeightsRequest weights = CAM__WEIGHTS_REQUEST__INIT;
    weights.id = id;
    Cam__Envelope request = CAM__ENVELOPE__INIT;
    request.body_case = CAM__ENVELOPE__BODY_WEIGHTS_REQUEST;
    request.weights_request = &weights;
    enum cam_code rc = recorded_digest(in, id, recorded, err);
    if (rc == CAM_OK) {
        rc = cam_path(path, err, "%s/model.safetensors", folder);
    }
    if (rc == CAM_OK) {
        rc = cam_folder_create(folder, 0777, err);
    }
    if (rc == CAM_OK) {
        rc = output_file_open(&out, path, err);
    }
    if (rc != CAM_OK) {
        return rc;
    }
    rc = connection_fetch(in, &request, output_file_take, &out, err);
    if (rc == CAM_OK) {
        rc = check_digest(out.temporary, recorded, err);
    }
    if (rc == CAM_OK) {
        rc = output_file_commit(&out, err);
    }
    output_file_close(&out);
    char vocabulary[CAM_PATH_SIZE] = "";
    if (rc == CAM_OK) {
        rc = write_vocabulary(path, folder, vocabulary, err);
    }
    if (rc == CAM_OK) {
        struct cam_text text = {0};
        cam_text_add(&text, "%s\n", path);
        if (vocabulary[0] != '\0') {
            cam_text_add(&text, "%s\n", vocabulary);
        }
        rc = output_text(&text, err);
    }
    return rc;
}

enum cam_code command_weights(struct invocation *in, struct cam_err *err)
{
    if (in->given[OPTION_DIGEST]) {
        return print_digest(in->arguments[0], err);
    }
    int64_t id = 0;
    enum cam_code rc = invocation_id(in, 0, &id, err);
    if (rc == CAM_OK && !in->given[OPTION_OUTPUT]) {
        rc = invocation_fail(in, err, "-o FOLDER is missing: where to write model.safetensors");
    }
    return rc == CAM_OK ? fetch(in, id, in->values[OPTION_OUTPUT], err) : rc;
}
