/*
 * Many clients that submit as fast as they are answered, over connections of their own.
 *
 *   submit_load SOCKET JOB.yaml CONNECTIONS SECONDS [ACKS]
 *     submits held jobs for SECONDS; prints {"submits", "per_s", "p50_ms", "p99_ms"}.  With ACKS it
 *     outlives its daemon: a lost answer is asked for again with the same key, and every
 *     acknowledged "KEY ID" is a line of that file.
 *   submit_load --verify SOCKET JOB.yaml ACKS
 *     submits every key of ACKS again; exit 1 unless each gives the id that was acknowledged.
 *   submit_load --floor FOLDER SECONDS
 *     how often one writer can write and fdatasync a page of a file there that has its size already
 *     (as a database's log has), as {"per_s"}.
 */
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "cambrian.pb-c.h"
#include "proto/frame.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    CLIENTS_MAX = 512,
    SAMPLES_MAX = 1 << 20,
    RETRY_MS = 20,
    GIVE_UP_MS = 30000,
    FLOOR_PAGES = 1024
};

struct load {
    const char *socket_path;
    char *job_text;
    const char *base_dir;
    int64_t end_ms;
    FILE *acks;
    pthread_mutex_t mutex;
    double *samples_ms;
    size_t count;
};

struct client {
    struct load *load;
    int number;
    int fd;
    struct frame_reader reader;
};

static int64_t now_ms(void)
{
    return cam_monotonic_ns() / 1000000;
}

static void hang_up(struct client *client)
{
    if (client->fd >= 0) {
        (void)close(client->fd);
    }
    client->fd = -1;
    frame_reader_release(&client->reader);
}

static bool say(struct client *client, const Cam__Envelope *envelope)
{
    struct cam_err err;
    uint8_t *bytes = NULL;
    size_t size = 0;
    bool good = frame_pack(envelope, &bytes, &size, &err) == CAM_OK &&
                send(client->fd, bytes, size, MSG_NOSIGNAL) == (ssize_t)size;
    cam_free(bytes);
    return good;
}

/* The next envelope, or NULL when the connection is gone. */
static Cam__Envelope *hear(struct client *client)
{
    char bytes[8192];
    struct cam_err err;
    Cam__Envelope *envelope = NULL;
    for (;;) {
        if (frame_reader_next(&client->reader, &envelope, &err) != CAM_OK || envelope != NULL) {
            return envelope;
        }
        ssize_t got = recv(client->fd, bytes, sizeof bytes, 0);
        if (got <= 0 || frame_reader_add(&client->reader, bytes, (size_t)got, &err) != CAM_OK) {
            return NULL;
        }
    }
}

static bool dial(struct client *client)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    Cam__Hello hello = CAM__HELLO__INIT;
    Cam__Envelope envelope = CAM__ENVELOPE__INIT;
    char program[] = "submit_load";
    (void)snprintf(to.sun_path, sizeof to.sun_path, "%.100s", client->load->socket_path);
    client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    hello.protocol_version = PROTOCOL_VERSION;
    hello.program = program;
    envelope.body_case = CAM__ENVELOPE__BODY_HELLO;
    envelope.hello = &hello;
    if (connect(client->fd, (struct sockaddr *)&to, sizeof to) != 0 || !say(client, &envelope)) {
        hang_up(client);
        return false;
    }
    Cam__Envelope *answer = hear(client);
    bool good = answer != NULL && answer->body_case == CAM__ENVELOPE__BODY_HELLO_REPLY;
    if (answer != NULL) {
        cam__envelope__free_unpacked(answer, NULL);
    }
    if (!good) {
        hang_up(client);
    }
    return good;
}

/* The id of the job with this key, asking again as long as it takes; exits on a refusal. */
static int64_t submit(struct client *client, char *key)
{
    Cam__SubmitRequest request = CAM__SUBMIT_REQUEST__INIT;
    Cam__Envelope envelope = CAM__ENVELOPE__INIT;
    char file_name[] = "load.yaml";
    int64_t give_up_ms = now_ms() + GIVE_UP_MS;
    request.request_key = key;
    request.job_text = client->load->job_text;
    request.file_name = file_name;
    request.base_dir = (char *)(uintptr_t)client->load->base_dir;
    request.hold = 1;
    envelope.request_id = 1;
    envelope.body_case = CAM__ENVELOPE__BODY_SUBMIT_REQUEST;
    envelope.submit_request = &request;
    while (now_ms() < give_up_ms) {
        if (client->fd < 0 && !dial(client)) {
            cam_sleep_ms(RETRY_MS);
            continue;
        }
        Cam__Envelope *answer = say(client, &envelope) ? hear(client) : NULL;
        if (answer == NULL) {
            hang_up(client);
            continue;
        }
        if (answer->body_case != CAM__ENVELOPE__BODY_SUBMIT_REPLY) {
            (void)fprintf(stderr, "refused: %s\n",
                          answer->body_case == CAM__ENVELOPE__BODY_ERROR_REPLY
                              ? answer->error_reply->text
                              : "another message");
            exit(1);
        }
        int64_t id = answer->submit_reply->id;
        cam__envelope__free_unpacked(answer, NULL);
        return id;
    }
    (void)fprintf(stderr, "no answer for %s\n", key);
    exit(1);
}

