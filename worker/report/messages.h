/*
 * What a rank says, as plain values that can wait in a queue, and how each becomes an envelope.
 */
#ifndef MESSAGES_H
#define MESSAGES_H

#include "worker/report/connection.h"
#include "worker/report/progress.h"
#include "worker/report/reporter.h"

typedef struct Cam__Hello Cam__Hello;

enum message_kind {
    MESSAGE_EPOCH,
    MESSAGE_CHECKPOINT,
    MESSAGE_FAILURE,
    MESSAGE_OUTCOME,
    MESSAGE_KIND_COUNT,
};

struct message {
    enum message_kind kind;
    int64_t step;
    bool failed;
    char name[256];  /* checkpoint: the folder; outcome: its name */
    char text[1016]; /* checkpoint: why it failed; outcome: weights_sha256 */
    struct epoch_row epoch;
    struct failure failure;
};

void messages_hello(Cam__Envelope *envelope, Cam__Hello *hello);

CAM_CHECKED enum cam_code messages_send(struct connection *connection,
                                        const struct message *message, int64_t limit_ms,
                                        struct cam_err *err);

CAM_CHECKED enum cam_code messages_send_progress(struct connection *connection,
                                                 struct progress *progress, int64_t limit_ms,
                                                 struct cam_err *err);

#endif
