#include "../unit.h"

#include "base/file.h"
#include "base/mem.h"
#include "worker/checkpoint/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct state_identity identity_of(char job, char data)
{
    struct state_identity identity = {.profile = "{\"isa\": \"avx2\"}"};
    memset(identity.job_sha256, job, CAM_DIGEST_HEX_SIZE - 1);
    memset(identity.data_sha256, data, CAM_DIGEST_HEX_SIZE - 1);
    return identity;
}

static struct run_state state_of(void)
{
    struct run_state state = {
        .step = 42,
        .epoch = 4,
        .epoch_step = 2,
        .epoch_seconds = 0.1,
        .rollbacks = 2,
        .rate_factor = 1.0 / 3.0,
        .phase_count = 2,
        .executions = {42, 84},
        .metric_count = 2,
        .metric_sum = {0.1 + 0.2, -1e-300},
    };
    (void)snprintf(state.metric_name[0], STATE_NAME_SIZE, "g_loss");
    (void)snprintf(state.metric_name[1], STATE_NAME_SIZE, "d_loss");
    return state;
}

static void test_all_bits_come_back(void **state)
{
    (void)state;
    char folder[] = "/tmp/state-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char path[CAM_PATH_SIZE];
    struct cam_err err = {0};
    struct state_identity identity = identity_of('a', 'b');
    struct run_state written = state_of();
    struct run_state read;
    struct state_digests digests;
    struct state_digests read_digests;
    memset(&digests, 0, sizeof digests);
    memset(digests.model_sha256, 'c', CAM_DIGEST_HEX_SIZE - 1);
    memset(digests.optimizer_sha256, 'd', CAM_DIGEST_HEX_SIZE - 1);
    ASSERT_OK(cam_path(path, &err, "%s/state.json", folder), err);
    ASSERT_OK(state_write(path, &written, &identity, &digests, &err), err);
    ASSERT_OK(state_read(path, &identity, &read, &read_digests, &err), err);
    assert_memory_equal(&read_digests, &digests, sizeof digests);
    assert_memory_equal(read.metric_sum, written.metric_sum, sizeof read.metric_sum);
    assert_memory_equal(read.executions, written.executions, sizeof read.executions);
    assert_int_equal(read.step, 42);
    assert_int_equal(read.epoch_step, 2);
    assert_int_equal(read.rollbacks, 2);
    assert_true(read.rate_factor == written.rate_factor);
    assert_string_equal(read.metric_name[0], "g_loss");

    struct state_identity other_job = identity_of('x', 'b');
    struct state_identity other_data = identity_of('a', 'x');
    assert_int_equal(state_read(path, &other_job, &read, &read_digests, &err), CAM_CHANGED);
    assert_int_equal(state_read(path, &other_data, &read, &read_digests, &err), CAM_CHANGED);

    char *text = NULL;
    size_t size = 0;
    ASSERT_OK(cam_file_read(path, 65536, &text, &size, &err), err);
    for (size_t at = 0; at < size; at++) {
        text[at] = (char)(text[at] ^ 1); /* a digit becomes its neighbour: still JSON */
        ASSERT_OK(cam_file_replace(path, text, size, 0600, &err), err);
        enum cam_code rc = state_read(path, &identity, &read, &read_digests, &err);
        /* The 17th digit of a number may change without changing the number. */
        assert_true(rc == CAM_CORRUPT ||
                    (rc == CAM_OK &&
                     memcmp(read.metric_sum, written.metric_sum, sizeof read.metric_sum) == 0));
        text[at] = (char)(text[at] ^ 1);
    }
    cam_free(text);

    ASSERT_OK(cam_file_replace(path, "{\"version\": 1, \"step\"", 21, 0600, &err), err);
    assert_int_equal(state_read(path, &identity, &read, &read_digests, &err), CAM_CORRUPT);
    assert_non_null(strstr(err.text, "state.json"));
    ASSERT_OK(cam_folder_remove(folder, &err), err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_bits_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
