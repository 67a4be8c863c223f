/* cambrian submit: the request key makes it safe to ask again when the connection broke. */
#include "base/clock.h"
#include "base/mem.h"
#include "client/connection.h"
#include "client/job_text.h"
#include "client/output.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

enum { KEY_SIZE = 33, RETRY_MS = 10000, PAUSE_MS = 100 };

static enum cam_code make_key(char out[KEY_SIZE], struct cam_err *err)
{
    static const char HEX[] = "0123456789abcdef";
    unsigned char bytes[(KEY_SIZE - 1) / 2];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
        return cam_fail_errno(err, errno, "random numbers for the request key");
    }
    for (size_t i = 0; i < sizeof bytes; i++) {
        out[2 * i] = HEX[bytes[i] >> 4];
        out[2 * i + 1] = HEX[bytes[i] & 15];
    }
    out[KEY_SIZE - 1] = '\0';
    return CAM_OK;
}

/* Asks until there is an answer.  Refused at once: nobody was told anything.  Lost: the daemon may
 * have the job, so the same key is sent again, also while a new daemon is not there yet. */
static enum cam_code ask(const struct invocation *in, Cam__Envelope *request,
                         Cam__Envelope **reply_out, struct cam_err *err)
{
    int64_t give_up_ns = 0;
    for (;;) {
        enum cam_code rc =
            connection_ask(in, request, CAM__ENVELOPE__BODY_SUBMIT_REPLY, reply_out, err);
        bool again = rc == CAM_PEER_LOST || (rc == CAM_UNAVAILABLE && give_up_ns != 0);
        if (!again) {
            return rc;
        }
        int64_t now_ns = cam_monotonic_ns();
        if (give_up_ns == 0) {
            give_up_ns = now_ns + (int64_t)RETRY_MS * 1000000;
        }
        if (now_ns > give_up_ns) {
            cam_err_prefix(err,
                           "no answer for %d s, the job may be queued or not (submit again "
                           "with --key %s to be sure)",
                           RETRY_MS / 1000, request->submit_request->request_key);
            return rc;
        }
        cam_sleep_ms(PAUSE_MS);
    }
}

static enum cam_code fill_after(struct invocation *in, Cam__SubmitRequest *request,
                                int64_t ids[OPTION_VALUES_MAX], struct cam_err *err)
{
    for (size_t i = 0; i < in->after.count; i++) {
        enum cam_code rc =
            invocation_number(in, "--after", in->after.value[i], INT64_MAX, &ids[i], err);
        if (rc != CAM_OK) {
            return rc;
        }
    }
    request->after = ids;
    request->n_after = in->after.count;
    return CAM_OK;
}

/* protobuf-c's strings are not const; nothing writes to them. */
static char *unconst(const char *text)
{
    union {
        const char *in;
        char *out;
    } both = {.in = text};
    return both.out;
}

static enum cam_code print_reply(const struct invocation *in, const Cam__SubmitReply *reply,
                                 struct cam_err *err)
{
    if (in->given[OPTION_JSON]) {
        return output_json(
            json_pack("{s:I, s:b}", "id", (json_int_t)reply->id, "existed", (int)reply->existed),
            err);
    }
    struct cam_text text = {0};
    cam_text_add(&text, "%" PRId64 "\n", reply->id);
    return output_text(&text, err);
}

enum cam_code command_submit(struct invocation *in, struct cam_err *err)
{
    char key[KEY_SIZE];
    int64_t after[OPTION_VALUES_MAX];
    char *set[OPTION_VALUES_MAX];
    struct job_source source;
    Cam__Envelope *reply = NULL;
    Cam__SubmitRequest submit = CAM__SUBMIT_REQUEST__INIT;
    Cam__Envelope request = CAM__ENVELOPE__INIT;
    enum cam_code rc = fill_after(in, &submit, after, err);
    if (rc == CAM_OK) {
        rc = make_key(key, err);
    }
    if (rc == CAM_OK) {
        rc = job_source_read(in, &source, err);
    }
    if (rc != CAM_OK) {
        return rc;
    }
    if (memchr(source.bytes, '\0', source.text.size) != NULL) {
        rc = cam_fail(err, CAM_INVALID, "%s: a zero byte in it, a job file is text",
                      source.text.file_name);
        goto out;
    }
    for (size_t i = 0; i < in->set.count; i++) {
        set[i] = unconst(in->set.value[i]);
    }
    submit.request_key = in->given[OPTION_KEY] ? unconst(in->values[OPTION_KEY]) : key;
    submit.job_text = source.bytes;
    submit.file_name = unconst(source.text.file_name);
    submit.base_dir = source.base_dir;
    submit.set = set;
    submit.n_set = in->set.count;
    submit.hold = in->given[OPTION_HOLD];
    request.body_case = CAM__ENVELOPE__BODY_SUBMIT_REQUEST;
    request.submit_request = &submit;
    rc = ask(in, &request, &reply, err);
    if (rc == CAM_OK) {
        rc = print_reply(in, reply->submit_reply, err);
        cam__envelope__free_unpacked(reply, NULL);
    }
out:
    job_source_release(&source);
    return rc;
}
