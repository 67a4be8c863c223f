/*
 * A conversation with the daemon: blocking, one request after another.  docs/PROTOCOL.md.
 *
 *   connection_open → connection_ask (one answer) or
 *                     connection_send, connection_receive ... (a row of answers) → connection_close
 *
 * What a function returns tells where the trouble is:
 *   CAM_UNAVAILABLE  nobody listens: nothing was sent
 *   CAM_PEER_LOST    the connection broke: a request that was sent may or may not have been done
 *   CAM_STOPPED      a signal came (Ctrl-C)
 *   anything else    the daemon answered that it will not, with this code of its own (CAM_CONFLICT
 *                    where its code is one of the first two; err has it as it was), or this side
 *                    failed
 */
#ifndef CONNECTION_H
#define CONNECTION_H

#include "base/status.h"
#include "cambrian.pb-c.h"
#include "client/invocation.h"

struct connection;

/* Connects to --socket, else CAMBRIAN_SOCKET, else the default, and shakes hands. */
CAM_CHECKED enum cam_code connection_open(const struct invocation *in, struct connection **out,
                                          struct cam_err *err);
void connection_close(struct connection *connection);

/* Sends a request; its request_id is filled in. */
CAM_CHECKED enum cam_code connection_send(struct connection *connection, Cam__Envelope *request,
                                          struct cam_err *err);

/* The next answer to the last request, of this kind; ends with cam__envelope__free_unpacked. */
CAM_CHECKED enum cam_code connection_receive(struct connection *connection,
                                             Cam__Envelope__BodyCase expected, Cam__Envelope **out,
                                             struct cam_err *err);

/* One request, one answer, on a connection of its own. */
CAM_CHECKED enum cam_code connection_ask(const struct invocation *in, Cam__Envelope *request,
                                         Cam__Envelope__BodyCase expected, Cam__Envelope **out,
                                         struct cam_err *err);

/* A Chunk stream in answer to request, its bytes handed to take as they come. */
typedef enum cam_code chunk_taker(void *context, const void *bytes, size_t size,
                                  struct cam_err *err);
CAM_CHECKED enum cam_code connection_fetch(const struct invocation *in, Cam__Envelope *request,
                                           chunk_taker *take, void *context, struct cam_err *err);

#endif
