/* Safetensors: what is written is read back, the digest is over the tensors and nothing else, and
 * a file that is damaged anywhere in its header is refused. */
#include "../unit.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/philox.h"
#include "proto/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/safetensors-test-XXXXXX";
static char path[CAM_PATH_SIZE];

static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    (void)snprintf(path, sizeof path, "%s/model.safetensors", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return cam_folder_remove(folder, NULL) == CAM_OK ? 0 : -1;
}

static const float WEIGHTS[6] = {1, 2, 3, 4, 5, 6};
static const float BIAS[2] = {-1, 0.5f};
static const int64_t COUNTER[1] = {42};

static const struct safetensors_tensor TENSORS[] = {
    {"g.weight", "F32", 2, {2, 3}, WEIGHTS, sizeof WEIGHTS},
    {"g.bias", "F32", 1, {2}, BIAS, sizeof BIAS},
    {"step", "I64", 0, {0}, COUNTER, sizeof COUNTER},
};
static const struct safetensors_pair METADATA[] = {{"format", "pt"}};

/* Without the fsync of cam_file_replace, which would be most of this test's time. */
static void put(const char *bytes, size_t size)
{
    (void)unlink(path); /* some file systems flush a file that is truncated and written again */
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void write_good(void)
{
    struct cam_err err;
    ASSERT_OK(safetensors_write(path, TENSORS, 3, METADATA, 1, &err), err);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct cam_err err;
    struct safetensors *file = NULL;
    write_good();
    ASSERT_OK(safetensors_open(path, &file, &err), err);
    assert_int_equal(safetensors_count(file), 3);
    assert_string_equal(safetensors_at(file, 0)->name, "g.bias");
    const struct safetensors_tensor *weight = safetensors_find(file, "g.weight");
    assert_non_null(weight);
    assert_int_equal(weight->rank, 2);
    assert_int_equal(weight->dim[1], 3);
    assert_string_equal(weight->dtype, "F32");
    assert_memory_equal(weight->bytes, WEIGHTS, sizeof WEIGHTS);
    assert_int_equal((uintptr_t)safetensors_at(file, 0)->bytes % 8, 0);
    assert_int_equal(safetensors_find(file, "step")->rank, 0);
    assert_null(safetensors_find(file, "g"));
    assert_string_equal(safetensors_metadata(file, "format"), "pt");
    assert_null(safetensors_metadata(file, "x"));
    safetensors_close(file);
}

/* The expected text was computed with Python's hashlib from the definition in the header. */
static void test_digest_is_over_the_tensors(void **state)
{
    (void)state;
    struct cam_err err;
    char of_memory[CAM_DIGEST_HEX_SIZE];
    char of_file[CAM_DIGEST_HEX_SIZE];
    write_good();
    ASSERT_OK(safetensors_digest(path, of_file, &err), err);
    const struct safetensors_tensor turned[] = {TENSORS[2], TENSORS[1], TENSORS[0]};
    ASSERT_OK(safetensors_digest_of(turned, 3, of_memory, &err), err);
    assert_string_equal(of_file, of_memory);
    assert_string_equal(of_file,
                        "89a624ba76573446e5afdb7125aae340883bfff7da1344d669dc7f58981c40bb");
    ASSERT_OK(safetensors_write(path, TENSORS, 3, NULL, 0, &err), err);
    ASSERT_OK(safetensors_digest(path, of_file, &err), err);
    assert_string_equal(of_file, of_memory);
}

static void test_writer_refuses_what_does_not_fit(void **state)
{
    (void)state;
    struct cam_err err;
    struct safetensors_tensor bad[] = {TENSORS[0], TENSORS[0]};
    assert_int_equal(safetensors_write(path, bad, 2, NULL, 0, &err), CAM_INTERNAL);
    bad[0].dim[0] = 3;
    assert_int_equal(safetensors_write(path, bad, 1, NULL, 0, &err), CAM_INTERNAL);
    assert_int_equal(safetensors_write("/nowhere/x", TENSORS, 3, NULL, 0, &err), CAM_NOT_FOUND);
}

/* A file of this header and so many bytes of data. */
static enum cam_code open_text(const char *header, size_t data_bytes, struct cam_err *err)
{
    char bytes[1024] = {0};
    size_t length = strlen(header);
    assert_true(8 + length + data_bytes <= sizeof bytes);
    bytes[0] = (char)(length & 255);
    bytes[1] = (char)(length >> 8);
    memcpy(bytes + 8, header, length);
    put(bytes, 8 + length + data_bytes);
    struct safetensors *file = NULL;
    enum cam_code rc = safetensors_open(path, &file, err);
    safetensors_close(file);
    return rc;
}

static void test_bad_headers(void **state)
{
    (void)state;
    struct cam_err err = {0};
    assert_int_equal(
        open_text("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, &err),
        CAM_OK);
    static const struct {
        const char *header;
        size_t data_bytes;
        /* clang-format off */
    } BAD[] = {
        {"", 8},
        {"[]", 0},
        {"{", 0},
        {"{\"a\":3}", 0},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 7},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 9},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", 12},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,9007199254740992]}}", 8},
        {"{\"a\":{\"dtype\":\"F33\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,8]}}", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,2],\"data_offsets\":[0,8]}}", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", 12},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
         "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8},
        {"{\"__metadata__\":{\"a\":3}}", 0},
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        if (open_text(BAD[i].header, BAD[i].data_bytes, &err) != CAM_CORRUPT) {
            fail_msg("not refused: %s with %zu bytes", BAD[i].header, BAD[i].data_bytes);
        }
        assert_non_null(strstr(err.text, "model.safetensors: "));
    }
    assert_int_equal(safetensors_digest("/nowhere/x", (char[CAM_DIGEST_HEX_SIZE]){0}, &err),
                     CAM_NOT_FOUND);
}

