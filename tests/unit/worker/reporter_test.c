/* The report thread against a daemon of the test's own: one socket, one conversation. */
#include "../unit.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "proto/frame.h"
#include "worker/report/reporter.h"

#include "cambrian.pb-c.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { LIMIT_MS = 5000 };

struct fixture {
    char job_dir[CAM_PATH_SIZE];
    char endpoint[CAM_PATH_SIZE];
    int listener;
    struct progress progress;
    struct reporter *reporter;
};

/* A daemon's side of one connection. */
struct peer {
    int fd;
    struct frame_reader reader;
};

static void listen_at(struct fixture *f, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct cam_err err = {0};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%.80s/%s", f->job_dir, name);
    f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(
        bind(f->listener, (const struct sockaddr *)(const void *)&address, sizeof address), 0);
    assert_int_equal(listen(f->listener, 4), 0);
    char text[256];
    int size = snprintf(text, sizeof text, "unix:%s\n", address.sun_path);
    ASSERT_OK(cam_file_replace(f->endpoint, text, (size_t)size, 0600, &err), err);
}

static void start(struct fixture *f)
{
    char folder[] = "/tmp/reporter-XXXXXX";
    char path[CAM_PATH_SIZE];
    char token[32];
    struct cam_err err = {0};
    memset(f, 0, sizeof *f);
    memset(token, 't', sizeof token);
    assert_non_null(mkdtemp(folder));
    (void)snprintf(f->job_dir, sizeof f->job_dir, "%s", folder);
    ASSERT_OK(cam_path(path, &err, "%s/attempts/2", folder), err);
    ASSERT_OK(cam_folder_create(path, 0700, &err), err);
    ASSERT_OK(cam_path(f->endpoint, &err, "%s/attempts/2/endpoint", folder), err);
    ASSERT_OK(cam_path(path, &err, "%s/attempts/2/token", folder), err);
    ASSERT_OK(cam_file_replace(path, token, sizeof token, 0600, &err), err);
    listen_at(f, "first");
    const struct reporter_options options = {.job_dir = f->job_dir,
                                             .attempt = 2,
                                             .job_id = 7,
                                             .rank = 0,
                                             .ranks = 2,
                                             .profile = "{\"isa\": \"avx2\"}"};
    progress_enter(&f->progress, "generator", "compute", 0);
    ASSERT_OK(reporter_create(&options, &f->progress, &f->reporter, &err), err);
}

static Cam__Envelope *receive(struct peer *peer)
{
    Cam__Envelope *envelope = NULL;
    struct cam_err err = {0};
    for (;;) {
        ASSERT_OK(frame_reader_next(&peer->reader, &envelope, &err), err);
        if (envelope != NULL) {
            return envelope;
        }
        struct pollfd poll_fd = {.fd = peer->fd, .events = POLLIN};
        char bytes[4096];
        assert_int_equal(poll(&poll_fd, 1, LIMIT_MS), 1);
        ssize_t size = recv(peer->fd, bytes, sizeof bytes, 0);
        assert_true(size > 0);
        ASSERT_OK(frame_reader_add(&peer->reader, bytes, (size_t)size, &err), err);
    }
}

static void reply(struct peer *peer, const Cam__Envelope *envelope)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    struct cam_err err = {0};
    ASSERT_OK(frame_pack(envelope, &bytes, &size, &err), err);
    assert_int_equal(send(peer->fd, bytes, size, MSG_NOSIGNAL), (ssize_t)size);
    cam_free(bytes);
}

/* Waits for the rank and plays the opening. */
static struct peer welcome(struct fixture *f, bool stop)
{
    struct pollfd poll_fd = {.fd = f->listener, .events = POLLIN};
    assert_int_equal(poll(&poll_fd, 1, LIMIT_MS), 1);
    struct peer peer = {.fd = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC)};
    Cam__Envelope *hello = receive(&peer);
    assert_int_equal(hello->body_case, CAM__ENVELOPE__BODY_HELLO);
    assert_int_equal(hello->hello->protocol_version, PROTOCOL_VERSION);
    cam__envelope__free_unpacked(hello, NULL);
    Cam__HelloReply hello_reply = CAM__HELLO_REPLY__INIT;
    Cam__Envelope envelope = CAM__ENVELOPE__INIT;
    envelope.body_case = CAM__ENVELOPE__BODY_HELLO_REPLY;
    envelope.hello_reply = &hello_reply;
    reply(&peer, &envelope);
    Cam__Envelope *report = receive(&peer);
    assert_int_equal(report->body_case, CAM__ENVELOPE__BODY_REPORT_HELLO);
    assert_int_equal(report->report_hello->job_id, 7);
    assert_int_equal(report->report_hello->attempt, 2);
    assert_int_equal(report->report_hello->token.len, 32);
    assert_string_equal(report->report_hello->numeric_profile, "{\"isa\": \"avx2\"}");
    cam__envelope__free_unpacked(report, NULL);
    Cam__WelcomeReply welcome_reply = CAM__WELCOME_REPLY__INIT;
    welcome_reply.stop = stop;
    envelope.body_case = CAM__ENVELOPE__BODY_WELCOME_REPLY;
    envelope.welcome_reply = &welcome_reply;
    reply(&peer, &envelope);
    return peer;
}