static void *run_client(void *argument)
{
    struct client *client = argument;
    struct load *load = client->load;
    for (int i = 0; now_ms() < load->end_ms; i++) {
        char key[64];
        (void)snprintf(key, sizeof key, "load-%d-%d-%d", (int)getpid(), client->number, i);
        int64_t start_ns = cam_monotonic_ns();
        int64_t id = submit(client, key);
        double took_ms = (double)(cam_monotonic_ns() - start_ns) / 1e6;
        (void)pthread_mutex_lock(&load->mutex);
        if (load->acks != NULL) {
            (void)fprintf(load->acks, "%s %lld\n", key, (long long)id);
        }
        load->samples_ms[load->count % SAMPLES_MAX] = took_ms;
        load->count++;
        (void)pthread_mutex_unlock(&load->mutex);
    }
    hang_up(client);
    return NULL;
}

static int by_size(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return left < right ? -1 : left > right ? 1 : 0;
}

static int run_load(struct load *load, int connections, double seconds)
{
    static struct client clients[CLIENTS_MAX];
    pthread_t threads[CLIENTS_MAX];
    int64_t start_ms = now_ms();
    load->end_ms = start_ms + (int64_t)(seconds * 1000);
    load->samples_ms = cam_alloc(SAMPLES_MAX, sizeof *load->samples_ms);
    for (int i = 0; i < connections; i++) {
        clients[i] = (struct client){.load = load, .number = i, .fd = -1};
        if (pthread_create(&threads[i], NULL, run_client, &clients[i]) != 0) {
            return 1;
        }
    }
    for (int i = 0; i < connections; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    double took_s = (double)(now_ms() - start_ms) / 1e3;
    size_t kept = load->count < SAMPLES_MAX ? load->count : SAMPLES_MAX;
    qsort(load->samples_ms, kept, sizeof *load->samples_ms, by_size);
    (void)printf("{\"submits\": %zu, \"per_s\": %.0f, \"p50_ms\": %.3f, \"p99_ms\": %.3f}\n",
                 load->count, (double)load->count / took_s,
                 kept == 0 ? 0 : load->samples_ms[kept / 2],
                 kept == 0 ? 0 : load->samples_ms[kept * 99 / 100]);
    cam_free(load->samples_ms);
    return 0;
}

static int verify(struct load *load, const char *acks_path)
{
    struct client client = {.load = load, .fd = -1};
    char key[64];
    long long id = 0;
    int wrong = 0;
    FILE *acks = fopen(acks_path, "r");
    if (acks == NULL) {
        return 1;
    }
    while (fscanf(acks, "%63s %lld", key, &id) == 2) {
        int64_t again = submit(&client, key);
        if (again != id) {
            (void)printf("%s was job %lld and is %lld\n", key, id, (long long)again);
            wrong = 1;
        }
    }
    (void)fclose(acks);
    hang_up(&client);
    return wrong;
}

static int measure_floor(const char *folder, double seconds)
{
    char path[CAM_PATH_SIZE];
    static const char PAGE[4096] = {1};
    struct cam_err err;
    if (cam_path(path, &err, "%s/floor.tmp", folder) != CAM_OK) {
        return 1;
    }
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int64_t start_ms = now_ms();
    long count = 0;
    for (int i = 0; fd >= 0 && i < FLOOR_PAGES; i++) {
        if (write(fd, PAGE, sizeof PAGE) != (ssize_t)sizeof PAGE) {
            return 1;
        }
    }
    (void)fsync(fd);
    start_ms = now_ms();
    while (fd >= 0 && (double)(now_ms() - start_ms) < seconds * 1000) {
        off_t at = (off_t)(count % FLOOR_PAGES) * (off_t)sizeof PAGE;
        if (pwrite(fd, PAGE, sizeof PAGE, at) != (ssize_t)sizeof PAGE || fdatasync(fd) != 0) {
            return 1;
        }
        count++;
    }
    (void)printf("{\"per_s\": %.0f}\n", (double)count * 1e3 / (double)(now_ms() - start_ms));
    (void)close(fd);
    (void)unlink(path);
    return 0;
}

int main(int argc, char **argv)
{
    struct load load = {.base_dir = "/tmp", .mutex = PTHREAD_MUTEX_INITIALIZER};
    struct cam_err err = {0};
    size_t size = 0;
    (void)signal(SIGPIPE, SIG_IGN);
    if (argc == 4 && strcmp(argv[1], "--floor") == 0) {
        return measure_floor(argv[2], strtod(argv[3], NULL));
    }
    bool verifies = argc == 5 && strcmp(argv[1], "--verify") == 0;
    if (!verifies && argc != 5 && argc != 6) {
        (void)fprintf(stderr, "usage: see the head of submit_load.c\n");
        return 2;
    }
    load.socket_path = argv[verifies ? 2 : 1];
    if (cam_file_read(argv[verifies ? 3 : 2], 1 << 20, &load.job_text, &size, &err) != CAM_OK) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    int rc = 0;
    if (verifies) {
        rc = verify(&load, argv[4]);
    } else {
        load.acks = argc == 6 ? fopen(argv[5], "a") : NULL;
        rc = run_load(&load, (int)strtol(argv[3], NULL, 10), strtod(argv[4], NULL));
        if (load.acks != NULL) {
            (void)fclose(load.acks);
        }
    }
    cam_free(load.job_text);
    return rc;
}
