/* cambrian samples: what rank 0 drew after an epoch: a PNG of images, a CSV of points. */
#include "client/connection.h"
#include "client/output.h"

enum cam_code command_samples(struct invocation *in, struct cam_err *err)
{
    Cam__SamplesRequest samples = CAM__SAMPLES_REQUEST__INIT;
    Cam__Envelope request = CAM__ENVELOPE__INIT;
    request.body_case = CAM__ENVELOPE__BODY_SAMPLES_REQUEST;
    request.samples_request = &samples;
    struct output_file out;
    enum cam_code rc = invocation_id(in, 0, &samples.id, err);
    if (rc == CAM_OK && in->given[OPTION_EPOCH]) {
        rc = invocation_number(in, "--epoch", in->values[OPTION_EPOCH], INT64_MAX, &samples.epoch,
                               err);
    }
    if (rc == CAM_OK && !in->given[OPTION_OUTPUT]) {
        rc = invocation_fail(in, err, "-o FILE is missing: where to write the samples");
    }
    if (rc != CAM_OK) {
        return rc;
    }
    rc = output_file_open(&out, in->values[OPTION_OUTPUT], err);
    if (rc != CAM_OK) {
        return rc;
    }
    rc = connection_fetch(in, &request, output_file_take, &out, err);
    if (rc == CAM_OK) {
        rc = output_file_commit(&out, err);
    }
    output_file_close(&out);
    return rc;
}
