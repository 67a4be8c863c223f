/* cambrian logs: the bytes as they come, nothing added. */
#include "client/connection.h"
#include "client/output.h"

enum cam_code command_logs(struct invocation *in, struct cam_err *err)
{
    Cam__LogsRequest logs = CAM__LOGS_REQUEST__INIT;
    Cam__Envelope request = CAM__ENVELOPE__INIT;
    request.body_case = CAM__ENVELOPE__BODY_LOGS_REQUEST;
    request.logs_request = &logs;
    struct output_file out;
    int64_t attempt = 0;
    enum cam_code rc = invocation_id(in, 0, &logs.id, err);
    if (rc == CAM_OK && in->given[OPTION_ATTEMPT]) {
        rc = invocation_number(in, "--attempt", in->values[OPTION_ATTEMPT], INT32_MAX, &attempt,
                               err);
    }
    if (rc == CAM_OK) {
        rc = output_file_open(&out, "-", err);
    }
    if (rc == CAM_OK) {
        logs.attempt = (int32_t)attempt;
        logs.follow = in->given[OPTION_FOLLOW];
        rc = connection_fetch(in, &request, output_file_take, &out, err);
    }
    return rc;
}