static void test_every_truncation_is_refused(void **state)
{
    (void)state;
    struct cam_err err;
    write_good();
    char *bytes = NULL;
    size_t size = 0;
    ASSERT_OK(cam_file_read(path, 4096, &bytes, &size, &err), err);
    for (size_t cut = 0; cut < size; cut++) {
        put(bytes, cut);
        struct safetensors *file = NULL;
        assert_int_equal(safetensors_open(path, &file, &err), CAM_CORRUPT);
    }
    cam_free(bytes);
}

/* Whatever its header says: opened or refused, and what it then points at can be read. */
static void test_damaged_headers_never_crash(void **state)
{
    (void)state;
    struct cam_err err;
    char *bytes = NULL;
    size_t size = 0;
    write_good();
    ASSERT_OK(cam_file_read(path, 4096, &bytes, &size, &err), err);
    for (uint32_t round = 0; round < 1000; round++) {
        uint32_t dice[4];
        philox4x32_10((const uint32_t[4]){round}, (const uint32_t[2]){0}, dice);
        char kept[2] = {bytes[dice[0] % size], bytes[8 + dice[1] % (size - 8)]};
        bytes[dice[0] % size] = (char)dice[2];
        bytes[8 + dice[1] % (size - 8)] = "0123456789[]{},:\""[dice[3] % 17];
        put(bytes, size);
        char hex[CAM_DIGEST_HEX_SIZE];
        enum cam_code rc = safetensors_digest(path, hex, &err);
        assert_true(rc == CAM_OK || rc == CAM_CORRUPT || rc == CAM_INTERNAL);
        bytes[8 + dice[1] % (size - 8)] = kept[1];
        bytes[dice[0] % size] = kept[0];
    }
    cam_free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_digest_is_over_the_tensors),
        cmocka_unit_test(test_writer_refuses_what_does_not_fit),
        cmocka_unit_test(test_bad_headers),
        cmocka_unit_test(test_every_truncation_is_refused),
        cmocka_unit_test(test_damaged_headers_never_crash),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