/* The next report that is no progress. */
static Cam__Envelope *receive_post(struct peer *peer)
{
    Cam__Envelope *envelope = receive(peer);
    while (envelope->body_case == CAM__ENVELOPE__BODY_PROGRESS) {
        cam__envelope__free_unpacked(envelope, NULL);
        envelope = receive(peer);
    }
    return envelope;
}

static void hang_up(struct peer *peer)
{
    (void)close(peer->fd);
    frame_reader_release(&peer->reader);
}

static void finish(struct fixture *f)
{
    struct cam_err err = {0};
    reporter_destroy(f->reporter, 0);
    (void)close(f->listener);
    ASSERT_OK(cam_folder_remove(f->job_dir, &err), err);
}

static void post_epoch(struct fixture *f, int64_t epoch)
{
    struct epoch_row row = {.epoch = epoch, .steps = 5, .metric_count = 1, .metric = {0.25}};
    (void)snprintf(row.metric_name[0], STATE_NAME_SIZE, "d_loss");
    reporter_epoch(f->reporter, &row);
}

static void expect_epoch(struct peer *peer, int64_t epoch)
{
    Cam__Envelope *envelope = receive_post(peer);
    assert_int_equal(envelope->body_case, CAM__ENVELOPE__BODY_EPOCH_REPORT);
    assert_int_equal(envelope->epoch_report->epoch->epoch, epoch);
    assert_string_equal(envelope->epoch_report->epoch->metrics[0]->name, "d_loss");
    cam__envelope__free_unpacked(envelope, NULL);
}

static void test_progress_posts_and_stop(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    atomic_store(&f.progress.step, 41);
    struct peer peer = welcome(&f, false);
    Cam__Envelope *first = receive(&peer);
    assert_int_equal(first->body_case, CAM__ENVELOPE__BODY_PROGRESS);
    assert_int_equal(first->progress->step, 41);
    assert_string_equal(first->progress->phase, "generator");
    assert_true(first->progress->peak_bytes > 0);
    cam__envelope__free_unpacked(first, NULL);
    post_epoch(&f, 1);
    expect_epoch(&peer, 1);
    assert_false(reporter_stop_asked(f.reporter));
    Cam__StopOrder order = CAM__STOP_ORDER__INIT;
    Cam__Envelope envelope = CAM__ENVELOPE__INIT;
    envelope.body_case = CAM__ENVELOPE__BODY_STOP_ORDER;
    envelope.stop_order = &order;
    reply(&peer, &envelope);
    int64_t end = cam_monotonic_ns() + (int64_t)LIMIT_MS * 1000000;
    while (!reporter_stop_asked(f.reporter) && cam_monotonic_ns() < end) {
        cam_sleep_ms(5);
    }
    assert_true(reporter_stop_asked(f.reporter));
    hang_up(&peer);
    finish(&f);
}

static void test_another_daemon_is_found(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    struct peer peer = welcome(&f, false);
    hang_up(&peer);
    (void)close(f.listener);
    listen_at(&f, "second");
    post_epoch(&f, 2);
    peer = welcome(&f, true);
    expect_epoch(&peer, 2);
    assert_true(reporter_stop_asked(f.reporter));
    hang_up(&peer);
    finish(&f);
}

static void test_the_outcome_is_flushed(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    struct peer peer = welcome(&f, false);
    reporter_outcome(f.reporter, "succeeded", "abc", 99);
    reporter_destroy(f.reporter, LIMIT_MS);
    f.reporter = NULL;
    Cam__Envelope *envelope = receive_post(&peer);
    assert_int_equal(envelope->body_case, CAM__ENVELOPE__BODY_OUTCOME_REPORT);
    assert_int_equal(envelope->outcome_report->step, 99);
    cam__envelope__free_unpacked(envelope, NULL);
    hang_up(&peer);
    finish(&f);
}

static void test_no_daemon_costs_no_time(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    (void)close(f.listener);
    (void)unlink(f.endpoint);
    reporter_outcome(f.reporter, "succeeded", "abc", 99);
    int64_t before = cam_monotonic_ns();
    reporter_destroy(f.reporter, LIMIT_MS);
    f.reporter = NULL;
    assert_true(cam_monotonic_ns() - before < (int64_t)LIMIT_MS * 1000000);
    f.listener = -1;
    finish(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_progress_posts_and_stop),
        cmocka_unit_test(test_another_daemon_is_found),
        cmocka_unit_test(test_the_outcome_is_flushed),
        cmocka_unit_test(test_no_daemon_costs_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
